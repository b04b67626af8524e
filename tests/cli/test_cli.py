"""The command line as a user meets it: files, pipes, exit codes, one line for every error."""

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest

import gvcodec as api
from gvcodec.bitstream import Reader
from gvcodec.media.reader import VideoReader
from gvcodec.types import Colour, Planes, VideoFormat
from tests.clips import read_film, write_clip
from tests.conftest import (
    FASTEST,
    clips_equal,
    in_process,
    moving_texture,
    planes_equal,
    psnr,
    run,
    stream_of,
)

QUICK = ("--preset", 10, "--fit", "off")
FORMAT = VideoFormat(96, 80, Fraction(25), Fraction(1, 12800), 8, Colour(1, 1, 1))


def gvcodec(
    *arguments: object, data: bytes | None = None, fails: int = 0
) -> subprocess.CompletedProcess[bytes]:
    """What a command says, in a process of its own where bytes go through a pipe."""
    words = [*map(str, arguments)]
    if "-" in words:
        done = in_process("-m", "gvcodec", *words, code=fails, input=data)
    else:
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            run(*words, code=fails)
        texts = (stream.getvalue().encode() for stream in (out, err))
        done = subprocess.CompletedProcess(words, fails, *texts)
    message = done.stderr.decode()
    assert "Traceback" not in message
    assert fails in (0, 2) or (message.startswith("gvcodec: ") and message.count("\n") == 1)
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clip: list[Planes]) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_clip(folder / "in.mp4", FORMAT, clip, 512)
    for base in ("av1", "vvc"):
        options = ["--base", base, "-q", 20, "--keyint", 8, "--fit", "off"]
        options += ["--preset", FASTEST[base]]
        gvcodec("encode", folder / "in.mp4", folder / f"{base}.bin", *options)
    return folder


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_a_file_goes_there_and_back(folder: Path, tmp_path, clip: list[Planes], base: str) -> None:
    exact = "--fidelity", "--lossless"
    done = gvcodec("decode", folder / f"{base}.bin", tmp_path / "out.mkv", *exact)
    assert b"20 base frames 96\xc3\x9780, base hash verified" in done.stderr
    found = read_film(tmp_path / "out.mkv").planes
    assert len(found) == 20 and min(psnr(a, b) for a, b in zip(found, clip, strict=True)) > 28
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_pipes_give_the_same_as_files(folder: Path, tmp_path) -> None:
    gvcodec("decode", folder / "av1.bin", tmp_path / "a.y4m", "--fidelity")
    y4m = gvcodec("decode", "-", "-", "--fidelity", data=(folder / "av1.bin").read_bytes()).stdout
    assert y4m == (tmp_path / "a.y4m").read_bytes()
    source = gvcodec("decode", folder / "av1.bin", "-", "--fidelity").stdout
    (tmp_path / "b.bin").write_bytes(gvcodec("encode", "-", "-", *QUICK, data=source).stdout)
    gvcodec("encode", tmp_path / "a.y4m", tmp_path / "c.bin", *QUICK)
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "c.bin").read_bytes()
    gvcodec("decode", "-", tmp_path / "d.mp4", "--fidelity", data=(tmp_path / "b.bin").read_bytes())
    assert len(read_film(tmp_path / "d.mp4").planes) == 20


@pytest.mark.parametrize(("base", "suffix"), [("av1", "obu"), ("vvc", "266")])
def test_the_extracted_bitstream_plays(folder: Path, tmp_path, base: str, suffix: str) -> None:
    stream, bare = folder / f"{base}.bin", tmp_path / f"base.{suffix}"
    gvcodec("extract", stream, bare)
    gvcodec("decode", stream, tmp_path / "base_frame.mp4", "--fidelity", "--lossless")
    found, times, _ = read_film(bare)
    eight_bits = [tuple(((plane + 2 >> 2).clip(max=255) << 2) for plane in p) for p in found]
    assert clips_equal(eight_bits, read_film(tmp_path / "base_frame.mp4").planes)
    assert [round(25 * time) for time in times] == list(range(20))


@pytest.mark.parametrize(("base", "suffix"), [("av1", "mkv"), ("vvc", "266")])
def test_the_extracted_base_keeps_the_tags_of_colour(base: str, suffix: str, tmp_path) -> None:
    colour = Colour(9, 16, 9, True)
    fmt = VideoFormat(96, 80, Fraction(25), Fraction(1, 25), 8, colour)
    fast = {"base": base, "preset": FASTEST[base], "fit": 0}
    (tmp_path / "a.bin").write_bytes(api.encode(moving_texture(96, 80, 3), format=fmt, **fast))
    gvcodec("extract", tmp_path / "a.bin", tmp_path / f"a.{suffix}")
    with VideoReader(tmp_path / f"a.{suffix}") as reader:
        assert replace(reader.format.colour, chroma_location=0) == colour


