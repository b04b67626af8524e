"""Motion-compensated flicker: how much more a decoded video changes from frame to frame than its
source does.

Motion is found once on the source luma (16×16 blocks, whole pels, hierarchical search) and applied
to both videos:

    flicker(t) = mean over blocks of max(0, D_decoded − D_source)
    D          = mean |frame_t − compensated frame_(t−1)|

in 8-bit code values. Identical videos give 0; noise that is drawn afresh, pumping and popping give
more. A decoded video that changes less than its source (smoothing) is not rewarded: that is why the
difference is cut off block by block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
BLOCK = 16
_LEVELS = 3


class MotionField:
    """Vectors of one source frame against the previous one, one for each block."""

    def __init__(self, previous: Plane, current: Plane) -> None:
        pyramid = [(previous.astype(np.float32), current.astype(np.float32))]
        for _ in range(_LEVELS - 1):
            pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
        vectors = None
        for level in reversed(range(_LEVELS)):
            shape = _block_grid(pyramid[level][1].shape, BLOCK >> level)
            reach = 4 if vectors is None else 1
            start = (
                np.zeros((*shape, 2), np.int64)
                if vectors is None
                else 2 * vectors[: shape[0], : shape[1]]
            )
            vectors = _refine(*pyramid[level], start, BLOCK >> level, reach)
        assert vectors is not None
        self.vectors = vectors

    def compensate(self, previous: Plane) -> Plane:
        """The previous frame, moved to where its blocks are now."""
        rows, columns = _positions(previous.shape, self.vectors, BLOCK)
        return previous[rows, columns]


def _halve(x: Plane) -> Plane:
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2)), mode="edge")
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def _block_grid(shape: tuple[int, ...], block: int) -> tuple[int, int]:
    return -(-shape[0] // block), -(-shape[1] // block)


def block_means(x: Plane, block: int) -> Plane:
    """Mean of every block; border blocks are averaged over their samples."""
    starts = [np.arange(0, size, block) for size in x.shape]
    sums = np.add.reduceat(np.add.reduceat(x, starts[0], 0), starts[1], 1)
    sizes = [np.diff(np.append(s, size)) for s, size in zip(starts, x.shape, strict=True)]
    return sums / np.multiply.outer(*sizes)


def _positions(shape: tuple[int, ...], vectors: Plane, block: int) -> tuple[Plane, Plane]:
    full = vectors.repeat(block, 0).repeat(block, 1)[: shape[0], : shape[1]]
    rows = np.clip(np.arange(shape[0])[:, None] + full[..., 0], 0, shape[0] - 1)
    columns = np.clip(np.arange(shape[1])[None] + full[..., 1], 0, shape[1] - 1)
    return rows, columns


def _refine(previous: Plane, current: Plane, start: Plane, block: int, reach: int) -> Plane:
    best, best_cost = start, np.full(start.shape[:2], np.inf)
    steps = sorted(
        np.ndindex(2 * reach + 1, 2 * reach + 1),
        key=lambda s: (s[0] - reach) ** 2 + (s[1] - reach) ** 2,
    )
    for step in steps:
        candidate = start + (np.array(step) - reach)
        rows, columns = _positions(current.shape, candidate, block)
        # A tiny price a pel of length keeps flat areas still.
        length = 0.02 * np.abs(candidate).sum(-1)
        cost = block_means(np.abs(current - previous[rows, columns]), block) + length
        better = cost < best_cost
        best = np.where(better[..., None], candidate, best)
        best_cost = np.where(better, cost, best_cost)
    return best


def _change(field: MotionField, pair: tuple[Plane, Plane], depth: int) -> Plane:
    """Mean change of every block from `pair` = (frame before, frame), in 8-bit code values."""
    before, now = pair
    moved = field.compensate(before).astype(np.float32)
    return block_means(np.abs(now.astype(np.float32) - moved), BLOCK) / (1 << (depth - 8))


def block_flicker(
    field: MotionField, decoded: tuple[Plane, Plane], source: tuple[Plane, Plane], depth: int
) -> Plane:
    """Excess change of each block of `decoded` = (previous frame, frame) over `source`, in 8-bit
    code values, (rows, columns)."""
    return np.maximum(0, _change(field, decoded, depth) - _change(field, source, depth))


def flicker(
    field: MotionField, decoded: tuple[Plane, Plane], source: tuple[Plane, Plane], depth: int
) -> float:
    """Mean of `block_flicker`."""
    return float(block_flicker(field, decoded, source, depth).mean())


def own_change(frames: list[tuple[Plane, Plane]], depth: int) -> float:
    """The baseline of flicker: mean motion-compensated change of source luma `(frame
    before, frame)`, in 8-bit code values."""
    changes = [float(_change(MotionField(*pair), pair, depth).mean()) for pair in frames]
    return sum(changes) / len(changes) if changes else 0.0
