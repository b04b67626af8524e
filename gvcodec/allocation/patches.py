"""Features of luma alone, for budgets without a network.

A 256×256 window has 32 areas of 64×32 samples. The feature of an area is the means of its 8×8
blocks minus the window's mean, and the mean magnitude of its gradients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Plane

WINDOW, _BLOCK = 256, 8
#: Blocks of an area, down and across.
_DOWN, _ACROSS = 8, 4
TOKENS, WIDTH = 32, 2 * _DOWN * _ACROSS


def luma_features(luma: Plane) -> NDArray[np.float32]:
    """(W, 32, 64) of the windows of a picture (10-bit luma), row by row; borders repeat the
    edge."""
    height, width = luma.shape
    rows, columns = -(-height // WINDOW), -(-width // WINDOW)
    edges = (0, rows * WINDOW - height), (0, columns * WINDOW - width)
    padded = np.pad(luma.astype(np.float32), edges, mode="edge")
    across = np.abs(np.diff(padded, axis=1, append=padded[:, -1:]))
    down = np.abs(np.diff(padded, axis=0, append=padded[-1:]))
    means = _area_means(padded, rows, columns)  # W, 32, 32
    means -= means.mean((1, 2), keepdims=True)
    return np.concatenate([means, _area_means(across + down, rows, columns)], -1)


def _area_means(plane: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Means of 8×8 blocks, by window and area: (W, 32, 32)."""
    side = WINDOW // _BLOCK
    blocks = plane.reshape(rows * side, _BLOCK, columns * side, _BLOCK).mean((1, 3))
    split = blocks.reshape(rows, side // _DOWN, _DOWN, columns, side // _ACROSS, _ACROSS)
    return split.transpose(0, 3, 1, 4, 2, 5).reshape(rows * columns, TOKENS, _DOWN * _ACROSS)