def test_options_of_encode(folder: Path, tmp_path) -> None:
    out = tmp_path / "a.bin"
    options = ["--start", 0.2, "--frames", 7, "--base-scale", "1/2", "--low-delay", *QUICK]
    gvcodec("encode", folder / "in.mp4", out, *options)
    facts = json.loads(gvcodec("info", out, "--json").stdout)
    assert (facts["frames"], facts["base_scale"], facts["keyframes"]) == (7, "1/2", [0])
    gvcodec("encode", folder / "in.mp4", out, "--fit", "off", fails=1)
    gvcodec("encode", folder / "in.mp4", out, *QUICK, "--threads", 1, "-y")
    assert json.loads(gvcodec("info", out, "--json").stdout)["frames"] == 20


def test_a_summary_is_added_and_searched(folder: Path, tmp_path) -> None:
    source, out = folder / "av1.bin", tmp_path / "a.gvc"
    assert b"not of a pipe" in gvcodec("summarize", "-", "-o", out, fails=2).stderr
    assert b"-y adds the summary" in gvcodec("summarize", source, fails=2).stderr
    said = gvcodec("summarize", source, "-o", out).stderr
    assert b"20 frames, summary of " in said and b" % of the file" in said
    gvcodec("decode", source, tmp_path / "%d.png")
    shown = gvcodec("search", tmp_path / "9.png", out, "-k", 1).stdout.decode()
    assert "frame 9 " in shown and "% of 1 file" not in shown and "of 1 file\n" in shown
    found = json.loads(gvcodec("search", tmp_path / "9.png", out, "-k", 1, "--json").stdout)
    assert found["moments"][0]["frame"] == 9 and "notes" not in found


def test_what_is_verified_beside_its_source(folder: Path) -> None:
    said = gvcodec("verify", folder / "av1.bin", "--source", folder / "in.mp4").stdout.decode()
    assert "checksums, index, base hash" in said and "PSNR dB, base frames: Y" in said
    assert "PSNR dB, painted: Y" in said and "worst frame: Y" in said


def test_exit_codes(folder: Path, tmp_path, capsys) -> None:
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
        (("decode", tmp_path / "text.mp4", out), 3),
        (("decode", tmp_path / "empty", out), 3),
        (("decode", tmp_path / "damaged.bin", out), 3),
        (("info", tmp_path / "damaged.bin"), 3),
        (("extract", tmp_path / "damaged.bin", out), 3),
        (("extract", folder / "av1.bin", tmp_path / "o.y4m"), 2),
        (("decode", folder / "av1.bin", out, "--lossless", "--crf", "20"), 2),
        (("decode", tmp_path / "hash.bin", out, "--fidelity"), 5),
    ):
        run(*arguments, code=code)
        message = capsys.readouterr().err
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
    done = gvcodec("decode", folder / "av1.bin", tmp_path / "o.mkv", "--lossless")
    assert b"20 painted frames" in done.stderr
    base_frames = tmp_path / "base_frames.mkv"
    gvcodec("decode", folder / "av1.bin", base_frames, "--fidelity", "--lossless")
    painted, base = (read_film(path).planes for path in (tmp_path / "o.mkv", base_frames))
    assert not planes_equal(painted[3], base[3])
    repacked(folder / "av1.bin", tmp_path / "other.bin", painter_id=b"8 others")
    message = gvcodec("decode", tmp_path / "other.bin", tmp_path / "p.mkv", fails=4).stderr.decode()
    assert b"8 others".hex() in message
    assert str(Path(__file__).parents[2] / "checkpoints") in message
    gvcodec("decode", tmp_path / "other.bin", tmp_path / "p.mkv", "--fidelity")
    monkeypatch.setenv("GVCODEC_CHECKPOINT", str(tmp_path / "none"))
    # The variable is one place among others: the checkpoint that the stream names is found by its
    # hash.
    assert b"20 painted frames" in gvcodec("decode", folder / "av1.bin", tmp_path / "q.mkv").stderr
    gvcodec("encode", folder / "in.mp4", tmp_path / "plain.bin", "--frames", 3)
    facts = json.loads(gvcodec("info", tmp_path / "plain.bin", "--json").stdout)
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
