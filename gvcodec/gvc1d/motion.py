"""Motion vectors of 16×16 blocks, in base gvc1d: their bytes, and the encoder's choice of them.

Each vector (x, y), quarter luma samples, is coded as its difference to the median of the vectors to
the left, above, and above to the right; the tables follow the differences around, so blocks that
move alike are nearly free. Raises `DamagedStreamError` for bytes that no encoder writes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import motion_compensate
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import DamagedStreamError
from gvcodec.types import BLOCK, Planes

#: A vector's component at most, in quarter samples.
FARTHEST = 4095
Vectors = NDArray[np.int16]  # (H/16, W/16, 2): x, y

#: Scale index 6 + 3/16 of each of three magnitudes; mean 0; inflation of zero 10. Magnitudes have
#: eight steps an octave, scales six.
_TABLES = [
    Layer(
        np.array([[3, 3, 3], [0, 0, 0], [0, 0, 0]], np.int8),
        np.array([96, 0, 160], np.int32),
        np.ones(3, np.int32),
        4,
        0,
        63,
    )
]


def pack(vectors: Vectors) -> bytes:
    """b"" where nothing moves."""
    if not vectors.any():
        return b""
    field = vectors.astype(np.int32)
    rows, columns = field.shape[:2]
    left = np.zeros_like(field)
    left[:, 1:] = field[:, :-1]
    above, corner = np.zeros_like(field), np.zeros_like(field)
    above[1:] = field[:-1]
    corner[1:, :-1], corner[1:, -1] = field[:-1, 1:], field[:-1, -1]
    values = field - _median(left, above, corner)
    values[0] = field[0] - left[0]
    side, back = _contexts(rows, columns)
    return streams.encode_predicted(_TABLES, side, values.reshape(1, -1), back=back)[0]


def unpack(data: bytes, rows: int, columns: int) -> Vectors:
    """The inverse."""
    field = np.zeros((rows, columns, 2), np.int32)
    if not data:
        return field.astype(np.int16)
    side, back = _contexts(rows, columns)
    values, whole = streams.decode_predicted(_TABLES, side, [data], back=back)
    if not whole.all() or np.abs(values.astype(np.int64)).max() > 2 * FARTHEST:
        raise DamagedStreamError("a frame of gvc1d: impossible motion")
    apart = values.reshape(rows, columns, 2).astype(np.int64)
    field = np.zeros((rows, columns, 2), np.int64)
    field[0] = np.cumsum(apart[0], 0)
    for r in range(1, rows):
        above = field[r - 1]
        corner = np.concatenate([above[1:], above[-1:]])
        low, high = np.minimum(above, corner), np.maximum(above, corner)
        # The median of three: the vector to the left, kept between the two above.
        x = y = 0
        for c, ((ax, ay), (lx, ly), (hx, hy)) in enumerate(
            zip(apart[r].tolist(), low.tolist(), high.tolist(), strict=True)
        ):
            x = ax + min(max(x, lx), hx)
            y = ay + min(max(y, ly), hy)
            field[r, c] = x, y
    if np.abs(field).max() > FARTHEST:
        raise DamagedStreamError("a frame of gvc1d: impossible motion")
    return field.astype(np.int16)


def _median(
    left: NDArray[np.int32], above: NDArray[np.int32], corner: NDArray[np.int32]
) -> NDArray[np.int32]:
    low, high = np.minimum(above, corner), np.maximum(above, corner)
    found: NDArray[np.int32] = np.minimum(np.maximum(left, low), high)
    return found


def _contexts(rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Differences are in the order block, component. Each sees the magnitudes of that to the left
    and above in its component, and of the last eight."""
    shape = rows, columns, 2
    at = np.arange(rows * columns * 2).reshape(shape)
    back = np.zeros((*shape, 3), np.int32)
    back[:, 1:, :, 0] = streams.span(2, 1)
    back[1:, :, :, 1] = streams.span(2 * columns, 1)
    many = np.minimum(at, 8)
    back[..., 2] = streams.span(many, many)
    return np.zeros((1, at.size, 0), np.uint8), back.reshape(1, -1, 3)


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
    """The encoder's choice. A block tries the vectors found for it and its neighbours, the most
    frequent of the frame and none; absolute differences and bits decide, block after block, since
    each is coded as its difference to the median of those before. Gives the field, and the sum of
    absolute luma differences that it leaves. `price`: differences (10
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
