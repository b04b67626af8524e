"""Arrays of ten bits and HDR: uint16 in and out, what `metadata` says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec.errors import UsageError
from gvcodec.types import Colour, VideoFormat
from tests.clips import texture

FAST = {"fit": 0, "threads": 1, "base": "av1", "preset": 10, "q": 5}
PQ = Colour(9, 16, 9)


def ramp(frames: int = 3) -> np.ndarray:
    """(T, H, W, 3) of all ten bits: steps that eight bits do not have."""
    row = np.linspace(300, 420, 96)
    picture = np.stack([row, row + 40, row + 80], -1)
    return np.repeat(np.broadcast_to(picture, (64, 96, 3))[None], frames, 0).astype(np.uint16)


def as_open(data: bytes, **options: object) -> np.ndarray:
    return np.asarray(gvcodec.open(data, fidelity=True, **options)[:])


@pytest.mark.parametrize("colour", [None, PQ, Colour(9, 18, 9, True), Colour(1, 1, 1)])
def test_ten_bits_go_in_and_come_out(colour: Colour | None) -> None:
    frames = ramp()
    fmt = colour and VideoFormat(96, 64, Fraction(25), Fraction(1, 25), 10, colour)
    data = gvcodec.encode(frames, format=fmt, **FAST)
    shown = as_open(data, bit_depth=10)
    assert shown.dtype == np.uint16 and shown.shape == frames.shape
    assert np.abs(shown.astype(int) - frames).mean() < 2.5
    # Eight bits have a quarter of the steps.
    assert len(np.unique(shown[0, :, :, 1])) > 1.5 * len(np.unique(as_open(data)[0, :, :, 1]))
    assert np.abs(as_open(data) - shown / 1023 * 255).max() < 1.5
    one = next(iter(gvcodec.decode(data, bit_depth=10, fidelity=True)))
    assert np.array_equal(one, shown[0])


def test_metadata_says_what_the_video_has() -> None:
    fmt = VideoFormat(96, 64, Fraction(25), Fraction(1, 25), 10, PQ)
    facts = [
        gvcodec.open(gvcodec.encode(ramp(), format=f, **FAST)).metadata for f in (fmt, None)
    ] + [gvcodec.open(gvcodec.encode((ramp() >> 2).astype(np.uint8), **FAST)).metadata]
    assert [(m.bit_depth, m.is_hdr) for m in facts] == [(10, True), (10, False), (8, False)]


def test_the_matrix_of_the_format_holds_for_pictures_of_eight_bits() -> None:
    picture = (255 * np.stack([texture(n, 64, 96) for n in range(3)], -1)).astype(np.uint8)
    fmt = VideoFormat(96, 64, Fraction(25), Fraction(1, 25), 8, Colour(1, 1, 1))
    for given in (None, fmt):
        shown = as_open(gvcodec.encode([picture], format=given, **FAST))[0]
        assert np.abs(shown.astype(int) - picture).mean() < 8


def test_tensors_have_ten_bits_too() -> None:
    torch = pytest.importorskip("torch")
    given = torch.from_numpy(ramp())
    data = gvcodec.encode(given, **FAST)
    shown = gvcodec.open(data, bit_depth=10, output="torch", dimension_order="NCHW")[0]
    assert shown.dtype == torch.uint16 and tuple(shown.shape) == (3, 64, 96)


def test_what_is_not_ten_bits_is_refused() -> None:
    with pytest.raises(UsageError, match="holds 10 bits, 0…1023, not up to 1024; shift 16 bits"):
        gvcodec.encode(np.full((8, 8, 3), 1024, np.uint16), **FAST)
    with pytest.raises(UsageError, match="a uint16 picture has 10 bits, the video has 8"):
        gvcodec.encode([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint16)], **FAST)
    with pytest.raises(UsageError, match="bit_depth is 8 .uint8. or 10"):
        gvcodec.open(gvcodec.encode(ramp(1), **FAST), bit_depth=16)
    with pytest.raises(UsageError, match="uint8, uint16 or floats"):
        gvcodec.encode(np.zeros((8, 8, 3), np.int32), **FAST)
