"""How long a video is: the last picture stays as long as in the source, and rates are by the time
that frames are shown, not by their number."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

import gvcodec
from gvcodec.bitstream import Reader
from gvcodec.edit.info import duration_of
from gvcodec.media.planes import frame_from_planes
from gvcodec.types import Colour, VideoFormat
from tests.clips import add_video
from tests.conftest import moving_texture, run

QUICK = ("--fit", "off", "--preset", "10", "--base", "av1", "-y")
FRAMES, STAY = 10, Fraction(3)
LENGTH = Fraction(FRAMES - 1, 25) + STAY
FORMAT = VideoFormat(48, 48, Fraction(25), Fraction(1, 12800), 8, Colour(1, 1, 1))


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
        newest = max(packets, key=lambda packet: packet.pts)
        newest.duration = packets[-1].duration = last
        container.mux(packets)
    return path


@pytest.fixture(scope="module", params=["stay.mp4", "stay.mkv"])
def stay(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stay") / request.param
    return write(
        path, [40 * n for n in range(FRAMES)], 3000, bframes=0 if "mp4" in path.name else 2
    )


def length(path: Path) -> float:
    with av.open(str(path)) as container:
        return container.duration / 1e6


def shown(path: Path) -> float:
    with open(path, "rb") as file:
        return float(duration_of(Reader(file)))


def test_the_last_picture_stays(stay: Path, tmp_path) -> None:
    stream, near = tmp_path / "a.gvc", pytest.approx(float(LENGTH), abs=0.03)
    run("encode", stay, stream, *QUICK)
    assert shown(stream) == near == gvcodec.info(stream).duration
    with gvcodec.Video(stream, fidelity=True) as video:
        assert video.metadata.duration_seconds == near
    for suffix in ("mp4", "mov", "mkv", "webm"):
        run("decode", stream, out := tmp_path / f"a.{suffix}", "--fidelity")
        assert length(out) == near
    for suffix in ("mp4", "mkv"):
        run("extract", stream, out := tmp_path / f"x.{suffix}")
        assert length(out) == near
    run("encode", stay, tmp_path / "one.mp4", *QUICK)
    assert length(tmp_path / "one.mp4") == near
    run("extract", tmp_path / "one.mp4", tmp_path / "again.gvc")
    assert (tmp_path / "again.gvc").read_bytes() == stream.read_bytes()
    # What was decoded is encoded again.
    run("encode", tmp_path / "a.mp4", tmp_path / "b.gvc", *QUICK)
    assert shown(tmp_path / "b.gvc") == near


def test_the_last_picture_stays_in_every_way_to_encode(stay: Path, tmp_path) -> None:
    near = pytest.approx(float(LENGTH), abs=0.03)
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


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_rates_are_by_time_not_by_frames(tmp_path, suffix: str) -> None:
    """A screen recording: 8 frames in 4 s."""
    times = [0, 40, 600, 1200, 1800, 2400, 3000, 3960]
    source = write(tmp_path / f"sparse.{suffix}", times, 40, bframes=0)
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
