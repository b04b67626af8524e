"""Planar 4:2:0 to RGB in [0, 1], by a clip's own matrix and range.

Chroma is brought to full resolution by linear interpolation at its real position (H.264/H.265
default siting: on even luma columns, midway between luma rows). RGB is clipped to [0, 1] and not
rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
Picture = NDArray[np.float32]

#: Matrix coefficients as in H.273: name for ffmpeg, K_r, K_b.
MATRICES = {
    1: ("bt709", 0.2126, 0.0722),
    6: ("smpte170m", 0.299, 0.114),
    9: ("bt2020nc", 0.2627, 0.0593),
}


def upsample_chroma(plane: NDArray[Any], height: int, width: int) -> Picture:
    """(⌈H/2⌉, ⌈W/2⌉) → (H, W) float32."""
    c = plane.astype(np.float32)
    right = np.concatenate([c[:, 1:], c[:, -1:]], 1)
    columns = np.stack([c, (c + right) / 2], 2).reshape(c.shape[0], -1)[:, :width]
    above = np.concatenate([columns[:1], columns[:-1]])
    below = np.concatenate([columns[1:], columns[-1:]])
    rows = np.stack([0.75 * columns + 0.25 * above, 0.75 * columns + 0.25 * below], 1)
    return rows.reshape(-1, width)[:height]


def stretch_chroma(plane: NDArray[Any], height: int, width: int) -> Picture:
    """The same as DCVC's test scripts do it: corners on corners, linear between."""
    from scipy.ndimage import zoom

    return zoom(plane.astype(np.float32), 2, order=1)[:height, :width]


def to_rgb(
    planes: Planes, matrix: int, full_range: bool, depth: int, upsample: Any = upsample_chroma
) -> Picture:
    """Planes of `depth` bits → (3, H, W) float32 in [0, 1]. `matrix` is a key of MATRICES."""
    height, width = planes[0].shape
    _, kr, kb = MATRICES[matrix]
    luma_zero, luma_span, chroma_zero, chroma_span = _levels(full_range, depth)
    y = (planes[0].astype(np.float32) - luma_zero) / luma_span
    cb, cr = ((upsample(p, height, width) - chroma_zero) / chroma_span for p in planes[1:])
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b]), 0, 1)


def _levels(full_range: bool, depth: int) -> tuple[int, int, int, int]:
    """(black, black to white, neutral chroma, span of chroma) in code values."""
    peak, unit = (1 << depth) - 1, 1 << (depth - 8)
    return (
        (0, peak, 128 * unit, peak)
        if full_range
        else (16 * unit, 219 * unit, 128 * unit, 224 * unit)
    )
