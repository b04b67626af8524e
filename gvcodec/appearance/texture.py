"""Noise that renderers shape into texture: white, reproducible from integers, and carried along by motion.

A noise field is `(B, 1, H, W)` float, mean 0 and variance 1. Fresh values come from an integer hash of (row, column,
position in the GOP); later frames fetch the values at the motion vectors' places, so that texture moves with what it lies on
and stands still where the picture does. Values are only moved whole, never interpolated: the field stays white.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: One pixel in this many is redrawn in each frame, against the repetition that zooming motion builds up.
REFRESH = 32
_MASK = 0xFFFFFFFF


def _hash(rows: Tensor, cols: Tensor, position: int) -> Tensor:
    """32 well-mixed bits for each place (int64 tensor, values 0…2³²−1); the multiplications stay below 2⁶³."""
    x = (rows * 0x9E3779B1 + cols * 0x85EBCA77 + position * 0xC2B2AE3D) & _MASK
    for factor in (0x21F0AAAD, 0x735A2D97):
        x = ((x ^ (x >> 16)) * factor) & _MASK
    return x ^ (x >> 15)


def fresh(
    height: int, width: int, position: int, origin: tuple[int, int] = (0, 0), device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """New noise `(1, 1, height, width)` for frame `position` of a GOP and a bool map of the pixels to redraw in it.

    `origin` is the place of the top left sample in the picture."""
    rows = torch.arange(origin[0], origin[0] + height, device=device)[:, None]
    cols = torch.arange(origin[1], origin[1] + width, device=device)
    bits = _hash(rows, cols, position)
    # The sum of four bytes is close enough to a Gaussian; variance 4·(256²−1)/12.
    total = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24)
    noise = (total.float() - 510.0) * (1 / 147.8)
    return noise[None, None], (bits % REFRESH == 0)[None, None]
