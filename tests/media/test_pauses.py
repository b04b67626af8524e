"""Pictures that stand: pauses of recordings, long pictures of a GIF, slides, in every video file
that decoding writes."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise

import av
import pytest

from gvcodec import encode_file
from gvcodec.bitstream import Reader
from gvcodec.container.write import write_one_file
from gvcodec.errors import MediaError
from gvcodec.media.decoding_times import DecodingTimes, FileClock
from gvcodec.media.writer import open_writer
from gvcodec.types import VideoFormat
from tests.clips import make_clip

CLIP = make_clip(64, 64, 4)
#: Periods from each frame to the next.
PAUSES = {
    "recording": [1] * 40 + [75] + [1] * 40,
    "first picture": [200] + [1] * 50,
    "slides": [500] * 20,
    "two pictures": [1000],
    "camera at night": [1, 1, 40, 1, 300, 1, 1, 1, 33, 32, 31] * 6,
}


def times(path) -> list[Fraction]:
    with av.open(str(path)) as container:
        found = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    return [time - found[0] for time in found]


def write(path, fmt: VideoFormat, ticks: list[int], crf: float | None) -> list[Fraction]:
    with open_writer(path, fmt, crf=crf, threads=1) as writer:
        for number, pts in enumerate(ticks):
            writer.write(CLIP[number % len(CLIP)], pts)
        writer.end(ticks[-1] + round(fmt.period))
    return [(pts - ticks[0]) * fmt.time_base for pts in ticks]


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("kind", PAUSES)
def test_a_pause_is_written_with_its_length(tmp_path, kind: str, suffix: str, depth: int) -> None:
    path = tmp_path / f"a.{suffix}"
    fmt = VideoFormat(64, 64, Fraction(25), Fraction(1, 1000), depth)
    wanted = write(path, fmt, list(accumulate([0, *(40 * n for n in PAUSES[kind])])), 20)
    assert times(path) == wanted


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("scale", [10**6, 10**7, 10**9, (1 << 31) - 1])
def test_a_fine_clock_leaves_room_for_an_hour(tmp_path, scale: int, suffix: str) -> None:
    fmt = VideoFormat(64, 64, Fraction(25), Fraction(1, scale), 8)
    period = round(fmt.period)
    ticks = list(accumulate([0, *[period] * 20, 3600 * scale, *[period] * 20]))
    wanted = write(tmp_path / f"a.{suffix}", fmt, ticks, 20)
    for time, right in zip(times(tmp_path / f"a.{suffix}"), wanted, strict=True):
        assert abs(time - right) < Fraction(1, 90_000)


def test_a_pause_that_a_file_cannot_hold_is_refused_in_words(tmp_path) -> None:
    fmt = VideoFormat(64, 64, Fraction(30), Fraction(1, 90_000), 8)
    ticks = [0, 3000, 3000 + 36_000 * 90_000]
    with pytest.raises(MediaError, match=r"stands for 36000 s, longer than \.mp4.*\.mkv can"):
        write(tmp_path / "a.mp4", fmt, ticks, 20)
    assert not list(tmp_path.iterdir())
    write(tmp_path / "a.mkv", fmt, ticks, 20)
    assert times(tmp_path / "a.mkv")[-1] > 36_000


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_file_that_plays_everywhere_holds_a_pause(tmp_path, suffix: str) -> None:
    fmt = VideoFormat(64, 64, Fraction(25), Fraction(1, 1000), 8)
    ticks = list(accumulate([0, *[40] * 5, 100_000, *[40] * 5]))
    wanted = write(tmp_path / "a.mkv", fmt, ticks, None)
    encode_file(tmp_path / "a.mkv", tmp_path / "a.gvc", fit=0, preset=10)
    with open(tmp_path / "a.gvc", "rb") as stream:
        write_one_file(Reader(stream, "a.gvc"), tmp_path / f"b.{suffix}", False)
    assert times(tmp_path / f"b.{suffix}") == wanted


@pytest.mark.parametrize("dts", [1, 54325817272369283, -54325817272369283, 0, -8])
def test_a_packet_is_decoded_when_that_is_possible(dts: int) -> None:
    """x265 leaves any decoding time in a video of two frames."""
    decoding = DecodingTimes(Fraction(1))
    decoding.send(0)
    packet = packet_at(0, dts)
    decoding.mend(packet)
    assert packet.dts == (dts if -32 <= dts <= 0 else 0)


def test_decoding_times_rise_after_one_that_was_mended() -> None:
    decoding, found = DecodingTimes(Fraction(1)), []
    for pts, dts in ((0, 0), (1, -(10**12)), (2, 10**12), (3, 0)):
        decoding.send(pts)
        packet = packet_at(pts, dts)
        decoding.mend(packet)
        found.append(packet.dts)
    assert found == [0, 1, 2, 3]


def test_times_in_a_coarser_clock_differ() -> None:
    clock = FileClock("mp4", Fraction(1, 10**9))
    found = [clock.send(pts) for pts in (0, 1, 2, 5000, 10**9)]
    assert all(a < b for a, b in pairwise(found))
    assert found[-1] * clock.tick == 1
    assert FileClock("matroska", Fraction(1, 10**9)).tick == Fraction(1, 10**9)


def packet_at(pts: int, dts: int) -> av.Packet:
    packet = av.Packet(b"x")
    packet.time_base, packet.pts, packet.dts = Fraction(1, 24), pts, dts
    return packet
