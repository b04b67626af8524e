"""Noise that the painter shapes into texture: white, reproducible from integers, moved by motion.

A noise field is `(1, 1, H, W)`, whole numbers 2…1022 around 512 in floats. Fresh values come
from one tile made by an integer hash, laid out from another corner for each position in the GOP;
later frames fetch the values at the motion vectors' places, so that texture moves with what it
lies on and rests where the picture does. Values are only moved whole, never interpolated:
the field stays white.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

#: One pixel in this many is redrawn in each frame, against the repetition that zooming motion
#: builds up.
REFRESH = 32
_SIDE = 512
_MASK = 0xFFFFFFFF
Numbers = TypeVar("Numbers", Tensor, int)


def _mix(x: Numbers) -> Numbers:
    """32 well-mixed bits of each int64 value below 2³²; the products stay below 2⁶³."""
    for factor in (0x21F0AAAD, 0x735A2D97):
        x = ((x ^ (x >> 16)) * factor) & _MASK
    return x ^ (x >> 15)


@lru_cache(maxsize=2)
def tile(device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Noise `(512, 512)`, float, and the bool map of the pixels to redraw."""
    bits = _mix(torch.arange(_SIDE * _SIDE, device=device) * 0x9E3779B1 & _MASK).reshape(
        _SIDE, _SIDE
    )
    # The sum of four bytes is close enough to a Gaussian.
    total = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24)
    return total.float() + 2, bits % REFRESH == 0


def corner(position: int) -> tuple[int, int]:
    """Row and column of the tile where the noise of frame `position` of a GOP begins."""
    bits = _mix(position & _MASK)
    return bits % _SIDE, (bits >> 16) % _SIDE


def fresh(
    height: int, width: int, position: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """New noise `(1, 1, height, width)` for frame `position` of a GOP and a bool map of the pixels
    to redraw in it."""
    top, left = corner(position)
    rows = (torch.arange(height, device=device) + top) % _SIDE
    cols = (torch.arange(width, device=device) + left) % _SIDE
    noise, redraw = (part[rows][:, cols][None, None] for part in tile(device))
    return noise, redraw
