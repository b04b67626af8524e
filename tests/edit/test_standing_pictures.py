"""Parts that begin or end while a picture stands on screen, as a slide of a lecture does."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from tests.clips import add_video

#: Ten pictures, the last of which stands for a second, and ten more.
TIMES = [*range(10), *range(34, 44)]


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standing")
    with av.open(str(folder / "in.mkv"), "w") as container:
        video = add_video(container, 64, 48, options={"g": "40", "bf": "0"})
        sound = container.add_stream("pcm_s16le", rate=8000)
        for number, time in enumerate(TIMES):
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 10 * number, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for n in range(44):
            wave = av.AudioFrame.from_ndarray(np.full((1, 320), n, np.int16), "s16", "mono")
            wave.sample_rate, wave.pts, wave.time_base = 8000, 320 * n, Fraction(1, 8000)
            container.mux(sound.encode(wave))
    gvcodec.encode_file(folder / "in.mkv", folder / "a.gvc", base="av1", preset=10, fit=0, q=10)
    return folder / "a.gvc"


PARTS = [
    (0.6, None, [9, *range(10, 20)], 1.16),
    (0.6, 1.44, [9, 10, 11], 0.84),
    (0.6, 1.0, [9], 0.4),
    (0.0, 1.0, list(range(10)), 1.0),
    (0.3, 1.0, [8, 9], 0.68),
]


def numbers_of(path: Path) -> tuple[list[int], float]:
    """Of the pictures, and seconds of sound."""
    with av.open(str(path)) as container:
        shown = [
            round(float(frame.to_ndarray(format="rgb24").mean()) / 10)
            for frame in container.decode(video=0)
        ]
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    return shown, samples / 8000


@pytest.mark.parametrize(("start", "end", "numbers", "length"), PARTS)
@pytest.mark.parametrize("pipe", [False, True])
def test_decode_shows_and_sounds_what_stands(
    stream: Path,
    tmp_path,
    pipe: bool,
    start: float,
    end: float | None,
    numbers: list[int],
    length: float,
) -> None:
    source = io.BytesIO(stream.read_bytes()) if pipe else stream
    out = tmp_path / "out.mkv"
    gvcodec.decode_file(source, out, start=start, end=end, fidelity=True)
    shown, sound = numbers_of(out)
    assert shown == numbers
    assert abs(sound - length) < 0.05


@pytest.mark.parametrize(("start", "end", "numbers", "length"), PARTS)
def test_an_exact_cut_keeps_what_stands(
    stream: Path, tmp_path, start: float, end: float | None, numbers: list[int], length: float
) -> None:
    piece, out = tmp_path / "piece.gvc", tmp_path / "out.mkv"
    gvcodec.cut(stream, piece, start, end, exact=True)
    assert abs(gvcodec.info(piece).duration - length) < 0.001
    gvcodec.decode_file(piece, out, fidelity=True)
    shown, sound = numbers_of(out)
    assert shown == numbers
    assert abs(sound - length) < 0.05
