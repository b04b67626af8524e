"""`gvcodec decode`: files that play everywhere, exit codes, what is written when something is missing."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip
from conftest import planes_equal, psnr
from test_tools import run

import gvcodec
from gvcodec import cli
from gvcodec.media.reader import VideoReader
from gvcodec.media.writer import open_writer, visually_lossless
from gvcodec.types import Colour, Planes, VideoFormat

WIDTH, HEIGHT = 160, 128


def form(depth: int = 8, width: int = WIDTH, height: int = HEIGHT) -> VideoFormat:
    return VideoFormat(width, height, Fraction(25), Fraction(1, 12800), depth, Colour(1, 1, 1))


@pytest.fixture(scope="module")
def frames() -> list[Planes]:
    return make_clip(WIDTH, HEIGHT, 10, seed=5)


def stream_of(frames: list[Planes], fmt: VideoFormat, **options: object) -> bytes:
    """A `klt` stream with a keyframe every four frames."""
    config = gvcodec.EncoderConfig(q=20, base="klt", keyint=4, tune=0, threads=1)
    encoder = gvcodec.Encoder(fmt, config, **options)
    stream = io.BytesIO()
    writer = gvcodec.Writer(stream, encoder.header)
    for planes in frames:
        encoder.send_frame(planes)
    encoder.flush()
    while (packet := encoder.receive_packet()) is not None:
        writer.write(packet)
    writer.finish(encoder.loop_hash)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("depth", "tag", "profile", "pix_fmt"),
    [(8, "avc1", "High", "yuv420p"), (10, "hvc1", "Main 10", "yuv420p10le")],
)
def test_the_default_file_plays_everywhere(
    tmp_path: Path, frames: list[Planes], suffix: str, depth: int, tag: str, profile: str, pix_fmt: str
) -> None:
    (tmp_path / "a.bin").write_bytes(stream_of(frames, form(depth)))
    out, exact = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    run("decode", tmp_path / "a.bin", out, "--fidelity")
    run("decode", tmp_path / "a.bin", exact, "--fidelity", "--lossless")
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.profile, context.pix_fmt) == (profile, pix_fmt)
        assert suffix == "mkv" or context.codec_tag == tag
    if suffix != "mkv":
        data = out.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")
    with VideoReader(out) as left, VideoReader(exact) as right:
        pairs = list(zip(left, right, strict=True))
    assert len(pairs) == 10
    assert sum(psnr(a.planes, b.planes) for a, b in pairs) / len(pairs) > 44.5
    assert out.stat().st_size < exact.stat().st_size / 1.5


def test_lossless_is_exact_and_excludes_crf(tmp_path: Path, frames: list[Planes]) -> None:
    data = stream_of(frames, form(10))
    (tmp_path / "a.bin").write_bytes(data)
    run("decode", tmp_path / "a.bin", tmp_path / "a.mp4", "--fidelity", "--lossless")
    with VideoReader(tmp_path / "a.mp4") as reader:
        found = [frame.planes for frame in reader]
    wanted = list(gvcodec.decode_planes(data, fidelity=True))
    assert all(planes_equal(a, b) for a, b in zip(found, wanted, strict=True))
    with pytest.raises(SystemExit, match="2"):
        run("decode", tmp_path / "a.bin", tmp_path / "b.mp4", "--lossless", "--crf", 20)


@pytest.mark.parametrize(("suffix", "depth", "exact"), [("mp4", 8, False), ("mkv", 8, False), ("mkv", 10, True)])
def test_odd_sizes_keep_their_size(tmp_path: Path, suffix: str, depth: int, exact: bool) -> None:
    frames, fmt = make_clip(95, 79, 4, seed=2), form(depth, 95, 79)
    path = tmp_path / f"a.{suffix}"
    with open_writer(path, fmt, crf=visually_lossless(path, fmt)) as writer:
        for number, planes in enumerate(frames):
            writer.write(planes, 512 * number)
    with VideoReader(path) as reader:
        found = [frame.planes for frame in reader]
    assert found[0][0].shape == (79, 95)
    quality = [psnr(a, b) for a, b in zip(found, frames, strict=True)]
    assert min(quality) > (90 if exact else 38)


def test_without_torch_painting_is_refused_and_fidelity_is_not(
    tmp_path: Path, frames: list[Planes], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "a.bin").write_bytes(stream_of(frames[:3], form()))
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["decode", str(tmp_path / "a.bin"), str(tmp_path / "a.y4m")]) == 4
    told = capsys.readouterr().err
    assert "torch is not installed" in told and "--fidelity" in told and told.count("\n") == 1
    assert not (tmp_path / "a.y4m").exists()
    run("decode", tmp_path / "a.bin", tmp_path / "a.y4m", "--fidelity")


def limited(size: int) -> Callable[[], None]:
    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return set_limit


@pytest.mark.parametrize("name", ["a.y4m", "a.png", "a.mkv", "a.mp4"])
def test_a_full_disk_is_named_with_the_file(tmp_path: Path, frames: list[Planes], name: str) -> None:
    """The limit on the size of a file stands for the end of the disk."""
    (tmp_path / "a.bin").write_bytes(stream_of(frames[:1] if name.endswith("png") else frames, form()))
    command = [sys.executable, "-m", "gvcodec", "decode", tmp_path / "a.bin", tmp_path / name, "--fidelity"]
    done = subprocess.run(command, preexec_fn=limited(8192), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"gvcodec: {tmp_path / name}: cannot be written: ")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_standard_output(tmp_path: Path, frames: list[Planes]) -> None:
    (tmp_path / "a.bin").write_bytes(stream_of(frames, form()))
    command = [sys.executable, "-m", "gvcodec", "decode", tmp_path / "a.bin", "-", "--fidelity"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "gvcodec: standard output: cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (("encode", "a.mp4", "b.bin", "-q", "68"), False),
        (("encode", "a.mp4", "b.bin", "--base", "vp8"), False),
        (("decode", "a.bin", "b.mp4", "--crf", "many"), False),
        (("decode", "a.bin", "b.mp4", "--threads", "-1"), False),
        (("decode", "a.bin"), True),
        (("decode", "a.bin", "b.mp4", "--loud"), True),
    ],
)
def test_usage_is_for_wrong_syntax_only(
    arguments: tuple[str, ...], usage: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    told = capsys.readouterr().err
    assert told.startswith("usage: ") if usage else told.startswith("gvcodec: -") and told.count("\n") == 1
