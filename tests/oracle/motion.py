"""NumPy reference of block motion: compensation of luma by quarter samples, and SATD.

The same integers as `csrc/motion/motion_search.*`, from their description and for reading. Planes
are (H, W) int64 arrays of samples 0…1023, both sides multiples of 16.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

REACH = 64  # samples that a block may lie outside the reference
_SIZE, _TAPS = 16, 8
# Interpolation filters of ITU-T H.265, table 8-11.
_LUMA = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ]
)


def compensate_block(reference: Ints, x: int, y: int, vector: tuple[int, int]) -> Ints:
    """The 16×16 block at sample (x, y), moved by `vector` = (x, y) in quarter samples. Samples
    outside the reference repeat its edge. Two passes with 14-bit intermediates."""
    height, width = reference.shape
    left = int(np.clip(x + (vector[0] >> 2), -REACH, width + REACH - _SIZE))
    top = int(np.clip(y + (vector[1] >> 2), -REACH, height + REACH - _SIZE))
    reach = np.arange(-3, _SIZE + 4)
    columns, rows = np.clip(left + reach, 0, width - 1), np.clip(top + reach, 0, height - 1)
    patch = reference[np.ix_(rows, columns)]
    across, down = _LUMA[vector[0] & 3], _LUMA[vector[1] & 3]
    mid = sum(int(across[t]) * patch[:, t : t + _SIZE] for t in range(_TAPS)) >> 2
    out = sum(int(down[t]) * mid[t : t + _SIZE] for t in range(_TAPS))
    moved: Ints = np.clip((out + 512) >> 10, 0, 1023)
    return moved


def compensate(reference: Ints, motion: Ints) -> Ints:
    """A whole plane moved by vectors (H/16, W/16, 2)."""
    out = np.empty_like(reference)
    for row, column in np.ndindex(*motion.shape[:2]):
        x, y = _SIZE * column, _SIZE * row
        vector = int(motion[row, column, 0]), int(motion[row, column, 1])
        out[y : y + _SIZE, x : x + _SIZE] = compensate_block(reference, x, y, vector)
    return out


def satd_blocks(a: Ints, b: Ints) -> Ints:
    """Sums of absolute Hadamard coefficients of the 8×8 differences in 16×16 blocks, over eight:
    (H/16, W/16)."""
    h, w = a.shape
    hadamard = np.ones((1, 1), np.int64)
    while len(hadamard) < 8:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    parts = (a - b).reshape(h // 8, 8, w // 8, 8).swapaxes(1, 2)
    sums: Ints = (
        np.abs(hadamard @ parts @ hadamard).sum((2, 3)).reshape(h // 16, 2, w // 16, 2).sum((1, 3))
    )
    return (sums + 4) >> 3
