"""Chunks and starts give the frames of one pass; clocks that jump, edit lists."""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gvcodec.batch import tasks
from gvcodec.batch.tasks import make_plan, make_settings
from gvcodec.config import EncoderConfig
from gvcodec.input_options import InputOptions
from gvcodec.source.frame_reader import InexactSeekError, Span
from tests.clips import add_video, copy_tracks, number_of, numbered, read_film

FRAMES = 48


def write(
    path: Path,
    codec: str = "libx264",
    times: Sequence[int] = range(FRAMES),
    change: Callable[[list[bytes]], list[bytes]] | None = None,
    muxer: str | None = None,
    pix_fmt: str = "yuv420p",
    **options: str,
) -> Path:
    """Pictures with their number at these times (1/25 s); `change` is given the coded ones."""
    with av.open(str(path), "w", format=muxer) as container:
        options = {"g": "8", **options}
        stream = add_video(container, 64, 48, codec, pix_fmt=pix_fmt, options=options)
        packets = []
        for number, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame = picture.reformat(format=pix_fmt)
            frame.pts, frame.time_base = time, Fraction(1, 25)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if change is not None:
            for n, data in enumerate(change([bytes(packet) for packet in packets])):
                made = av.Packet(data)
                made.pts = made.dts = n
                made.time_base, made.stream = Fraction(1, 25), stream
                made.is_keyframe = packets[n].is_keyframe
                container.mux(made)
        else:
            container.mux(packets)
    return path


def read(path: Path, start: float = 0.0, **options: object) -> list[tuple[int, float]]:
    film = read_film(path, start, **options)
    numbers = (number_of(y, 1023) for y, *_ in film.planes)
    return [(n, round(float(time), 3)) for n, time in zip(numbers, film.seconds, strict=True)]


def pack(packets: list[bytes]) -> list[bytes]:
    """As DivX does: a B-frame comes with the frame that it was to follow, then one of no size."""
    mark = b"\0\0\1\xb2DivX503b1393p"
    vop = packets[0].index(b"\0\0\1\xb6")
    packed = [packets[0][:vop] + mark + packets[0][vop:]]
    rest = packets[1:]
    for first, second in zip(rest[::2], rest[1::2], strict=False):
        packed += [first + second, b"\0\0\1\xb6\x50\0\0\x7f"]
    return packed + rest[len(packed) - 1 :]


def trimmed(folder: Path) -> Path:
    return edited(write(folder / "in.mov", bf="2"), [(1.2, 0.0)])


def edited_twice(folder: Path) -> Path:
    return edited(write(folder / "in.mov", bf="2"), [(0.48, 0.16), (0.48, 1.2)])


def edited(path: Path, edits: Sequence[tuple[float, float]]) -> Path:
    """An MP4 file, whose index comes last, with edits (seconds long, seconds where they begin)."""
    data = bytearray(path.read_bytes())
    scale = int.from_bytes(data[(at := data.index(b"mvhd") + 16) : at + 4])
    unit = int.from_bytes(data[(at := data.index(b"mdhd") + 16) : at + 4])
    begin = data.index(b"elst")
    old = int.from_bytes(data[begin - 4 : begin])
    (delay,) = struct.unpack_from(">i", data, begin + 16)
    places = ((round(length * scale), round(at * unit) + delay) for length, at in edits)
    entries = [struct.pack(">IiHH", *place, 1, 0) for place in places]
    new = struct.pack(">4sII", b"elst", 0, len(edits)) + b"".join(entries)
    data[begin : begin + old - 4] = new
    for name in (b"moov", b"trak", b"edts", b"elst"):
        at = data.index(name) - 4
        size = int.from_bytes(data[at : at + 4]) + len(new) + 4 - old
        data[at : at + 4] = size.to_bytes(4)
    path.write_bytes(data)
    return path


def all_at_zero(folder: Path) -> Path:
    def zero(packet: av.Packet) -> None:
        packet.pts = packet.dts = 0

    return copy_tracks(write(folder / "in.mkv", bf="0"), folder / "in.flv", zero)


SOURCES = {
    "small pictures": lambda folder: write(folder / "in.mpg", "mpeg2video", bf="2"),
    "packed B frames": lambda folder: write(folder / "in.avi", "mpeg4", change=pack, bf="1"),
    "raw": lambda folder: write(folder / "in.h264", bf="2"),
    # A pack's time goes to the last picture of one GOP and to the keyframe of the next.
    "keys without a time": lambda folder: write(folder / "in.vcd", muxer="vcd", bf="2"),
    "no seeking": lambda folder: write(folder / "in.fits", "fits", muxer="fits", pix_fmt="gray"),
}
SOURCES |= {"trimmed": trimmed, "edited twice": edited_twice, "all at zero": all_at_zero}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_chunks_hold_what_one_go_holds(tmp_path, source: Callable[[Path], Path]) -> None:
    path = source(tmp_path)
    whole = read(path)
    assert len(whole) >= 23 and [n for n, _ in whole] == sorted({n for n, _ in whole})
    plan = make_plan(str(path), 0.0, None, 8)
    assert plan.frames == len(whole)
    found = []
    for number, chunk in enumerate(plan.chunks):
        frames = chunk.frames if len(plan.chunks) > 1 else None
        found += read(path, frames=frames, span=plan.span(number))
    assert found == whole


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("first", [3, 9, 16, 21])
def test_a_start_gives_the_frames_of_one_go(tmp_path, source, first):
    path = source(tmp_path)
    whole = read(path)
    start = whole[first][1]
    found = read(path, start)
    assert [n for n, _ in found] == [n for n, _ in whole[first:]]
    off = [a + start - b for (_, a), (_, b) in zip(found, whole[first:], strict=True)]
    assert max(map(abs, off)) < 0.002


