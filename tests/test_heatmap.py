"""`gvcodec inspect`: bits and tokens add up to the stream, pictures keep their size, other streams
are refused."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip
from test_cli import gvcodec

from gvcodec import api
from gvcodec.bitstream import Reader
from gvcodec.media.reader import VideoReader
from gvcodec.streams.heatmap import (
    WindowFrame,
    _width,
    _write,
    heatmap,
    heatmap_format,
    mean_frame,
    windows_of,
)
from gvcodec.types import VideoFormat

FORMAT = VideoFormat(512, 300, Fraction(25), Fraction(1, 25))


def test_windows_add_up() -> None:
    data = api.encode(make_clip(300, 270, 4, seed=3), base="klt", fit=0, base_q=36, threads=1)
    frames = list(windows_of(Reader(io.BytesIO(data)), 1))
    sizes = [len(p.payload) for p in Reader(io.BytesIO(data)).packets() if p.is_frame]
    for frame, size in zip(frames, sizes, strict=True):
        assert frame.bits.shape == frame.tokens.shape == (2, 2)
        assert abs(8 * size - 8 - frame.bits.sum()) <= 24 + 0.003 * 8 * size
    assert frames[0].tokens.sum() > 50 and frames[0].bits.argmax() == frames[0].tokens.argmax() == 0
    mean, count = mean_frame(iter(frames))
    assert count == 4 and np.allclose(mean.bits, np.mean([f.bits for f in frames], 0))


def test_picture_goes_from_blue_to_red() -> None:
    grey = tuple(np.full(shape, 512, np.uint16) for shape in ((300, 512), (150, 256), (150, 256)))
    bits = np.array([[1.0, 60000.0], [100.0, 100.0]])
    y, u, v = heatmap(WindowFrame(grey, bits, np.array([[0, 345], [6, 789]])))
    assert (
        y.shape == (heatmap_format(FORMAT).height, 512)
        and u[64, 64] > 512 > v[64, 64]
        and u[64, 200] < 512 < v[64, 200]
    )
    # What the colours mean stands below: blue at the left, red at the right, with marks.
    assert u[-1, 0] > 580 > v[-1, 0] + 140 and u[-1, -1] + 140 < 580 < v[-1, -1]
    assert (y[300:, :64] == 940).any() and (y[300:, -64:] == 940).any()
    digits = y[4:25, 260 : 260 + 16 * 3]
    assert (digits == 940).any() and (digits == 64).any()


def glyphs(text: str) -> np.ndarray:
    """The luma of a text."""
    luma = np.zeros((21, _width(text)), np.uint16)
    _write(luma, text, 0, 0)
    return luma


@pytest.mark.parametrize(
    ("width", "height"), [(600, 270), (512, 300), (520, 513), (40, 30), (20, 10)]
)
def test_every_window_has_its_whole_numbers(width: int, height: int) -> None:
    """Also where the last row or column is smaller than they are."""
    half = (height + 1) // 2, (width + 1) // 2
    grey = tuple(np.full(shape, 512, np.uint16) for shape in ((height, width), half, half))
    shape = -(-height // 256), -(-width // 256)
    bits = np.arange(1000, 1000 + shape[0] * shape[1]).reshape(shape)
    planes = heatmap(WindowFrame(grey, bits.astype(float), bits - 900))
    y = planes[0]
    assert [plane.shape for plane in planes] == [
        (height + 30, width),
        *[((height + 31) // 2, half[1])] * 2,
    ]
    for (row, column), count in np.ndenumerate(bits):
        for line, number in enumerate((count, count - 900)):
            wanted = glyphs(str(number))
            top = max(0, min(row * 256 + 4, height - 46)) + 21 * line
            left = max(0, min(column * 256 + 4, width - _width(str(count)) - 4))
            if height >= 46 and width >= 60:
                assert np.array_equal(y[top : top + 21, left : left + wanted.shape[1]], wanted)


def test_command_line(tmp_path: Path) -> None:
    stream, other = tmp_path / "a.bin", tmp_path / "b.bin"
    clip = make_clip(96, 80, 3, seed=3)
    stream.write_bytes(api.encode(clip, base="klt", fit=0, base_q=40, threads=1))
    other.write_bytes(api.encode(clip, base="hevc", fit=0, base_q=40, threads=1))
    bits, tokens = gvcodec("inspect", stream).stdout.split()
    assert float(bits) > 100 and int(tokens) > 1
    gvcodec("inspect", stream, "--heatmap", tmp_path / "a.png")
    gvcodec("inspect", stream, "--heatmap", tmp_path / "a.mkv")
    for name, count in (("a.png", 1), ("a.mkv", 3)):
        with VideoReader(tmp_path / name) as reader:
            frames = list(reader)
        assert len(frames) == count and frames[0].planes[0].shape == (
            heatmap_format(FORMAT).height - 220,
            96,
        )
    assert b"only klt streams have windows" in gvcodec("inspect", other, fails=2).stderr
    (tmp_path / "c.bin").write_bytes(stream.read_bytes()[:-30])
    gvcodec("inspect", tmp_path / "c.bin", "--heatmap", tmp_path / "c.mkv", fails=3)
    assert not (tmp_path / "c.mkv").exists()
