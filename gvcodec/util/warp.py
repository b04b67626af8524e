"""Whole-pixel motion compensation in torch: for the painter, its losses and the buffer of GVC1D.

A wrong vector is never fatal: every use is guarded by `warp`'s validity map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gvcodec.types import BLOCK


def places(vectors: Tensor, height: int, width: int, step: int = 1) -> tuple[Tensor, Tensor]:
    """Where the samples of a plane at 1/`step` resolution come from: indices into its `height` x
    `width` samples `(B, height, width)` int64, at the edge where a vector points beyond it, and a
    bool map `(B, height, width)`: False there. `vectors` `(B, 2, h, w)`: luma samples, down and
    along, of each block."""
    side = BLOCK // step
    moves = vectors.long()
    if step > 1:
        moves = torch.div(moves + step // 2, step, rounding_mode="floor")
    # Rows of a block share its first vector, columns its second: (B, h, side, w, 1) and
    # (B, h, 1, w, side).
    b, _, h, w = moves.shape
    down = torch.arange(h * side, device=moves.device).view(h, side, 1, 1)
    along = torch.arange(w * side, device=moves.device).view(w, side)
    rows = moves[:, 0, :, None, :, None] + down
    cols = moves[:, 1, :, None, :, None] + along
    index = rows.clamp(0, height - 1) * width + cols.clamp(0, width - 1)
    inside = ((rows >= 0) & (rows < height)) & ((cols >= 0) & (cols < width))
    whole = b, h * side, w * side
    return index.view(whole)[:, :height, :width], inside.view(whole)[:, :height, :width]


def fetch(x: Tensor, index: Tensor) -> Tensor:
    """`(B, C, H, W)` at the indices of `places`."""
    b, c, h, w = x.shape
    return x.reshape(b, c, h * w).gather(2, index.reshape(b, 1, h * w).expand(b, c, -1)).view_as(x)


def warp(x: Tensor, vectors: Tensor, step: int = 1) -> tuple[Tensor, Tensor]:
    """Fetch `(B, C, H, W)` at the vectors' places (whole pixels, edges repeated); `step` 2 for
    half-resolution planes.

    Returns the fetched planes and a bool map `(B, 1, H, W)`: False where the place lies outside the
    picture."""
    _, _, height, width = x.shape
    index, inside = places(vectors, height, width, step)
    return fetch(x, index), inside[:, None]
