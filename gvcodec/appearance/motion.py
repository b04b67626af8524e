"""Block motion between consecutive loop frames, as the painter needs it: display order, whole
pixels, out of the coding loop.

The vectors only steer where rendered detail and noise come from, so they may be wrong but never
fatal: every use of a vector is guarded by `warp`'s validity map. Vectors are `(2, h, w)` int16,
(dy, dx) in luma pixels, one for each block of `BLOCK` luma pixels; a block's content is looked for
in the reference at position + vector.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gvcodec._core import motion_search
from gvcodec.types import Plane

BLOCK = 16
_LARGE = 1_000_000  # luma pixels from which the search works at half resolution


def block_grid(height: int, width: int) -> tuple[int, int]:
    """Number of blocks (rows, columns) that cover a picture."""
    return -(-height // BLOCK), -(-width // BLOCK)


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


def search(current: Plane, reference: Plane, threads: int = 1) -> Tensor:
    """Motion of a luma plane against the frame before it: `(2, h, w)` int16.

    Large pictures are searched at half resolution (blocks of 32 luma pixels): four times as fast,
    and detail moves as well."""
    grid = block_grid(*current.shape)
    if current.size < _LARGE:
        vectors, _ = motion_search(current, reference, threads=threads)
        return torch.from_numpy((vectors[:, :, ::-1] + 2) >> 2).permute(2, 0, 1).contiguous()
    vectors, _ = motion_search(_halved(current), _halved(reference), threads=threads)
    field = torch.from_numpy((vectors[:, :, ::-1] + 1) >> 1).permute(2, 0, 1)
    return (
        field.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : grid[0], : grid[1]].contiguous()
    )


def _halved(plane: Plane) -> Plane:
    """Means of 2×2 samples; an odd last row or column is left out."""
    h, w = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    rows = plane[0:h:2] + plane[1:h:2]
    return np.ascontiguousarray((rows[:, 0:w:2] + rows[:, 1:w:2] + 2) >> 2)
