"""Clocks of real files: frames are shown evenly from 0, and pauses keep their length."""

import io
import json
from fractions import Fraction
from itertools import accumulate, groupby, pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
import gvcodec as api
from gvcodec import encode_file
from gvcodec.batch.tasks import make_plan
from gvcodec.bitstream import Reader
from gvcodec.errors import MediaError
from gvcodec.one_file.write import write_one_file
from gvcodec.retrieval.files import open_summarised
from gvcodec.sink.writer import open_writer
from gvcodec.tracks.packets import TrackReader
from gvcodec.types import VideoFormat
from tests.clips import add_video, make_clip, put_pictures, read_film, sound_of
from tests.conftest import metadata_of, run

TICK = Fraction(1, 90000)
QUICK = {"base": "av1", "preset": 10, "fit": 0.0}


def picture(number: int, width: int = 64, height: int = 48) -> av.VideoFrame:
    image = np.full((height, width, 3), 40 + 5 * number, np.uint8)
    image[: height // 2, : 8 + number] = 255
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")


def recording(
    kind: str,
    frames: int = 10,
    begin: int = 0,
    sound: bool = False,
    codec: str = "libx264",
    path: Path | None = None,
) -> bytes:
    """A file of this kind with B frames, 25 a second, whose clock begins at `begin` (1/90000 s)."""
    memory = io.BytesIO() if path is None else None
    # FFmpeg writes timestamps modulo 2^33.
    with av.open(memory or str(path), "w", format=kind) as container:
        options = {"bf": "2"} if codec == "mpeg2video" else {"bf": "3", "b_strategy": "0"}
        video = container.add_stream(codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt, video.time_base = 64, 48, "yuv420p", TICK
        video.codec_context.time_base = TICK if codec == "libx264" else Fraction(1, 25)
        audio = container.add_stream("mp2", rate=48000) if sound else None
        for number in range(frames):
            frame = picture(number)
            frame.pts, frame.time_base = begin + 3600 * number, TICK
            container.mux(video.encode(frame))
            if audio is not None:
                at = round((begin + 3600 * number) * TICK * 48000)
                container.mux(audio.encode(sound_of(np.zeros((2, 1920), np.int16), 48000, at)))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return memory.getvalue() if memory else b""


def times_of(path: Path, **options: float) -> list[float]:
    return [round(float(time), 6) for time in read_film(path, **options).seconds]


def style_offsets_of(path: Path, start: float = 0.0) -> list[int]:
    return [int(planes[0][-1, -1]) for planes in read_film(path, start).planes]


def shown(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [round(float(f.pts * f.time_base), 3) for f in container.decode(video=0)]


def even(count: int) -> list[float]:
    return [round(0.04 * number, 6) for number in range(count)]


@pytest.mark.parametrize("before", [-180_000, -18_000, -3_600, 0])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_33_bit_clock_that_runs_over_loses_no_frame(tmp_path, before: int, codec: str) -> None:
    source = tmp_path / "wrap.ts"
    source.write_bytes(recording("mpegts", begin=2**33 + before, codec=codec))
    assert times_of(source) == even(10)
    api.encode_file(source, tmp_path / "a.gvc", **QUICK)
    api.decode_file(tmp_path / "a.gvc", tmp_path / "a.mp4", fidelity=True)
    assert shown(tmp_path / "a.mp4") == even(10)


@pytest.mark.parametrize("begins", [(0, 0), (0, 1000), (1000, 0), (5, 1000, 0), (0, 0, 0)], ids=str)
def test_timestamps_that_begin_anew_go_on(tmp_path, begins: tuple[int, ...]) -> None:
    source = tmp_path / "jump.ts"
    parts = (recording("mpegts", begin=90_000 * begin, sound=True) for begin in begins)
    source.write_bytes(b"".join(parts))
    film = read_film(source)
    assert [*map(float, film.seconds)] == pytest.approx(even(10 * len(begins)), abs=1e-6)
    assert any("restart at 0.40 s" in note for note in film.reader.notes)
    heard = TrackReader(film.reader.tracks.pop())
    seconds = [float(packet.pts * heard.ticks[0]) for packet in heard.waiting]
    assert len(seconds) >= 15 * len(begins) and seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(0.4 * len(begins), abs=0.08)


@pytest.mark.parametrize("start", [0.2, 0.44, 0.72])
@pytest.mark.parametrize("begins", [(0, 0), (1000, 0)], ids=str)
def test_start_counts_on_the_joined_clock(tmp_path, start: float, begins: tuple[int, ...]) -> None:
    source = tmp_path / "jump.ts"
    source.write_bytes(b"".join(recording("mpegts", begin=90_000 * begin) for begin in begins))
    assert style_offsets_of(source, start) == style_offsets_of(source)[round(start / 0.04) :]


def test_a_file_whose_clock_jumps_is_one_chunk(tmp_path) -> None:
    source = tmp_path / "jump.ts"
    source.write_bytes(recording("mpegts") + recording("mpegts", begin=90_000_000))
    assert len(make_plan(str(source), 0.0, None, 8).chunks) == 1
    source.write_bytes(recording("mpegts", begin=2**33 - 18_000))
    assert make_plan(str(source), 0.0, None, 8).frames == 10


@pytest.mark.parametrize("kind", ["avi", "asf", "mxf", "matroska", "mp4", "nut", "flv", "mpegts"])
def test_b_frames_come_evenly_from_every_kind_of_file(tmp_path, kind: str) -> None:
    source = tmp_path / "a.file"
    recording(kind, frames=20, path=source)
    assert times_of(source) == pytest.approx(even(20), abs=0.0011)
    assert (
        style_offsets_of(source) == sorted(style_offsets_of(source))
        and len(times_of(source, start=0.2)) == 15
    )


@pytest.fixture
def late(tmp_path) -> Path:
    source = tmp_path / "late.mkv"
    recording("matroska", frames=20, begin=900_000, path=source)
    return source


def test_time_begins_with_the_first_frame_in_every_command(late: Path, tmp_path) -> None:
    stream = tmp_path / "a.gvc"
    run("encode", late, stream, "--fit", "off", "--preset", 10)
    run("summarize", stream, "-y")
    video = gvcodec.open(stream, fidelity=True)
    assert (video.metadata.begin_stream_seconds, video.metadata.end_stream_seconds) == (0, 0.8)
    assert video.get_frame_at(5).pts_seconds == 0.2
    assert video.get_frame_played_at(0.21).pts_seconds == 0.2
    with open_summarised(str(stream)) as file:
        assert file.seconds(5) == 0.2
    assert "source start       10" in run("info", stream).out
    found = json.loads(run("search", f"{stream}@0.4", stream, "-k", 1, "--json").out)["moments"][0]
    assert found["seconds"] == pytest.approx(found["frame"] * 0.04)
    for name in ("a.mp4", "a.mkv"):
        run("decode", stream, tmp_path / name, "--fidelity")
        assert shown(tmp_path / name) == even(20)
    run("cut", stream, tmp_path / "b.gvc", "--to", 0.5)
    with open(tmp_path / "b.gvc", "rb") as piece:
        assert Reader(piece).header.start_pts == 0
    assert metadata_of(tmp_path / "b.gvc").source_start == 10_000_000


def test_y4m_repeats_pictures_that_stand(tmp_path) -> None:
    with av.open(str(tmp_path / "vfr.mkv"), "w") as container:
        stream = add_video(container, 64, 48)
        stream.codec_context.time_base, stream.codec_context.colorspace = TICK, 1
        frames = list(map(picture, range(6)))
        for frame, at in zip(frames, (0, 1, 2, 8, 9, 20), strict=True):
            frame.pts, frame.time_base, frame.colorspace = 3600 * at, TICK, 1
        put_pictures(container, stream, frames)
    api.encode_file(tmp_path / "vfr.mkv", tmp_path / "a.gvc", **QUICK)
    notes = run("decode", tmp_path / "a.gvc", tmp_path / "a.y4m", "--fidelity").err
    assert "colour tags left out" in notes and "15 frames repeated" in notes
    levels = (int(planes[0][-1, -1]) for planes in read_film(tmp_path / "a.y4m").planes)
    assert [len(list(same)) for _, same in groupby(levels)] == [1, 1, 6, 1, 11, 1]
    recording("mp4", path=tmp_path / "even.mp4")
    api.encode_file(tmp_path / "even.mp4", tmp_path / "b.gvc", **QUICK)
    assert "repeated" not in run("decode", tmp_path / "b.gvc", tmp_path / "b.y4m", "--fidelity").err


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_frames_before_the_first_keyframe_are_reported(tmp_path, codec: str) -> None:
    """A recording that begins in the middle of a broadcast."""
    first, second = (recording("mpegts", 10, begin=36_000 * n, codec=codec) for n in (0, 1))
    packets = [first[at : at + 188] for at in range(0, len(first), 188)]
    video = [n for n, p in enumerate(packets) if int.from_bytes(p[1:3]) & 0x1FFF == 0x100]
    starts = [n for n in video if packets[n][1] & 0x40]
    # The tables stay, the keyframe at the beginning is lost.
    cut = b"".join(packets[: starts[0]] + packets[starts[2] :])
    path = tmp_path / "cut.ts"
    path.write_bytes(cut + second)
    film = read_film(path)
    assert len(film.planes) < 20
    assert any("before the first picture that can be decoded" in n for n in film.reader.notes)
    path.write_bytes(first)
    film = read_film(path)
    assert len(film.planes) == 10 and not film.reader.notes


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


def test_a_pause_that_a_file_cannot_hold_is_refused(tmp_path) -> None:
    fmt = VideoFormat(64, 64, Fraction(30), Fraction(1, 90_000), 8)
    ticks = [0, 3000, 3000 + 36_000 * 90_000]
    with pytest.raises(MediaError, match=r"a\.mp4: cannot be written"):
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


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_few_frames_of_ten_bits_are_at_their_times(tmp_path, suffix: str, frames: int) -> None:
    """x265 decodes ahead by more frames than there are."""
    fmt = VideoFormat(64, 64, Fraction(24), Fraction(1, 24), 10)
    wanted = write(tmp_path / f"a{suffix}", fmt, list(range(frames)), 20)
    assert read_film(tmp_path / f"a{suffix}").seconds == pytest.approx(wanted, abs=0.001)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_in_a_coarser_clock_differ(tmp_path, suffix: str) -> None:
    fmt = VideoFormat(64, 64, Fraction(24), Fraction(1, 10**9))
    write(tmp_path / f"a{suffix}", fmt, [0, 1, 2, 5000, 10**9], 20)
    seconds = read_film(tmp_path / f"a{suffix}").seconds
    assert all(a < b for a, b in pairwise(seconds)) and seconds[-1] == pytest.approx(1, abs=0.001)
