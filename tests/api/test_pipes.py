"""Inputs that can be read but once, where they are read twice: a named pipe, `<( )`, `-`.
None of them hangs; what cannot be read twice is one line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import pytest

from gvcodec.types import Colour, VideoFormat
from tests.clips import write_clip
from tests.conftest import moving_texture, run

FORMAT = VideoFormat(48, 48, Fraction(25), Fraction(1, 25), 8, Colour(1, 1, 1))
ENCODE = ("--fit", "off", "--preset", "10", "-y")
TWICE = [("--size", "9k"), ("--bitrate", "80k"), ("--target", "psnr=30"), ("--jobs", "1"), ()]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pipes") / "in.mkv"
    write_clip(path, FORMAT, moving_texture(48, 48, 8))
    return path


def feed(pipe: Path, clip: Path) -> None:
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()), daemon=True).start()


@pytest.mark.parametrize("how", TWICE, ids=lambda how: how[0] if how else "once")
def test_a_named_pipe_is_encoded_as_the_file(clip: Path, tmp_path, how) -> None:
    run("encode", clip, tmp_path / "a.gvc", *ENCODE, *how)
    feed(pipe := tmp_path / "pipe", clip)
    run("encode", pipe, tmp_path / "b.gvc", *ENCODE, *how)
    assert (tmp_path / "a.gvc").read_bytes() == (tmp_path / "b.gvc").read_bytes()


@pytest.mark.parametrize("how", TWICE[:4:3], ids=lambda how: how[0])
def test_a_file_descriptor_is_encoded(clip: Path, tmp_path, how) -> None:
    """`<(cat FILE)` is a pipe that only this process has."""
    read, write = os.pipe()
    words = ("encode", f"/dev/fd/{read}", str(tmp_path / "a.gvc"), *ENCODE, *how)
    process = subprocess.Popen([sys.executable, "-m", "gvcodec", *words], pass_fds=[read])
    os.close(read)
    with open(write, "wb") as pipe:
        pipe.write(clip.read_bytes())
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "a.gvc").stat().st_size > 0


def test_a_batch_refuses_a_pipe_in_one_line(clip: Path, tmp_path, capsys) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "in.mkv").write_bytes(clip.read_bytes())
    os.mkfifo(folder / "pipe.mkv")
    for given in (folder, folder / "pipe.mkv"):
        run("batch", given, "-o", tmp_path / "out", *ENCODE[:-1], "--jobs", "1", code=6)
        assert "pipe.mkv: is a pipe or a device" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("*.gvc"))) == 1
