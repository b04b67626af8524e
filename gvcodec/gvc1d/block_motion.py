"""Bytes of the motion vectors of 16×16 blocks, in base gvc1d.

Each vector (x, y), quarter luma samples, is coded as its difference to the median of the vectors to
the left, above, and above to the right; the tables follow the differences around, so blocks that
move alike are nearly free. Raises `DamagedStreamError` for bytes that no encoder writes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import DamagedStreamError

#: A vector's component at most, in quarter samples.
FARTHEST = 4095
Vectors = NDArray[np.int16]  # (rows, columns, 2)

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
