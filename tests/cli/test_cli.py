"""The command line as a user meets it: files, pipes, exit codes, one line for every error."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import gvcodec as api
from gvcodec.bitstream import Reader
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, Planes
from tests.clips import format_of, read_film, write_clip
from tests.conftest import (
    FASTEST,
    clips_equal,
    in_process,
    moving_texture,
    piped,
    planes_equal,
    psnr,
    run,
    stream_of,
)

QUICK = ("--preset", 10, "--fit", "off")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clip: list[Planes]) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_clip(folder / "in.mp4", clip)
    for base in ("av1", "vvc"):
        options = ["--base", base, "-q", 20, "--keyint", 8, "--fit", "off"]
        options += ["--preset", FASTEST[base]]
        run("encode", folder / "in.mp4", folder / f"{base}.bin", *options)
    return folder


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_a_file_goes_there_and_back(folder: Path, tmp_path, clip: list[Planes], base: str) -> None:
    exact = "--fidelity", "--lossless"
    said = run("decode", folder / f"{base}.bin", tmp_path / "out.mkv", *exact)
    assert "20 base frames 96×80, base hash verified" in said.err
    found = read_film(tmp_path / "out.mkv").planes
    assert len(found) == 20 and min(psnr(a, b) for a, b in zip(found, clip, strict=True)) > 28
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_pipes_give_the_same_as_files(folder: Path, tmp_path) -> None:
    run("decode", folder / "av1.bin", tmp_path / "a.y4m", "--fidelity")
    y4m = piped("decode", "-", "-", "--fidelity", data=(folder / "av1.bin").read_bytes())
    assert y4m == (tmp_path / "a.y4m").read_bytes()
    source = piped("decode", folder / "av1.bin", "-", "--fidelity")
    (tmp_path / "b.bin").write_bytes(piped("encode", "-", "-", *QUICK, data=source))
    run("encode", tmp_path / "a.y4m", tmp_path / "c.bin", *QUICK)
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "c.bin").read_bytes()
    piped("decode", "-", tmp_path / "d.mp4", "--fidelity", data=(tmp_path / "b.bin").read_bytes())
    assert len(read_film(tmp_path / "d.mp4").planes) == 20


@pytest.mark.parametrize(("base", "suffix"), [("av1", "obu"), ("vvc", "266")])
def test_the_extracted_bitstream_plays(folder: Path, tmp_path, base: str, suffix: str) -> None:
    stream, bare = folder / f"{base}.bin", tmp_path / f"base.{suffix}"
    run("extract", stream, bare)
    run("decode", stream, tmp_path / "base_frame.mp4", "--fidelity", "--lossless")
    found, times, _ = read_film(bare)
    eight_bits = [tuple(((plane + 2 >> 2).clip(max=255) << 2) for plane in p) for p in found]
    assert clips_equal(eight_bits, read_film(tmp_path / "base_frame.mp4").planes)
    assert [round(25 * time) for time in times] == list(range(20))


@pytest.mark.parametrize(("base", "suffix"), [("av1", "mkv"), ("vvc", "266")])
def test_the_extracted_base_keeps_the_tags_of_colour(base: str, suffix: str, tmp_path) -> None:
    colour, clip = Colour(9, 16, 9, True), moving_texture(96, 80, 3)
    fmt = replace(format_of(clip), colour=colour)
    fast = {"base": base, "preset": FASTEST[base], "fit": 0}
    (tmp_path / "a.bin").write_bytes(api.encode(clip, format=fmt, **fast))
    run("extract", tmp_path / "a.bin", tmp_path / f"a.{suffix}")
    with VideoReader(tmp_path / f"a.{suffix}") as reader:
        assert replace(reader.format.colour, chroma_location=0) == colour


def test_options_of_encode(folder: Path, tmp_path) -> None:
    out = tmp_path / "a.bin"
    options = ["--start", 0.2, "--frames", 7, "--base-scale", "1/2", "--low-delay", *QUICK]
    run("encode", folder / "in.mp4", out, *options)
    facts = json.loads(run("info", out, "--json").out)
    assert (facts["frames"], facts["base_scale"], facts["keyframes"]) == (7, "1/2", [0])
    run("encode", folder / "in.mp4", out, "--fit", "off", code=1)
    run("encode", folder / "in.mp4", out, *QUICK, "--threads", 1, "-y")
    assert json.loads(run("info", out, "--json").out)["frames"] == 20


def test_a_summary_is_added_and_searched(folder: Path, tmp_path) -> None:
    source, out = folder / "av1.bin", tmp_path / "a.gvc"
    run("summarize", "-", "-o", out, code=2)
    run("summarize", source, "-o", out)
    run("decode", source, tmp_path / "%d.png")
    assert "frame 9 " in run("search", tmp_path / "9.png", out, "-k", 1).out
    found = json.loads(run("search", tmp_path / "9.png", out, "-k", 1, "--json").out)
    assert found["moments"][0]["frame"] == 9 and "notes" not in found


def test_exit_codes(folder: Path, tmp_path) -> None:
    out = tmp_path / "o.mp4"
    (tmp_path / "text.mp4").write_text("these are only words\n")
    (tmp_path / "empty").write_bytes(b"")
    damaged = bytearray((folder / "av1.bin").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.bin").write_bytes(damaged)
    repacked(folder / "av1.bin", tmp_path / "hash.bin", base_hash=b"whatever")
    for arguments, code in (
        (("encode", tmp_path / "text.mp4", tmp_path / "o.bin"), 1),
        (("encode", tmp_path / "empty", tmp_path / "o.bin"), 1),
        (("encode", tmp_path, tmp_path / "o.bin"), 1),
        (("encode", folder / "in.mp4", tmp_path / "no" / "o.bin"), 1),
        (("encode", folder / "in.mp4", tmp_path), 1),
        (("encode", folder / "in.mp4", tmp_path / "o.bin", "-q", "68", "--base", "av1"), 2),
        (("encode", folder / "in.mp4", tmp_path / "o.bin", "-q", "67", "--base-scale", "1"), 2),
        (("encode", folder / "in.mp4", tmp_path / "o.bin", "--base-q", "67", "--base-scale=1"), 2),
        (("encode", folder / "in.mp4", tmp_path / "o.bin", "--base-scale", "2"), 2),
        (("encode", folder / "in.mp4", tmp_path / "o.bin", "--fit", "much"), 2),
        (("decode", folder / "av1.bin", tmp_path / "o.doc"), 2),
        (("decode", folder / "av1.bin", tmp_path / "o.y4m", "--crf", "20"), 2),
        (("decode", tmp_path, out), 1),
        (("decode", tmp_path / "text.mp4", out), 9),
        (("decode", tmp_path / "empty", out), 3),
        (("decode", tmp_path / "damaged.bin", out), 3),
        (("info", tmp_path / "damaged.bin"), 3),
        (("extract", tmp_path / "damaged.bin", out), 3),
        (("extract", folder / "av1.bin", tmp_path / "o.y4m"), 2),
        (("decode", folder / "av1.bin", out, "--lossless", "--crf", "20"), 2),
        (("decode", tmp_path / "hash.bin", out, "--fidelity"), 5),
    ):
        message = run(*arguments, code=code).err
        assert message and "Traceback" not in message, arguments
        assert code == 2 or (message.startswith("gvcodec: ") and message.count("\n") == 1)
    given = ["damaged.bin", "empty", "hash.bin", "text.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == given


def repacked(path: Path, target: Path, **changes: object) -> None:
    """The stream of `path` with another header, well-formed in itself."""
    with open(path, "rb") as source:
        reader = Reader(source)
        packets, base_hash = list(reader.packets()), changes.pop("base_hash", None)
    header = replace(reader.header, **changes)
    target.write_bytes(stream_of(header, packets, base_hash or reader.base_hash))


def test_painting_needs_the_checkpoint_of_the_stream(folder: Path, tmp_path, monkeypatch) -> None:
    pytest.importorskip("torch")
    said = run("decode", folder / "av1.bin", tmp_path / "o.mkv", "--lossless")
    assert "20 painted frames" in said.err
    base_frames = tmp_path / "base_frames.mkv"
    run("decode", folder / "av1.bin", base_frames, "--fidelity", "--lossless")
    painted, base = (read_film(path).planes for path in (tmp_path / "o.mkv", base_frames))
    assert not planes_equal(painted[3], base[3])
    repacked(folder / "av1.bin", tmp_path / "other.bin", painter_id=b"8 others")
    message = run("decode", tmp_path / "other.bin", tmp_path / "p.mkv", code=4).err
    assert b"8 others".hex() in message
    assert str(Path(__file__).parents[2] / "checkpoints") in message
    run("decode", tmp_path / "other.bin", tmp_path / "p.mkv", "--fidelity")
    monkeypatch.setenv("GVCODEC_CHECKPOINT", str(tmp_path / "none"))
    # The variable is one place among others: the checkpoint that the stream names is found by its
    # hash.
    assert "20 painted frames" in run("decode", folder / "av1.bin", tmp_path / "q.mkv").err
    run("encode", folder / "in.mp4", tmp_path / "plain.bin", "--frames", 3)
    facts = json.loads(run("info", tmp_path / "plain.bin", "--json").out)
    assert facts["painter_id"] is None


def test_a_reader_that_stops_is_no_error_to_talk_about(folder: Path) -> None:
    command = [sys.executable, "-m", "gvcodec", "decode", folder / "av1.bin", "-", "--fidelity"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        message = process.stderr.read()
        assert process.wait(60) == 1
    assert message == b""


def test_an_interrupt_that_a_callback_would_swallow_ends_the_command() -> None:
    code = """
import os, signal, sys, time, weakref
from gvcodec import cli
from gvcodec.cli import info as command

def info(options):
    class Thing: pass
    thing = Thing()
    kept = weakref.ref(thing, lambda _: (os.kill(os.getpid(), signal.SIGINT), time.sleep(0.1)))
    del thing
    time.sleep(60)

signal.signal(signal.SIGINT, signal.default_int_handler)
command.run = info
sys.argv = ["gvcodec", "info", "x.bin"]
sys.exit(cli.main())
"""
    done = in_process("-c", code, code=130, text=True)
    assert done.stderr == "gvcodec: interrupted\n"
