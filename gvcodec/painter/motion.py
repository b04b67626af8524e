"""Block motion between consecutive base frames in display order, in whole pixels: encoder and
decoder both estimate it, so none is sent. NumPy and the core only.

A block of `BLOCK` luma pixels has a vector (dy, dx) in luma pixels: its content is looked for in
the reference at position + vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import BlockMotion
from gvcodec.types import Plane


def block_vectors(current: Plane, reference: Plane, threads: int = 1) -> NDArray[np.int16]:
    """Motion of a luma plane against the frame before it: `(2, h, w)`. Whole videos are searched by
    `BlockMotion`, frame by frame."""
    height, width = current.shape
    motion = BlockMotion(width, height, threads)
    motion.push(np.ascontiguousarray(reference))
    found = motion.push(np.ascontiguousarray(current))
    assert found is not None
    return np.ascontiguousarray(found.transpose(2, 0, 1))
