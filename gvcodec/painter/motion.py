"""Block motion between consecutive base frames, as the painter needs it: display order, whole
pixels, out of the coding base_frame. NumPy and the core only.

A block of `BLOCK` luma pixels has a vector (dy, dx) in luma pixels: its content is looked for in
the reference at position + vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import motion_search
from gvcodec.types import Plane

BLOCK = 16
_LARGE = 500_000  # luma pixels from which the search works at half resolution


def block_grid(height: int, width: int) -> tuple[int, int]:
    """Number of blocks (rows, columns) that cover a picture."""
    return -(-height // BLOCK), -(-width // BLOCK)


def block_vectors(current: Plane, reference: Plane, threads: int = 1) -> NDArray[np.int16]:
    """Motion of a luma plane against the frame before it: `(2, h, w)`.

    Large pictures are searched at half resolution (blocks of 32 luma pixels): four times as fast,
    and detail moves as well."""
    rows, columns = block_grid(*current.shape)
    if current.size < _LARGE:
        vectors, _ = motion_search(current, reference, threads=threads, finest=4)
        field = vectors[:, :, ::-1] >> 2
    else:
        vectors, _ = motion_search(_halve(current), _halve(reference), threads=threads, finest=2)
        field = (vectors[:, :, ::-1] >> 1).repeat(2, 0).repeat(2, 1)[:rows, :columns]
    return np.ascontiguousarray(field.transpose(2, 0, 1))


def _halve(plane: Plane) -> Plane:
    """Means of 2×2 samples; an odd last row or column is left out."""
    h, w = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    rows = plane[0:h:2] + plane[1:h:2]
    return np.ascontiguousarray((rows[:, 0:w:2] + rows[:, 1:w:2] + 2) >> 2)
