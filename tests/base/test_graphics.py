"""Graphics that change from frame to frame: no preset leaves objects of a picture out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec.types import Planes, VideoFormat
from tests.clips import write_clip

FRAMES, WIDTH, HEIGHT, BARS = 60, 160, 96, 10


def numbered(number: int) -> Planes:
    """A slope with bars that show the bits of a number."""
    luma = np.tile(np.linspace(400, 640, WIDTH), (HEIGHT, 1)).astype(np.uint16)
    for bit in range(BARS):
        luma[16:80, 16 * bit : 16 * bit + 16] = 880 if number >> bit & 1 else 130
    flat = np.full((HEIGHT // 2, WIDTH // 2), 512, np.uint16)
    return luma, flat, flat


@pytest.mark.parametrize("preset", [8, 10])
@pytest.mark.parametrize("q", [5, 30])
def test_no_frame_is_far_below_the_others(tmp_path, preset: int, q: int) -> None:
    fmt = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25), 8)
    clip = [numbered(number) for number in range(FRAMES)]
    write_clip(tmp_path / "a.mkv", fmt, clip)
    gvcodec.encode_file(
        tmp_path / "a.mkv", tmp_path / "a.gvc", base="av1", preset=preset, q=q, fit=0
    )
    found = gvcodec.verify(tmp_path / "a.gvc", tmp_path / "a.mkv", fidelity=True)
    assert found.worst is not None
    # A frame without one of its bars has 20 dB at most.
    assert found.worst[1] > 30
