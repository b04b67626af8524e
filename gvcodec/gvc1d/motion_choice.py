"""The encoder's choice of motion vectors, in base gvc1d: which candidates around each block pay.

A block tries the vectors found for it and its neighbours, the most frequent of the frame and
none; absolute differences and bits decide, block after block, since each is coded as its
difference to the median of those before (`gvcodec.gvc1d.block_motion`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import motion_compensate
from gvcodec.types import BLOCK, Planes

Vectors = NDArray[np.int16]  # (H/16, W/16, 2): x, y

#: Most frequent vectors that every block tries.
_COMMON = 4
#: Neighbours whose vectors a block tries.
_AROUND = ((0, 0), (0, -1), (-1, 0), (0, 1), (1, 0))
#: Bits of a component that is as expected, and of one that is not, besides its length.
_SAME, _OTHER = 0.25, 2.0
_BITS = [_SAME, *(2 * np.log2(np.arange(1, 16384) + 1.0) + _OTHER).tolist()]
#: Passes over the field: each tries what the last has made of the neighbours.
_TIMES = 3


def choose_vectors(
    source: Planes, reference: Planes, found: Vectors, price: float
) -> tuple[Vectors, float]:
    """The field, and the sum of absolute luma differences that it leaves. `price`: differences (10
    bits) that a bit is worth."""
    field, left = found, 0.0
    for _ in range(_TIMES):
        tried = _candidates(found, field)  # (n, rows, columns, 2)
        cost = np.stack([_differences(source, reference, one) for one in tried])
        field, left = _choose(tried, cost, price)
    return field, left


def _choose(
    tried: NDArray[np.int16], cost: NDArray[np.int64], price: float
) -> tuple[Vectors, float]:
    """Block after block, the cheapest of those tried."""
    _, rows, columns, _ = tried.shape
    options = tried.transpose(1, 2, 0, 3).astype(int).tolist()
    costs = cost.transpose(1, 2, 0).tolist()
    field = [[(0, 0)] * columns for _ in range(rows)]
    left_over = 0.0
    for r in range(rows):
        above = field[r - 1] if r else None
        x = y = 0
        for c in range(columns):
            if above is not None:
                corner = above[min(c + 1, columns - 1)]
                lx, hx = sorted((above[c][0], corner[0]))
                ly, hy = sorted((above[c][1], corner[1]))
                x, y = min(max(x, lx), hx), min(max(y, ly), hy)
            best, taken, kept = float("inf"), (0, 0), 0.0
            for (vx, vy), one in zip(options[r][c], costs[r][c], strict=True):
                total = one + price * (_BITS[abs(vx - x)] + _BITS[abs(vy - y)])
                if total < best:
                    best, taken, kept = total, (vx, vy), one
            x, y = field[r][c] = taken
            left_over += kept
    return np.array(field, np.int16), left_over


def _candidates(found: Vectors, field: Vectors) -> NDArray[np.int16]:
    """Candidate vectors of each block: zero, the search's, the neighbouring blocks' in the field
    so far, their median, and the most frequent ones."""
    rows, columns = found.shape[:2]
    wide = np.pad(field, ((1, 1), (1, 1), (0, 0)), mode="edge")
    around = [wide[1 + a : 1 + a + rows, 1 + b : 1 + b + columns] for a, b in _AROUND]
    left, above, corner = around[1], around[2], wide[:-2, 2:][:rows, :columns]
    median = np.median(np.stack([left, above, corner]), 0).astype(np.int16)
    fields = [np.zeros_like(found), found, *around, median]
    kinds, count = np.unique(field.reshape(-1, 2), axis=0, return_counts=True)
    for vector in kinds[np.argsort(-count)[:_COMMON]]:
        fields.append(np.broadcast_to(vector, found.shape))
    return np.stack(fields)


def _differences(source: Planes, reference: Planes, field: Vectors) -> NDArray[np.int64]:
    """Sum of absolute luma differences of each block."""
    moved = motion_compensate(*reference, np.ascontiguousarray(field))[0]
    apart = np.abs(moved.view(np.int16) - source[0].view(np.int16))  # 10 bits: never beyond
    h, w = apart.shape
    rows = apart.reshape(h // BLOCK, BLOCK, w).sum(1, dtype=np.int16)
    found: NDArray[np.int64] = rows.reshape(h // BLOCK, w // BLOCK, BLOCK).sum(2, dtype=np.int64)
    return found
