"""Which of several videos is coded, and which tracks go with it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from eval.sequences import file_source
from gvcodec.batch.plan import make_plan
from gvcodec.media.reader import VideoReader
from tests.clips import add_video, put_planes
from tests.conftest import moving_texture
from tests.media.test_real_sound import QUICK, run

COVER, FILM = (96, 80), (64, 48)
DEFAULT, PICTURE = Disposition.default, Disposition.attached_pic


def add(container, codec: str, size: tuple[int, int], flags: int = 0):
    pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(codec, "yuv420p")
    stream = add_video(container, *size, codec, pix_fmt=pix_fmt)
    stream.disposition = Disposition(flags)
    return stream


def fill(container, stream, count: int, first: int = 0) -> None:
    put_planes(container, stream, moving_texture(stream.width, stream.height, count), 8, first)


CASES = {
    "a thumbnail first": (".mkv", [("mjpeg", COVER, 0, 1), ("mpeg4", FILM, DEFAULT, 8)]),
    "a picture first": (".mkv", [("mjpeg", COVER, PICTURE, 1), ("mpeg4", FILM, 0, 8)]),
    "no flags": (".wmv", [("mjpeg", COVER, 0, 1), ("wmv2", FILM, 0, 8)]),
    "a thumbnail by default": (".mov", [("mjpeg", COVER, DEFAULT, 1), ("h264", FILM, 0, 8)]),
    "the default second": (".mkv", [("mpeg4", COVER, 0, 8), ("mpeg4", FILM, DEFAULT, 8)]),
    "a cover last": (".mp4", [("mpeg4", FILM, 0, 8), ("mjpeg", COVER, PICTURE, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_film_is_coded_not_what_stands_before_it(tmp_path: Path, case: str) -> None:
    suffix, tracks = CASES[case]
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        streams = [add(container, *track[:3]) for track in tracks]
        for stream, track in zip(streams, tracks, strict=True):
            fill(container, stream, track[3])
    with VideoReader(path) as reader:
        assert (reader.format.width, reader.format.height) == FILM
        assert len(list(reader)) == 8
    with VideoReader(path, start=0.2) as reader:
        assert len(list(reader)) == 3
    assert make_plan(str(path), 0.0, None, 8).frames == 8
    raw = file_source(path, "t").prepare(0, tmp_path / "eval").raw
    assert (raw.width, raw.height, raw.frames) == (*FILM, 8)


def test_sound_is_that_of_the_same_programme() -> None:
    """A transport stream of two programmes of video and sound, and one of the radio."""
    path = Path(__file__).with_name("programmes.ts")
    with VideoReader(path) as reader:
        list(reader)
        assert (reader.format.width, reader.format.height) == FILM
        assert [stream.id for stream in reader.tracks.streams] == [0x102]
        assert any(
            note.startswith("3 other tracks (audio, video) left out") for note in reader.notes
        )


def test_sound_that_a_later_table_adds_is_kept(tmp_path: Path) -> None:
    parts = []
    for number in range(2):
        path = tmp_path / f"{number}.ts"
        with av.open(str(path), "w", format="mpegts", options={"pat_period": "0.1"}) as container:
            video = add(container, "mpeg2video", FILM)
            sound = container.add_stream("mp2", rate=48000, layout="mono") if number else None
            fill(container, video, 8, 8 * number)
            if sound is not None:
                data = np.full((1, 48000 * 8 // 25), 900, np.int16)
                heard = av.AudioFrame.from_ndarray(data, "s16", "mono")
                heard.sample_rate, heard.pts = 48000, 48000 * 8 // 25
                container.mux([*sound.encode(heard), *sound.encode(None)])
        parts.append(path.read_bytes())
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(parts))
    assert run("encode", whole, tmp_path / "a.gvc", *QUICK) == 0
    assert run("decode", tmp_path / "a.gvc", tmp_path / "a.mkv") == 0
    with av.open(str(tmp_path / "a.mkv")) as container:
        times = [p.pts * p.time_base for p in container.demux(audio=0) if p.size]
    assert len(times) >= 12
    assert float(times[0]) == pytest.approx(0.32, abs=0.05)


def test_a_video_that_goes_on_under_another_number_is_said(tmp_path: Path) -> None:
    parts = []
    for number in range(2):
        path = tmp_path / f"{number}.ts"
        options = {"mpegts_start_pid": str(0x100 + 0x20 * number)}
        with av.open(str(path), "w", format="mpegts", options=options) as container:
            video = add(container, "mpeg2video", FILM)
            fill(container, video, 8, 8 * number)
        parts.append(path.read_bytes())
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(parts))
    with VideoReader(whole) as reader:
        assert len(list(reader)) == 8
        assert any(note.startswith("the video ends after 0.32 s") for note in reader.notes)