def test_an_edit_that_ends_early_and_two_edits_have_their_frames(tmp_path) -> None:
    whole = read(trimmed(tmp_path))
    assert [n for n, _ in whole] == list(range(30))
    path = edited_twice(tmp_path)
    whole = read(path)
    assert [n for n, _ in whole] == [*range(4, 16), *range(30, 42)]
    with av.open(str(path)) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0) if f.time_base]
    assert [time for _, time in whole] == [round(time - times[0], 3) for time in times]


def test_frames_of_another_number_or_time_or_look_are_noticed(tmp_path) -> None:
    path = write(tmp_path / "in.mkv")
    span = make_plan(str(path), 0.0, None, 16).span(1)
    assert span is not None and len(read(path, span=span)) == span.frames
    for other in (
        Span(span.begin, span.frames - 1, span.check),
        Span(span.begin + 1, span.frames, span.check),
        Span(span.begin, span.frames, span.check ^ 1),
    ):
        with pytest.raises(InexactSeekError):
            read(path, span=other)


def test_a_chunk_that_seeking_misses_is_read_from_the_beginning(tmp_path, monkeypatch) -> None:
    path = write(tmp_path / "in.mkv")
    plan = make_plan(str(path), 0.0, None, 16)
    monkeypatch.setattr("gvcodec.source.frame_reader._EARLIER", (-0.4,))
    with pytest.raises(InexactSeekError):
        read(path, span=plan.span(1))
    settings = make_settings(EncoderConfig(base="av1", preset=10, fit=0), None, 0.0, None)
    row = tasks.encode(str(path), settings, plan, 1, 1, str(tmp_path / "a.gvc"))
    assert row["frames"] == plan.chunks[1].frames
    # A plan made now trusts no seek.
    assert len(make_plan(str(path), 0.0, None, 16).chunks) == 1


def jump(path: Path, new: Callable[[int, int], int]) -> Path:
    """An FLV file whose n-th picture has another time (ms)."""
    data, at, number = bytearray(path.read_bytes()), 13, 0
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4])
        if data[at] == 9 and data[at + 12]:
            time = max(0, new(number, int.from_bytes(data[at + 4 : at + 7]) | data[at + 7] << 24))
            data[at + 4 : at + 8] = (time & 0xFFFFFF).to_bytes(3) + bytes([time >> 24])
            number += 1
        at += 15 + size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("b_frames", ["0", "2"])
@pytest.mark.parametrize(
    "new",
    [
        lambda n, time: time + 3_600_000 * (n == 20),
        lambda n, time: time + 3_600_000 * (20 <= n < 23),
        lambda n, time: time - 700 * (n >= 20),
    ],
)
def test_a_clock_that_jumps_within_a_gop_goes_on(tmp_path, new, b_frames: str) -> None:
    film = read_film(jump(write(tmp_path / "in.flv", bf=b_frames), new))
    times = [*map(float, film.seconds)]
    assert len(times) == FRAMES and "timestamps restart" in " ".join(film.reader.notes)
    assert np.allclose(np.diff(times), 0.04, atol=0.003)


#: Ten pictures, one that stands for three seconds, and more.
PAUSE = [*range(10), *range(84, 94)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".flv", ".ts"])
@pytest.mark.parametrize(
    ("start", "until", "numbers", "length"),
    [
        (2.0, 3.52, [9, *range(10, 14)], 1.52),
        (1.0, 2.0, [9], 1.0),
        (0.3, 2.0, [8, 9], 1.7),
        (3.36, None, list(range(10, 20)), 0.4),
    ],
)
def test_a_part_begins_and_ends_with_the_picture_that_stands(
    tmp_path, suffix: str, start: float, until: float | None, numbers: list[int], length: float
) -> None:
    path = write(tmp_path / f"in{suffix}", times=PAUSE)
    shown, times, reader = read_film(path, start, input_options=InputOptions(until=until))
    assert [number_of(y, 1023) for y, *_ in shown] == numbers
    end = times[-1] + Fraction(1, 25)
    end = end if reader.end is None else reader.end * reader.format.time_base
    assert abs(float(end) - length) < 0.03
