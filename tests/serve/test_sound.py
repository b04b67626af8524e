"""Sound of segments."""

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import gvcodec
from tests.clips import sound_of
from tests.player_helpers import with_beep
from tests.serve.clients import joined, serving


def samples_from(path_or_data: Any, beginning: Fraction) -> np.ndarray[Any, Any]:
    """Mono samples of a file, from a time on."""
    with av.open(path_or_data) as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
        first = round((frames[0].pts * frames[0].time_base - beginning) * rate)
        samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        return np.pad(samples, (first, 0)) if first > 0 else samples[-first:]


@pytest.mark.parametrize(
    ("codec", "rate", "suffix", "served"),
    [
        ("aac", 44100, ".mp4", "aac"),
        ("libopus", 48000, ".mkv", "opus"),
        ("flac", 44100, ".mkv", "aac"),
        ("mp3", 48000, ".mkv", "aac"),
    ],
)
def test_sound_is_heard_at_its_time(
    codec: str, rate: int, suffix: str, served: str, tmp_path: Path
) -> None:
    source = with_beep(tmp_path / f"a{suffix}", codec, rate, 0.4)
    path = tmp_path / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    with serving(path, "--fidelity") as server:
        data = joined(server)
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.audio[0].codec_context.name.removeprefix("lib") == served
    samples = samples_from(io.BytesIO(data), Fraction(0))
    rate = rate if served != "aac" or codec == "aac" else 48000
    onset = int(np.argmax(np.abs(samples) > 0.1)) / rate
    assert onset == pytest.approx(0.4, abs=0.004)
    tone = samples[round(0.5 * rate) : round(0.95 * rate)]
    source_rate = 44100 if "44100" in str(rate) else rate
    # No seam: a sine obeys x[n+1] + x[n-1] = 2 cos(w) x[n]; the source's w is 0.1 at its own rate.
    step = 0.1 * {("flac"): 44100, "mp3": 48000}.get(codec, source_rate) / rate
    residue = tone[2:] + tone[:-2] - 2 * np.cos(step) * tone[1:-1]
    assert np.abs(residue).max() < 0.02


def test_sound_that_is_copied_stays_as_it_is(tmp_path: Path) -> None:
    source = with_beep(tmp_path / "a.mp4", "aac", 48000, 0.4)
    path = tmp_path / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    with serving(path, "--fidelity") as server:
        data = joined(server)
    with av.open(str(source)) as one, av.open(io.BytesIO(data)) as other:
        given = {bytes(packet) for packet in one.demux(audio=0) if packet.size}
        served = [bytes(packet) for packet in other.demux(audio=0) if packet.size]
    assert len(served) >= len(given) - 2 and set(served) <= given


def test_sound_without_a_codec_of_browsers_has_no_holes() -> None:
    """Parts that are coded by themselves join without a seam."""
    from gvcodec.sink.aac_segments import add_aac, code_part

    rate, count = 48000, 96000
    tone = (np.sin(np.arange(count) * 0.05) / 2).astype(np.float32)[None]
    container = av.open(io.BytesIO(), "w", format="adts")
    stream = add_aac(container, 1)
    cuts = [Fraction(0), Fraction(7, 10), Fraction(13, 10), Fraction(2)]
    coded = []

    class Pcm:
        def decode(self, packet: Any) -> list[Any]:
            return [packet]

    for begin, end in pairwise(cuts):
        one = av.open(io.BytesIO(), "w", format="adts")
        first = max(0, round(begin * rate) - 9600)
        frames = [
            sound_of(tone[:, at : at + 960], rate, at)
            for at in range(first // 960 * 960, min(count, round(end * rate) + 9600), 960)
        ]
        coded += code_part(add_aac(one, 1), Pcm(), frames, begin, end)
    assert [packet.pts for packet in coded] == [1024 * n for n in range(len(coded))]
    decoder: Any = av.CodecContext.create("aac", "r")
    decoder.sample_rate, decoder.layout = rate, "mono"
    decoder.extradata = stream.codec_context.extradata
    heard = np.concatenate([f.to_ndarray()[0] for p in coded for f in decoder.decode(p)])
    inner = slice(2048, len(heard) - 4096)
    assert np.abs(heard[inner] - tone[0, : len(heard)][inner]).max() < 0.06
