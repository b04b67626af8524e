"""What deploy/ has for the desktop, with the programs that read it, where they are installed."""

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import needs

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CLIP = ROOT / "conformance/files/av1.gvc"
TYPE = "video/vnd.gvcodec"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin/gvcodec"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gvcodec "$@"\n')
    path.chmod(0o755)
    return path


def ran(*command: str | Path, **environment: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "timeout": 120}
    done = subprocess.run(command, env=environment, text=True, check=False, **pipes)
    assert done.returncode == 0, done.stdout
    return done.stdout


@needs("file")
def test_file_names_type_and_format() -> None:
    magic = DEPLOY / "desktop/gvcodec.magic"
    assert "gvcodec video, format 1.0" in ran("file", "-m", magic, CLIP)
    assert TYPE in ran("file", "--mime-type", "-m", magic, CLIP)


@needs("update-mime-database")
def test_the_media_type_is_known_by_name_and_by_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    shutil.copy(DEPLOY / "desktop/gvcodec.xml", tmp_path / "packages")
    ran("update-mime-database", tmp_path)
    assert f"50:{TYPE}:*.gvc" in (tmp_path / "globs2").read_text()
    assert b"\x89GVC" in (tmp_path / "magic").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="desktops with thumbnailers")
def test_the_thumbnailer_makes_a_picture(tmp_path: Path, program: Path) -> None:
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(DEPLOY / "desktop/gvcodec.thumbnailer")
    section = entry["Thumbnailer Entry"]
    assert section["MimeType"] == f"{TYPE};"
    places = {"%i": str(CLIP), "%o": str(tmp_path / "made here")}
    words = [places.get(word, word) for word in shlex.split(section["Exec"])]
    ran(*words, PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert (tmp_path / "made here").read_bytes().startswith(b"\x89PNG")
