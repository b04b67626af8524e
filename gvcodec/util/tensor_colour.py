"""Planes as RGB, in torch: for networks and losses."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec.types import Colour

_KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


#: Colour of small clips that say nothing about it: BT.601, limited range.
SMALL = Colour(matrix=6)


def known_colour(colour: Colour, height: int) -> Colour:
    """An unspecified matrix counts as BT.709 from 720 rows on, as BT.601 below."""
    return colour if colour.matrix in _KR_KB else replace(colour, matrix=1 if height >= 720 else 6)


def to_rgb(luma: Tensor, chroma: Tensor, colour: Colour) -> Tensor:
    """Planes `(B, 1, H, W)` and `(B, 2, H/2, W/2)` to RGB `(B, 3, H, W)`. `colour`: see
    `known_colour`."""
    kr, kb = _KR_KB[colour.matrix]
    u, v = (
        F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
        .sub(512 / 1023)
        .unbind(1)
    )
    y = luma[:, 0]
    if not colour.full_range:
        y, u, v = (y - 64 / 1023) * (1023 / 876), u * (1023 / 896), v * (1023 / 896)
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return torch.stack([red, green, blue], 1)
