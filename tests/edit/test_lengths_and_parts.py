"""Durations, parts that begin inside a long picture, and pieces compared with their source."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.compare import compare
from gvcodec.planes import frame_from_planes
from tests.clips import add_video, put_pictures, sound_of, write_clip
from tests.conftest import moving_texture, run
from tests.media.test_clocks import recording

QUICK = ("--fit", "off", "--preset", "10", "--base", "av1", "-y")
FRAMES, STAY = 10, Fraction(3)
LENGTH = Fraction(FRAMES - 1, 25) + STAY


def write(path: Path, times: list[int], last: int, rate: int = 25, bframes: int = 2) -> Path:
    """Pictures at `times` (in 1/1000 s), the last for `last`."""
    with av.open(str(path), "w") as container:
        tick = Fraction(1, 1000 * (1 + (rate > 1000)))
        stream = add_video(container, 48, 48, rate=rate, options={"bf": str(bframes)})
        stream.codec_context.time_base = stream.time_base = tick
        packets = []
        for time, planes in zip(times, moving_texture(48, 48, len(times)), strict=True):
            frame = frame_from_planes(planes, 8)
            frame.pts, frame.time_base = time, tick
            packets += stream.encode(frame)
        packets += stream.encode(None)
        max(packets, key=lambda packet: packet.pts).duration = packets[-1].duration = last
        container.mux(packets)
    return path


def write_stay(folder: Path, suffix: str) -> Path:
    """Ten pictures, the last of which stays."""
    bframes = 0 if suffix == ".mp4" else 2
    return write(folder / f"stay{suffix}", [40 * n for n in range(FRAMES)], 3000, bframes=bframes)


def length(path: Path) -> float:
    with av.open(str(path)) as container:
        return container.duration / 1e6


def shown(path: Path) -> float:
    return gvcodec.info(path).duration


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_last_picture_stays(suffix: str, tmp_path) -> None:
    stay = write_stay(tmp_path, suffix)
    stream, near = tmp_path / "a.gvc", pytest.approx(float(LENGTH), abs=0.03)
    run("encode", stay, stream, *QUICK)
    assert shown(stream) == near
    with gvcodec.Video(stream, fidelity=True) as video:
        assert video.metadata.duration_seconds == near
    for ending in ("mp4", "mkv"):
        run("decode", stream, out := tmp_path / f"a.{ending}", "--fidelity")
        assert length(out) == near
        run("extract", stream, out := tmp_path / f"x.{ending}")
        assert length(out) == near
    run("encode", stay, tmp_path / "one.mp4", *QUICK)
    assert length(tmp_path / "one.mp4") == near
    run("extract", tmp_path / "one.mp4", tmp_path / "again.gvc")
    assert (tmp_path / "again.gvc").read_bytes() == stream.read_bytes()
    # What was decoded is encoded again.
    run("encode", tmp_path / "a.mp4", tmp_path / "b.gvc", *QUICK)
    assert shown(tmp_path / "b.gvc") == near


@pytest.mark.usefixtures("inline_batch")
def test_the_last_picture_stays_in_every_way_to_encode(tmp_path) -> None:
    stay, near = write_stay(tmp_path, ".mkv"), pytest.approx(float(LENGTH), abs=0.03)
    for number, how in enumerate((("--size", "20k"), ("--target", "psnr=30"), ("--jobs", "1"))):
        run("encode", stay, tmp_path / f"{number}.gvc", *QUICK, *how)
        assert shown(tmp_path / f"{number}.gvc") == near
    run("batch", stay, "-o", tmp_path / "out", *QUICK[:-1], "--jobs", "1")
    (made,) = (tmp_path / "out").glob("*.gvc")
    assert shown(made) == near
    run("cut", made, tmp_path / "cut.gvc")
    run("cat", made, made, "-o", tmp_path / "cat.gvc")
    assert shown(tmp_path / "cut.gvc") == near
    assert shown(tmp_path / "cat.gvc") == pytest.approx(2 * float(LENGTH), abs=0.06)
    run("encode", stay, tmp_path / "part.gvc", *QUICK, "--frames", "4")
    assert shown(tmp_path / "part.gvc") == pytest.approx(0.16, abs=0.03)


def test_rates_are_by_time_not_by_frames(tmp_path) -> None:
    """A screen recording: 8 frames in 4 s."""
    times = [0, 40, 600, 1200, 1800, 2400, 3000, 3960]
    source = write(tmp_path / "sparse.mp4", times, 40, bframes=0)
    done = gvcodec.encode_file(source, tmp_path / "a.gvc", base="av1", preset=10, fit=0)
    facts = gvcodec.info(tmp_path / "a.gvc")
    assert facts.duration == pytest.approx(4.0, abs=0.2)
    assert facts.kbps == pytest.approx(8 * facts.video_bytes / 4000, rel=0.05)
    assert done.kbps == pytest.approx(facts.kbps)
    words = {"base": "av1", "preset": 10, "fit": 0, "bitrate": "12k"}
    done = gvcodec.encode_file(source, tmp_path / "b.gvc", **words)
    assert 0.8 * 6000 < done.size <= 1.05 * 6000


def test_a_high_speed_camera_keeps_its_rate(tmp_path) -> None:
    source = write(tmp_path / "fast.mp4", list(range(20)), 1, rate=2000, bframes=0)
    done = gvcodec.encode_file(source, tmp_path / "a.gvc", base="av1", preset=10, fit=0)
    assert done.format.frame_rate == 2000
    assert gvcodec.info(tmp_path / "a.gvc").duration == pytest.approx(0.01, abs=0.001)


#: Ten pictures, the last of which stands for a second, and ten more.
TIMES = [*range(10), *range(34, 44)]


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standing")
    with av.open(str(folder / "in.mkv"), "w") as container:
        video = add_video(container, 64, 48, options={"g": "40", "bf": "0"})
        sound = container.add_stream("pcm_s16le", rate=8000)
        levels = (np.full((48, 64, 3), 10 * number, np.uint8) for number in range(len(TIMES)))
        frames = [av.VideoFrame.from_ndarray(level, format="rgb24") for level in levels]
        for frame, time in zip(frames, TIMES, strict=True):
            frame.pts, frame.time_base = time, Fraction(1, 25)
        put_pictures(container, video, frames)
        for n in range(44):
            container.mux(sound.encode(sound_of(np.full((1, 320), n, np.int16), 8000, 320 * n)))
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
    with av.open(str(path)) as container:
        levels = (frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0))
        shown = [round(float(level) / 10) for level in levels]
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    return shown, samples / 8000


WAYS = [("file", part) for part in PARTS]
WAYS += [("pipe", PARTS[1]), ("exact cut", PARTS[1]), ("exact cut", PARTS[4])]


@pytest.mark.parametrize(("way", "part"), WAYS)
def test_a_part_shows_and_sounds_what_stands(stream, tmp_path, way, part):
    start, end, numbers, length = part
    piece, out = tmp_path / "piece.gvc", tmp_path / "out.mkv"
    if way == "exact cut":
        gvcodec.cut(stream, piece, start, end, exact=True)
        assert abs(gvcodec.info(piece).duration - length) < 0.001
        gvcodec.decode_file(piece, out, fidelity=True)
    else:
        source = io.BytesIO(stream.read_bytes()) if way == "pipe" else stream
        gvcodec.decode_file(source, out, start=start, end=end, fidelity=True)
    shown, sound = numbers_of(out)
    assert shown == numbers and abs(sound - length) < 0.05


FINE = ("--fit", "off", "--preset", "10", "--base-q", "10", "--keyint", "5", "--base", "av1", "-y")
EXCERPTS = [("--start", "0.2", "--frames", "6"), ("-r", "12.5"), ("--to", "0.6")]


@pytest.fixture(scope="module", params=["a.mkv", "a.y4m", "b.ts"])
def film(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / request.param
    if path.suffix == ".ts":
        # Its clock does not begin at 0.
        path.write_bytes(recording("mpegts", 20, begin=126_000))
    else:
        write_clip(path, moving_texture(64, 48, 20))
    return path


def agreement(stream: Path, film: Path) -> float:
    found = gvcodec.verify(stream, film, fidelity=True)
    assert found.compared == found.frames and found.base_psnr is not None
    return found.base_psnr[0]


@pytest.mark.parametrize("part", EXCERPTS, ids=" ".join)
def test_a_part_is_compared_with_that_part(film: Path, tmp_path, part: tuple[str, ...]) -> None:
    if film.suffix == ".y4m" and part[0] == "-r":
        pytest.skip("a y4m has no times of its own")
    run("encode", film, tmp_path / "a.gvc", *FINE, *part)
    assert agreement(tmp_path / "a.gvc", film) > 34


def test_a_cut_is_compared_with_what_was_cut(film: Path, tmp_path) -> None:
    run("encode", film, tmp_path / "a.gvc", *FINE)
    run("cut", tmp_path / "a.gvc", tmp_path / "b.gvc", "--from", "0.45")
    assert gvcodec.info(tmp_path / "b.gvc").frames == 10
    assert agreement(tmp_path / "b.gvc", film) > 34
    assert min(compare(film, tmp_path / "b.gvc", []).rows[0].psnr) > 30


def test_verify_counts_the_frames_that_the_source_has(tmp_path) -> None:
    for name, count in (("long.mkv", 20), ("short.mkv", 8)):
        write_clip(tmp_path / name, moving_texture(64, 48, count))
    run("encode", tmp_path / "long.mkv", tmp_path / "a.gvc", *FINE, "--start", "0.2")
    said = run(
        "verify", tmp_path / "a.gvc", "--source", tmp_path / "short.mkv", "--fidelity", code=10
    )
    assert "3 frames compared" in said.out
