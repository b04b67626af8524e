"""Small pictures of frames for networks: area means of planes, then RGB. NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.planes import rgb_from_planes
from gvcodec.types import Colour, Plane, Planes


def thumbnail(planes: Planes, colour: Colour, side: int) -> NDArray[np.uint8]:
    """RGB (side, side, 3) of 10-bit planes; the whole picture, scaled to a square. `side` is
    even."""
    y, u, v = planes
    small = (
        area_mean(y, side, side),
        area_mean(u, side // 2, side // 2),
        area_mean(v, side // 2, side // 2),
    )
    return rgb_from_planes(small, colour)


def area_mean(plane: Plane, height: int, width: int) -> Plane:
    """Means over a grid of `height` × `width` cells, whose edges lie on samples."""
    rows, columns = (
        np.arange(n) * of // n for n, of in ((height, plane.shape[0]), (width, plane.shape[1]))
    )
    sums = np.add.reduceat(np.add.reduceat(plane, rows, 0, np.uint32), columns, 1)
    sizes = np.maximum(1, np.diff(rows, append=plane.shape[0]))[:, None] * np.maximum(
        1, np.diff(columns, append=plane.shape[1])
    )
    return ((sums + sizes // 2) // sizes).astype(np.uint16)
