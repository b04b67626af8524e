"""The door of sources: what a user names is looked at once; the rule for a picture at a cut."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gvcodec
from gvcodec.errors import MediaError, MissingFileError
from gvcodec.source.opening import Source
from gvcodec.types import time_in_part
from tests.clips import write_pictures


def write(path: Path) -> None:
    """One picture of 64×64 pixels: a file of it, or a video."""
    path.parent.mkdir(exist_ok=True)
    picture = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    if path.suffix in (".jpg", ".png"):
        Image.fromarray(picture).save(path)
    else:
        write_pictures(path, [picture], "libx264", pix_fmt="yuv420p")


#: Names that are opened while the list is there. An audit hook stays for the process.
_opened: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_note)


@contextmanager
def opens_of(path: Path) -> Iterator[list[str]]:
    """The times that Python opens a file; those of FFmpeg are not among them."""
    global _opened
    _opened, names = [], []
    try:
        yield names
    finally:
        names += [name for name in _opened if os.path.basename(name) == path.name]
        _opened = None


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.jpg"])
def test_a_source_is_opened_and_looked_at_once(tmp_path, monkeypatch, name) -> None:
    write(tmp_path / name)
    looks = []
    stat, lstat = os.stat, os.lstat

    def count(look: Any) -> Any:
        def counted(path: Any, *args: Any, **words: Any) -> Any:
            if not isinstance(path, int) and os.path.basename(os.fspath(path)) == name:
                looks.append(path)
            return look(path, *args, **words)

        return counted

    monkeypatch.setattr(os, "stat", count(stat))
    monkeypatch.setattr(os, "lstat", count(lstat))
    with opens_of(tmp_path / name) as opens:
        options = {"preset": 10, "fit": 0, "painter": "off", "threads": 1}
        report = gvcodec.encode_file(tmp_path / name, tmp_path / "a.gvc", **options)
    assert report.frames
    assert len(opens) == 1
    # When it is opened, and whether it has changed meanwhile.
    assert len(looks) == 2


def test_a_source_is_what_the_user_named(tmp_path, monkeypatch) -> None:
    write(tmp_path / "a.mp4")
    with Source.open(tmp_path / "a.mp4") as source:
        assert source.name == source.path == str(tmp_path / "a.mp4")
        assert source.size == (tmp_path / "a.mp4").stat().st_size
        assert source.head[4:8] == b"ftyp"
        assert Source.open(source) is source and os.fspath(source) == source.name
    stream = io.BytesIO(b"data")
    assert Source.open(stream).origin is stream and not Source.open(stream).path
    assert Source.open("-").name == "standard input"
    assert Source.open("s3://films/a.mp4").path == ""
    for number in range(2):
        write(tmp_path / "pictures" / f"f{number}.png")
    expected = [str(tmp_path / "pictures" / f"f{number}.png") for number in range(2)]
    for name in ("pictures", "pictures/f%d.png", "pictures/*.png"):
        assert Source.open(tmp_path / name).pictures == expected
    with pytest.raises(MissingFileError):
        Source.open(tmp_path / "absent.mp4")
    with pytest.raises(MediaError, match="no pictures of this name"):
        Source.open(tmp_path / "pictures" / "g%d.png")


def test_a_source_says_whether_it_has_changed(tmp_path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"one")
    with Source.open(tmp_path / "a.mp4") as source:
        assert not source.has_changed()
        (tmp_path / "a.mp4").write_bytes(b"another")
        assert source.has_changed()
        (tmp_path / "a.mp4").unlink()
        assert source.has_changed()


@pytest.mark.parametrize(
    ("span", "moment", "period", "time"),
    [
        ((0, 10), Fraction(5, 2), 1, 3),  # on screen: it begins at the first tick of the part
        ((0, 10), Fraction(0), 1, None),  # begins with the part by itself
        ((0, 10), Fraction(10), 1, None),  # over
        ((0, 10), Fraction(19, 2), 1, None),  # no tick of it remains
        ((0, 2), Fraction(1), 1, 1),
        ((0, 3), Fraction(1), 2, None),  # 1.5 periods: a frame like others
        ((0, 4), Fraction(1), 2, 1),
        ((0, 1), Fraction(1, 2), 0, None),
        ((-4, 3), Fraction(-1, 2), 0, 0),  # a subtitle, at tick 0
    ],
)
def test_a_picture_on_screen_at_a_cut_begins_there(span, moment, period, time) -> None:
    assert time_in_part(*span, moment, Fraction(period)) == time
