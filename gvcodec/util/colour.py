"""Matrices between luma, chroma and RGB, by their code points (ITU-T H.273)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gvcodec.types import Colour

#: Shares of red and of blue in luma.
_KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
#: Colour of small clips that say nothing about it: BT.601, limited range.
SMALL = Colour(matrix=6)


def known_colour(colour: Colour, height: int) -> Colour:
    """An unspecified matrix counts as BT.709 from 720 rows on, as BT.601 below."""
    return colour if colour.matrix in _KR_KB else replace(colour, matrix=1 if height >= 720 else 6)


def red_green_blue(y: Any, u: Any, v: Any, colour: Colour) -> tuple[Any, Any, Any]:
    """Planes of one size, arrays or tensors in 0…1 of ten bits, as R, G and B in 0…1. `colour`: see
    `known_colour`."""
    kr, kb = _KR_KB[colour.matrix]
    u, v = u - 512 / 1023, v - 512 / 1023
    if not colour.full_range:
        y, u, v = (y - 64 / 1023) * (1023 / 876), u * (1023 / 896), v * (1023 / 896)
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    return red, (y - kr * red - kb * blue) / (1 - kr - kb), blue
