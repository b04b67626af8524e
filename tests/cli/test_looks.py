"""Streams in file objects, and pictures that cannot be written."""

from __future__ import annotations

import io
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.cli import main
from gvcodec.errors import UsageError
from tests.conftest import moving_texture
from tests.edit.test_tools import made


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> Path:
    """Eighteen frames of 64×48 with keyframes at 0, 5, 10 and 15."""
    path = tmp_path_factory.mktemp("looks") / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 18)))
    return path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["decode", "FILE", "OUT.jpg"], "write to .mp4"),
        (
            ["decode", "FILE", "OUT.png", "--start", "1:00", "--frames", "1"],
            "no frame is shown 60 s",
        ),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_no_file(
    stream: Path, tmp_path, capsys, arguments: list[str], says: str
) -> None:
    given = [
        text.replace("FILE", str(stream)).replace("OUT", str(tmp_path / "o")) for text in arguments
    ]
    assert main(given) == UsageError.exit_code
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


class Minimal:
    """Only `read`, that gives less than asked for, and `seek`."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        part = self._data[self._at : self._at + min(size, 100)]
        self._at += len(part)
        return part

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, len(self._data))[whence] + offset
        return self._at


def test_file_objects_are_read_and_stay_open(stream: Path) -> None:
    data = stream.read_bytes()
    whole = gvcodec.open(data, fidelity=True)[:]
    with open(stream, "rb") as file:
        for source in (file, io.BytesIO(data), Minimal(data)):
            source.seek(11)
            video = gvcodec.open(source, fidelity=True)
            assert np.array_equal(video[[17, 2]], whole[[17, 2]])
            video.close()
            assert np.array_equal(video[9], whole[9])
        assert not file.closed
    read, write = os.pipe()
    with open(read, "rb") as pipe, open(write, "wb"), pytest.raises(UsageError, match="any place"):
        gvcodec.open(pipe)
    for wrong in (io.StringIO("text"), 7, None):
        with pytest.raises(UsageError):
            gvcodec.open(wrong)


def _in_child(video: gvcodec.Video, queue: multiprocessing.SimpleQueue) -> None:
    try:
        queue.put(video[0].shape)
    except UsageError as error:
        queue.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_video_of_a_file_object_stays_in_its_process(stream: Path) -> None:
    # Both processes would move one position of the file.
    with open(stream, "rb") as file:
        video = gvcodec.open(file, fidelity=True)
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        child = context.Process(target=_in_child, args=(video, queue))
        child.start()
        child.join(60)
        assert "fork" in queue.get()
        assert video[0].shape == (48, 64, 3)
