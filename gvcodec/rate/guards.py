"""Flaws that a perceptual network of single frames forgives: parts that are torn or doubled, and
errors that change from frame to frame. Planes are luma (H, W), 0…1023; all values are distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Plane
from gvcodec.util.psnr import PEAK

#: Side of the blocks, and the share of them that counts: the worst.
_BLOCK, _WORST = 8, 0.05
#: Contrast below this hides nothing that shows: SSIM's constant.
_STABLE = (0.03 * PEAK) ** 2


def structure_error(shown: Plane, source: Plane) -> float:
    """One less the contrast and structure part of SSIM (Wang, Bovik et al. 2004) in blocks of 8×8,
    of half the size, mean of the worst twentieth: 0 = equal."""
    a, b = (_blocks(_halve(plane)) for plane in (shown, source))
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    both, own, theirs = (a * b).mean(1), (a * a).mean(1), (b * b).mean(1)
    errors = np.sort(1 - (2 * both + _STABLE) / (own + theirs + _STABLE))
    return float(errors[-max(1, round(_WORST * len(errors))) :].mean())


def error_change(shown: Plane, shown_before: Plane, source: Plane, source_before: Plane) -> float:
    """Mean change of the error (half size) from the frame before to this one, in samples of 0…1023:
    what flickers, swims or stands still where it should move."""
    error, before = (
        _halve(a) - _halve(b) for a, b in ((shown, source), (shown_before, source_before))
    )
    return float(np.abs(error - before).mean())


def _halve(plane: Plane) -> NDArray[np.float32]:
    rows, columns = (n // 2 * 2 for n in plane.shape)
    x = plane[:rows, :columns].astype(np.float32)
    quarters: NDArray[np.float32] = x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]
    return np.multiply(quarters, 0.25, dtype=np.float32)


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 64): all whole blocks; one of a smaller picture."""
    side = min(_BLOCK, *plane.shape)
    rows, columns = (n // side * side for n in plane.shape)
    parts = plane[:rows, :columns].reshape(rows // side, side, columns // side, side)
    return parts.swapaxes(1, 2).reshape(-1, side * side)
