"""`gvcodec frame`, and streams in file objects."""

from __future__ import annotations

import io
import multiprocessing
import os
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.cli import main
from gvcodec.errors import UsageError
from gvcodec.types import Colour
from tests.conftest import moving_texture, run
from tests.streams.test_tools import made


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> Path:
    """Eighteen frames of 64×48 with keyframes at 0, 5, 10 and 15."""
    path = tmp_path_factory.mktemp("looks") / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 18)))
    return path


def picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("which", [["-t", "0:00.3"], ["-n", "7"]])
def test_frame_is_that_of_decoding(stream: Path, tmp_path, which: list[str]) -> None:
    out = tmp_path / "a.png"
    with gvcodec.open(stream, fidelity=True) as video:
        number = (
            7 if which[0] == "-n" else video.number_at(0.3 + video.metadata.begin_stream_seconds)
        )
        wanted = video[number]
    run("frame", stream, *which, "--fidelity", out)
    assert np.array_equal(picture(out), wanted)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frame", "FILE", "-n", "18", "OUT.png"], "has no frame 18"),
        (["frame", "FILE", "-t", "1:00", "OUT.png"], "ends before 1:00.0"),
        (["frame", "FILE", "OUT.bmp"], "is a .png, .jpg or .avif"),
        (["decode", "FILE", "OUT.jpg"], "write to .mp4"),
        (["frame", "-", "OUT.png"], "not standard input"),
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


def test_the_device_of_a_video_paints(stream: Path) -> None:
    pytest.importorskip("torch")
    video = gvcodec.open(stream, device="cuda:99")
    with pytest.raises(UsageError, match="cuda:99 to paint on"):
        video[0]


def test_what_a_device_paints_stays_there(stream: Path, monkeypatch) -> None:
    """ "cpu:0" paints by torch, as a GPU does; "cpu" by the core."""
    torch = pytest.importorskip("torch")
    wanted = [image.astype(int) for image in gvcodec.open(stream)]
    device = {"output": "torch", "device": "cpu:0"}

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a tensor went to the processor")

    for name in ("cpu", "numpy", "tolist", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, refused)
    found = [*gvcodec.decode(stream, **device), *gvcodec.open(stream, **device)]
    whole = gvcodec.open(stream, dimension_order="NCHW", **device)[:]
    (planes,) = [frame.planes for frame in gvcodec.open(stream, **device).decode_range(0, 1)]
    monkeypatch.undo()
    (same,) = [frame.planes for frame in gvcodec.open(stream).decode_range(0, 1)]
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(planes, same, strict=True))
    assert len(found) == 2 * len(wanted) and all(type(part) is torch.Tensor for part in planes)
    for image, other in zip(found, 2 * wanted, strict=True):
        far = np.abs(image.numpy().astype(int) - other)
        assert far.mean() < 0.8 and np.quantile(far, 0.99) <= 4
    assert torch.equal(whole, torch.stack(found[: len(wanted)]).permute(0, 3, 1, 2))


@pytest.mark.parametrize("location", range(6))
@pytest.mark.parametrize(("matrix", "full"), [(1, False), (6, True), (9, False), (2, False)])
def test_pictures_of_a_device_are_those_of_the_processor(
    location: int, matrix: int, full: bool
) -> None:
    torch = pytest.importorskip("torch")
    from gvcodec.media.planes import rgb_from_planes
    from gvcodec.painter.pictures import picture as on_device

    y, x = np.mgrid[:46, :62]
    luma = (450 + 200 * np.sin(x / 7) + 150 * np.cos(y / 5)).astype(np.uint16)
    u = (512 + 120 * np.sin(x / 9 + y / 8)).astype(np.uint16)[:23, :31]
    planes = luma, u, np.ascontiguousarray(u[::-1, ::-1])
    colour = Colour(matrix=matrix, full_range=full, chroma_location=location)
    tensors = tuple(torch.from_numpy(plane.astype(np.int16)) for plane in planes)
    found = on_device(tensors, colour, "cpu").numpy().astype(int)
    far = np.abs(found - rgb_from_planes(planes, colour))
    assert far.mean() < 0.8 and far.max() <= 4
