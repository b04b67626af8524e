"""Painted planes as RGB pictures where they were painted: nothing goes to the processor on the way.

The same as `media.planes.rgb_from_planes` but for rounding, since that one converts by swscale.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gvcodec.media.planes import rgb_from_planes, rgb_matrix
from gvcodec.media.siting import LEFT, PLACES, taps
from gvcodec.painter.model import PEAK
from gvcodec.types import Colour, Planes

#: Shares of red and blue in luma, by CICP matrix; others are taken as BT.601.
_SHARES = {1: (0.2126, 0.0722), 4: (0.3, 0.11), 7: (0.212, 0.087)} | dict.fromkeys(
    (9, 10), (0.2627, 0.0593)
)
_BT601 = 0.299, 0.114


def picture(planes: Planes | tuple[Tensor, ...], colour: Colour, device: str) -> Tensor:
    """(H, W, 3) uint8 on `device`, of planes that are there, or of arrays."""
    if isinstance(planes[0], np.ndarray):
        return torch.from_numpy(rgb_from_planes(planes, colour)).to(device)
    y, *chroma = (plane.float() for plane in planes)
    place = PLACES.get(colour.chroma_location, PLACES[LEFT])
    u, v = (
        _twice(_twice(plane, place[0], 1, y.shape[1]), place[1], 0, y.shape[0]) for plane in chroma
    )
    matrix = colour.matrix if colour.matrix != 2 else rgb_matrix(y.shape[0])
    red, blue = _SHARES.get(matrix, _BT601)
    low, luma, tone = (0, PEAK, PEAK) if colour.full_range else (64, 876, 896)
    y, u, v = (y - low) / luma, (u - 512) / tone, (v - 512) / tone
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return (torch.stack((r, g, b), -1) * 255).round().clamp(0, 255).to(torch.uint8)


def _twice(plane: Tensor, place: float, axis: int, size: int) -> Tensor:
    """Chroma at all `size` luma places along an axis; `place`: of its first sample."""
    phases = torch.stack([_shift(plane, (n - place) / 2, axis) for n in (0, 1)], axis + 1)
    return phases.flatten(axis, axis + 1).narrow(axis, 0, size)


def _shift(plane: Tensor, shift: float, axis: int) -> Tensor:
    if not shift:
        return plane
    whole = math.floor(shift)
    size = plane.shape[axis]
    at = torch.arange(size, device=plane.device) + whole
    parts = (
        tap * plane.index_select(axis, (at + n - 1).clamp(0, size - 1))
        for n, tap in enumerate(taps(shift - whole))
    )
    return torch.stack(list(parts)).sum(0)
