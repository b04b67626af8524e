"""Frames of a video as one picture, each with its time: the contact sheet of `gvcodec summarize
--sheet`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.search.thumbnails import area_mean
from gvcodec.types import Planes

#: Pixels of a picture's longer side, and between pictures.
_SIDE, _GAP = 320, 4
_COLUMNS = 4
_WHITE, _BLACK, _NEUTRAL = 940, 64, 512
#: Signs of 3 × 5 cells, rows from the top, a bit a cell.
_SIGNS = {
    "0": (7, 5, 5, 5, 7), "1": (2, 6, 2, 2, 7), "2": (7, 1, 7, 4, 7), "3": (7, 1, 7, 1, 7), "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7), "6": (7, 4, 7, 5, 7), "7": (7, 1, 1, 1, 1), "8": (7, 5, 7, 5, 7), "9": (7, 5, 7, 1, 7),
    ":": (0, 2, 0, 2, 0), ".": (0, 0, 0, 0, 2),
}  # fmt: skip
_CELL = 3


def contact_sheet(pictures: Sequence[Planes], times: Sequence[float]) -> Planes:
    """Pictures of one size in rows, as 10-bit planes. `times`: seconds."""
    height, width = pictures[0][0].shape
    scale = min(1.0, _SIDE / max(height, width))
    h, w = (max(16, round(side * scale / 2) * 2) for side in (height, width))
    columns = min(_COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    size = rows * (h + _GAP) + _GAP, columns * (w + _GAP) + _GAP
    y = np.full(size, _BLACK, np.uint16)
    chroma = [np.full((size[0] // 2, size[1] // 2), _NEUTRAL, np.uint16) for _ in range(2)]
    for number, (planes, time) in enumerate(zip(pictures, times, strict=True)):
        top, left = (
            n * (side + _GAP) + _GAP
            for n, side in zip(divmod(number, columns), (h, w), strict=True)
        )
        y[top : top + h, left : left + w] = area_mean(planes[0], h, w)
        for to, plane in zip(chroma, planes[1:], strict=True):
            to[top // 2 : (top + h) // 2, left // 2 : (left + w) // 2] = area_mean(
                plane, h // 2, w // 2
            )
        label = _label(shown_time(time))[:h, :w]
        y[top : top + label.shape[0], left : left + label.shape[1]] = label
        for to in chroma:
            to[top // 2 : (top + label.shape[0]) // 2, left // 2 : (left + label.shape[1]) // 2] = (
                _NEUTRAL
            )
    return y, chroma[0], chroma[1]


def shown_time(seconds: float) -> str:
    """As 1:02:03.4, hours only where there are any."""
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


def _label(text: str) -> NDArray[np.uint16]:
    """White signs on black."""
    cells = np.zeros((7, 4 * len(text) + 1), np.uint16)
    for place, sign in enumerate(text):
        for row, bits in enumerate(_SIGNS.get(sign, (0,) * 5)):
            cells[row + 1, 4 * place + 1 : 4 * place + 4] = [bits >> 2 & 1, bits >> 1 & 1, bits & 1]
    return np.kron(cells, np.ones((_CELL, _CELL), np.uint16)) * (_WHITE - _BLACK) + _BLACK
