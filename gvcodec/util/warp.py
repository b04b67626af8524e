"""Whole-pixel motion compensation in torch: for the painter, its losses and the buffer of GVC1D.

A wrong vector is never fatal: every use is guarded by `warp`'s validity map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gvcodec.types import BLOCK


def expand(vectors: Tensor, height: int, width: int, step: int = 1) -> tuple[Tensor, Tensor]:
    """Vectors `(B, 2, h, w)` to source coordinates (rows, columns), each `(B, height, width)`
    int64, at 1/`step` resolution.

    Coordinates may lie outside the picture."""
    side = BLOCK // step
    field = (
        vectors.long().repeat_interleave(side, 2).repeat_interleave(side, 3)[:, :, :height, :width]
    )
    if step > 1:
        field = torch.div(field + step // 2, step, rounding_mode="floor")
    rows = field[:, 0] + torch.arange(height, device=field.device)[:, None]
    return rows, field[:, 1] + torch.arange(width, device=field.device)


def warp(x: Tensor, vectors: Tensor, step: int = 1) -> tuple[Tensor, Tensor]:
    """Fetch `(B, C, H, W)` at the vectors' places (whole pixels, edges repeated); `step` 2 for
    half-resolution planes.

    Returns the fetched planes and a bool map `(B, 1, H, W)`: False where the place lies outside the
    picture."""
    b, c, h, w = x.shape
    rows, cols = expand(vectors, h, w, step)
    inside = (rows >= 0) & (rows < h) & (cols >= 0) & (cols < w)
    index = (rows.clamp(0, h - 1) * w + cols.clamp(0, w - 1)).reshape(b, 1, h * w)
    return x.reshape(b, c, h * w).gather(2, index.expand(b, c, h * w)).reshape(b, c, h, w), inside[
        :, None
    ]
