"""Planar 4:2:0 to RGB in [0, 1], by the clip's own matrix and range.

Chroma is brought to full resolution by linear interpolation at its real position (H.264/H.265 default siting: on even luma
columns, midway between luma rows). RGB is clipped to [0, 1] and not rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.video import MATRICES, Clip, Planes


def upsample_chroma(plane: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """(⌈H/2⌉, ⌈W/2⌉) → (H, W) float32."""
    c = plane.astype(np.float32)
    right = np.concatenate([c[:, 1:], c[:, -1:]], 1)
    columns = np.stack([c, (c + right) / 2], 2).reshape(c.shape[0], -1)[:, :width]
    above = np.concatenate([columns[:1], columns[:-1]])
    below = np.concatenate([columns[1:], columns[-1:]])
    rows = np.stack([0.75 * columns + 0.25 * above, 0.75 * columns + 0.25 * below], 1)
    return rows.reshape(-1, width)[:height]


def to_rgb(planes: Planes, clip: Clip) -> NDArray[np.float32]:
    """(3, H, W) float32 in [0, 1]."""
    height, width = planes[0].shape
    _, kr, kb = MATRICES[clip.matrix]
    peak, unit = (1 << clip.raw.depth) - 1, 1 << (clip.raw.depth - 8)
    luma = planes[0].astype(np.float32)
    blue, red = (upsample_chroma(p, height, width) - 128 * unit for p in planes[1:])
    if clip.full_range:
        y, cb, cr = luma / peak, blue / peak, red / peak
    else:
        y, cb, cr = (luma - 16 * unit) / (219 * unit), blue / (224 * unit), red / (224 * unit)
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b]), 0, 1)
