"""PSNR, which is taken in strips."""

from __future__ import annotations

import numpy as np
import pytest

from gvcodec.util.psnr import psnr


@pytest.mark.parametrize(("height", "width"), [(3, 5), (70, 1000), (2, 40000)])
@pytest.mark.parametrize("bits", [0, 2])
def test_every_sample_counts(height: int, width: int, bits: int) -> None:
    rng = np.random.default_rng(height)
    a = rng.integers(0, 1024, (height, width), np.uint16)
    b = rng.integers(0, 256, (height, width), np.uint8)
    error = np.mean(np.square(a - b.astype(np.float64) * 2**bits))
    assert psnr(a, b, bits=bits) == pytest.approx(10 * np.log10(1023**2 / error), abs=1e-12)
    a[-1, -1] = 1
    assert psnr(a, a) == np.inf
    other = a.copy()
    other[-1, -1] = 0
    assert psnr(a, other) == pytest.approx(10 * np.log10(1023**2 * a.size), abs=1e-12)
