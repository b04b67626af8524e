"""Limits that SECURITY.md and the documentation promise; independence of torch settings."""

import contextlib
import re
import types
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec import _core, limits
from gvcodec.bitstream import header, packets
from gvcodec.errors import DamagedStreamError
from gvcodec.tracks import codec_parameters
from gvcodec.tracks import packets as track_packets
from gvcodec.tracks.codec_parameters import make_head
from gvcodec.tracks.packets import TrackReader
from gvcodec.types import VideoFormat
from tests.conftest import in_process, moving_texture
from tests.fuzz.robustness.hostile import audio_stream, tracks_payload


@contextlib.contextmanager
def set_in_torch() -> Iterator[None]:
    """What a program may do before it calls the library, all at once."""
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            yield
            assert torch.get_default_dtype() is torch.float64
            assert torch.get_default_device().type == "meta"
            assert torch.is_autocast_enabled("cpu") and not torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


def both() -> tuple[bytes, bytes, np.ndarray]:
    """A stream whose tokens are searched, one without, and their painted pictures."""
    clip, fast = moving_texture(64, 48, 3), {"base": "av1", "preset": 10, "q": 40, "threads": 1}
    steered, plain = (gvcodec.encode(clip, tokens=t, **fast) for t in ("search", "off"))
    shown = [frame for data in (steered, plain) for frame in gvcodec.decode(data, threads=1)]
    return steered, plain, np.stack(shown)


def test_settings_of_torch_do_not_reach_the_codec() -> None:
    """Nothing fails, and streams and painted pictures are those of a program that sets nothing."""
    pytest.importorskip("torch")
    *streams, pictures = both()
    with set_in_torch():
        *found, seen = both()
        read = gvcodec.open(streams[1])[2]
    assert found == streams
    assert np.array_equal(seen, pictures) and np.array_equal(read, pictures[-1])


KEPT = """
import builtins, sys, gvcodec
builtins.kept = gvcodec.open(sys.argv[1])
builtins.kept[0]
"""


def test_the_end_of_a_program_that_keeps_a_video_is_quiet(tmp_path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "a.gvc").write_bytes(gvcodec.encode(moving_texture(64, 48, 2), base="av1", fit=0))
    done = in_process("-c", KEPT, tmp_path / "a.gvc")
    assert (done.stdout, done.stderr) == (b"", b"")


def test_tracks_are_few_and_their_parameters_small() -> None:
    head = make_head("matroska", [audio_stream()])
    assert len(TrackReader(tracks_payload(head)).streams) == 1
    with pytest.raises(DamagedStreamError, match="tracks: "):
        TrackReader(tracks_payload(head, 65))
    with pytest.raises(DamagedStreamError, match=r"more than 1048576"):
        TrackReader(tracks_payload(head + bytes((1 << 20) - len(head) + 1)))


def test_limits_are_those_that_are_written_down() -> None:
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text()
    listed = dict(re.findall(r"^\| ([^|]*?) +\| ([^|]*?) +\|", text, re.MULTILINE))
    least, most = limits.DEFAULT_MEMORY >> 20, limits.MOST_MEMORY >> 30
    memory = f"half the machine's, {least} MiB to {most} GiB"
    assert listed["memory of decoding, estimated from the header"] == memory
    assert listed["size of a picture in the format"] == f"{header.MAX_SIDE} a side, 2^26 samples"
    assert header.MAX_PIXELS == 1 << 26
    parameters = listed["tracks of sound and subtitles, their parameters"]
    assert (
        parameters == f"{track_packets.MAX_TRACKS}, 1 MiB" and codec_parameters.MAX_HEAD == 1 << 20
    )
    assert listed["timestamps ahead of their frames"] == "2^19"
    timeline, late = _core.Timeline(0, (25, 1), (1, 25), 1000), b"\0\2"  # by one tick
    timeline.send(late * (1 << 19))
    with pytest.raises(DamagedStreamError, match="more than 524288 frames that are not there"):
        timeline.send(late)
    assert listed["payload of a packet"] == "64 MiB for frames and sound, 1 MiB for others"
    assert (packets.MAX_PAYLOAD, packets.MAX_SIDE_PAYLOAD) == (64 << 20, 1 << 20)
    assert limits.Limits(max_memory=400).side_memory == 100


@pytest.mark.parametrize(
    ("base", "painted", "millions"), [("av1", False, 12), ("vvc", False, 11), ("av1", True, 4)]
)
def test_pictures_that_fit_are_as_large_as_written_down(base, painted, millions):
    def taken(pixels: int) -> int:
        fmt = VideoFormat(pixels // 1000, 1000, Fraction(25), Fraction(1, 25))
        header = types.SimpleNamespace(format=fmt, base=base)
        return limits.memory_for(header, painted)

    assert taken(millions * 1_000_000) <= limits.DEFAULT_MEMORY < taken((millions + 1) * 1_000_000)


@pytest.mark.parametrize(
    ("gigabytes", "room"), [(1, limits.DEFAULT_MEMORY), (8, 4 << 30), (64, limits.MOST_MEMORY)]
)
def test_what_is_encoded_by_default_is_decoded_or_a_line_says_otherwise(
    monkeypatch, gigabytes: int, room: int
) -> None:
    pages = {"SC_PHYS_PAGES": gigabytes << 18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(limits.os, "sysconf", pages.__getitem__)
    limits.default_memory.cache_clear()
    try:
        assert limits.default_memory() == room
        for width, height in ((640, 360), (3840, 2160), (5312, 2988)):
            fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25))
            encoder = gvcodec.Encoder(fmt, gvcodec.EncoderConfig(base="av1", fit=0))
            noted = any("--max-memory" in note for note in encoder.notes)
            try:
                limits.check(encoder.header, encoder.header.is_painted, gvcodec.Limits())
            except gvcodec.LimitError as error:
                assert noted and "in Python Limits(max_memory" in str(error)
            else:
                assert not noted
    finally:
        limits.default_memory.cache_clear()
