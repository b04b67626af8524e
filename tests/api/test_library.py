"""The library's front: files and file objects, tensors, types, names, and examples that run."""

from __future__ import annotations

import doctest
import importlib
import io
import typing
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.config import EncoderConfig
from gvcodec.errors import MediaError, UsageError
from gvcodec.media.planes import rgb_from_planes
from gvcodec.types import Colour
from tests.conftest import moving_texture, run

ROOT = Path(__file__).parents[2]
FAST: dict[str, typing.Any] = {"preset": 10, "fit": 0, "threads": 1}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Three frames (3, 48, 64, 3)."""
    colour = Colour(matrix=1)
    return np.stack([rgb_from_planes(p, colour) for p in moving_texture(64, 48, 3)])


@pytest.fixture(scope="module")
def data(frames: np.ndarray) -> bytes:
    return gvcodec.encode(frames, frame_rate=25, **FAST)


def test_examples_in_docstrings_run() -> None:
    pytest.importorskip("torch")
    tried = 0
    for name in ("gvcodec.api", "gvcodec.video", "gvcodec"):
        result = doctest.testmod(importlib.import_module(name))
        assert not result.failed
        tried += result.attempted
    assert tried >= 5


def test_files_there_and_back_are_those_of_the_command_line(
    tmp_path, frames: np.ndarray, data: bytes
) -> None:

    source = tmp_path / "a.gvc"
    source.write_bytes(data)
    video, ours, theirs = (tmp_path / name for name in ("a.y4m", "ours.gvc", "theirs.gvc"))
    done = gvcodec.decode_file(source, video, fidelity=True)
    assert done.frames == 3
    assert done.losses == ()
    told = gvcodec.encode_file(video, ours, q=30, **FAST)
    assert (told.frames, told.size) == (3, ours.stat().st_size)
    words = ["encode", video, theirs, "-q", "30", "--preset", "10", "--fit", "off"]
    run(*words)
    assert ours.read_bytes() == theirs.read_bytes()
    with pytest.raises(MediaError, match="exists already"):
        gvcodec.encode_file(video, ours, **FAST)
    same = tmp_path / "same.mkv"
    same.write_bytes(data)
    with pytest.raises(MediaError, match="is the input"):
        gvcodec.decode_file(same, same, overwrite=True)
    assert same.read_bytes() == data
    assert gvcodec.encode_file(video, ours, overwrite=True, frames=1, **FAST).frames == 1


def test_file_objects_there_and_back(frames: np.ndarray, data: bytes) -> None:
    video = io.BytesIO()
    assert gvcodec.decode_file(io.BytesIO(data), video, fidelity=True).frames == 3
    assert video.getvalue().startswith(b"YUV4MPEG2 W64 H48")
    video.seek(0)
    stream = io.BytesIO()
    gvcodec.encode_file(video, stream, **FAST)
    assert not video.closed
    assert not stream.closed
    assert len(list(gvcodec.decode(stream.getvalue()))) == 3
    stream.seek(0)
    assert len(list(gvcodec.decode(stream, start=1))) == 2


def test_tensors_out_are_on_the_device(data: bytes) -> None:
    torch = pytest.importorskip("torch")
    order = {"output": "torch", "device": "cpu:0", "dimension_order": "NCHW"}
    images = list(gvcodec.decode(data, fidelity=True, **order))
    assert [(type(image), tuple(image.shape)) for image in images] == [
        (torch.Tensor, (3, 48, 64))
    ] * 3
    plain = list(gvcodec.decode(data, output="torch"))
    assert all(image.dtype == torch.uint8 for image in plain)
    assert np.array_equal(torch.stack(plain).numpy(), list(gvcodec.decode(data)))
    with pytest.raises(UsageError, match="no device meta here"):
        list(gvcodec.decode(data, output="torch", device="meta"))
    with pytest.raises(UsageError, match="output"):
        gvcodec.decode(data, output="jax")  # type: ignore[arg-type]


def test_what_cannot_be_encoded_is_said(frames: np.ndarray) -> None:
    with pytest.raises(UsageError, match="no frame"):
        gvcodec.encode([], **FAST)
    with pytest.raises(UsageError, match="nonsense"):
        gvcodec.encode(frames, nonsense=1)
    with pytest.raises(UsageError, match="either"):
        gvcodec.encode(frames, config=EncoderConfig(), q=4)
