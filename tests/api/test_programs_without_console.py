"""Programs without a console, and pictures and samples as other libraries hold them."""

import io
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gvcodec
from gvcodec.api.frames import frame_of
from gvcodec.util.messages import log_line
from gvcodec.util.progress import ProgressBar
from tests.clips import write_clip
from tests.conftest import moving_texture

QUICK: dict[str, Any] = {"preset": 10, "fit": 0, "overwrite": True}


class Writer:
    """As loggers put it in the place of standard error."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


@pytest.mark.parametrize(
    ("progress", "stderr"), [("auto", None), ("json", None), ("auto", Writer()), ("none", Writer())]
)
def test_progress_needs_no_console(tmp_path, monkeypatch, capsys, progress, stderr) -> None:
    film = write_clip(tmp_path / "a.mkv", moving_texture(96, 64, 4))
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr("gvcodec.util.progress._LINE", 0.0)
    done = gvcodec.encode_file(film, tmp_path / "o.gvc", progress=progress, verbose=True, **QUICK)
    gvcodec.decode_file(tmp_path / "o.gvc", tmp_path / "o.mkv", progress=progress)
    log_line("a line")
    with ProgressBar(progress) as bar:
        bar.begin("encode", 3)
    assert done.frames == 4 and capsys.readouterr().out == ""
    if stderr is not None:
        assert "gvcodec: a line\n" in stderr.text


def test_standard_streams_that_are_not_there_are_named(tmp_path, monkeypatch) -> None:
    film = write_clip(tmp_path / "a.mkv", moving_texture(96, 64, 2))
    for name, work in (
        ("stdout", lambda: gvcodec.encode_file(film, "-", **QUICK)),
        ("stdin", lambda: gvcodec.info("-")),
    ):
        for stream in (None, io.StringIO()):
            with monkeypatch.context() as patch:
                patch.setattr(sys, name, stream)
                with pytest.raises(gvcodec.UsageError, match="no standard"):
                    work()


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I", "F"])
def test_deep_gray_pictures_are_scaled(mode: str) -> None:
    ramp = np.linspace(0, 65535, 64)[None].repeat(64, 0)
    if mode == "F":
        picture = Image.fromarray((ramp / 65535).astype(np.float32), "F")
    elif mode == "I":
        picture = Image.fromarray(ramp.astype(np.int32), "I")
    else:
        order = ">u2" if mode.endswith("B") else "<u2"
        picture = Image.frombytes(mode, (64, 64), ramp.astype(order).tobytes())
    assert picture.mode == mode
    frame = frame_of(picture)
    assert frame.shape == (64, 64, 3) and frame.dtype == np.uint8
    assert np.abs(frame[0, :, 0] - np.linspace(0, 255, 64)).max() <= 1


def test_gray_pictures_out_of_range_are_refused() -> None:
    for mode, value in (("I", 70000), ("I", -1), ("F", 300.0)):
        picture = Image.new(mode, (64, 64), value)
        with pytest.raises(gvcodec.UsageError, match="not"):
            frame_of(picture)
    assert frame_of(Image.new("L", (64, 64), 7)).tolist()[0][0] == [7, 7, 7]


@pytest.mark.parametrize("kind", [">u2", "<u2", ">f4", "<f4", ">f8"])
def test_arrays_of_both_byte_orders_are_taken(kind: str) -> None:
    values = np.arange(64 * 64 * 3).reshape(64, 64, 3) % 1024
    array = (values if kind[1] == "u" else values / 1024).astype(kind)
    native = array.astype(array.dtype.newbyteorder("="))
    assert np.array_equal(frame_of(array), frame_of(native))
    assert frame_of(array).dtype == (np.uint16 if kind[1] == "u" else np.uint8)


@pytest.mark.parametrize("kind", [">i2", ">f4"])
def test_samples_of_both_byte_orders_are_taken(kind: str) -> None:
    frames = [np.full((64, 64, 3), 90, np.uint8)] * 5
    wave = np.sin(np.arange(8000) / 20)
    array = (wave if kind[1] == "f" else wave * 20000).astype(kind)
    options: dict[str, Any] = {"sound_rate": 48000, "preset": 10, "fit": 0}
    native = array.astype(array.dtype.newbyteorder("="))
    ours, theirs = (gvcodec.encode(frames, sound=sound, **options) for sound in (array, native))
    assert ours == theirs


def test_planes_of_the_other_byte_order_are_the_same() -> None:
    planes = moving_texture(64, 64, 2)
    swapped = [tuple(p.astype(p.dtype.newbyteorder(">")) for p in frame) for frame in planes]
    ours, theirs = (gvcodec.encode(frames, preset=10, fit=0) for frames in (swapped, planes))
    assert ours == theirs
