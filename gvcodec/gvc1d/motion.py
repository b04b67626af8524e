"""Block motion of frames without a base, in a LATENT packet: in training and tests; files with
tokens have a base.

With a base both sides find motion on base frames. Without one each 32×32 luma block has a vector
(dy, dx) of whole luma samples, `[2, rows, columns]` int16: where the last picture has what the
block shows. The packet holds differences to the median of three neighbours, by Laplace tables whose
scale follows the differences around; blocks at rest are nearly free. Raises `DamagedStreamError`
for bytes that no encoder writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import DamagedStreamError
from gvcodec.types import BLOCK, VideoFormat

if TYPE_CHECKING:
    from torch import Tensor

#: Luma samples of a block's side, and of a vector's component at most.
SIDE, FARTHEST = 32, 1023
#: Least saving of a vector that is kept: 8-bit levels of absolute difference a bit.
_LEVELS_A_BIT = 100.0
#: Most frequent vectors of a frame that every block tries.
_COMMON = 4

Vectors = NDArray[np.int16]  # [2, rows, columns]

#: Scale index 10 + 3/16 of each of three magnitudes; mean 0; inflation of zero 4. Magnitudes have
#: eight steps an octave, scales six.
_TABLES = [
    Layer(
        np.array([[3, 3, 3], [0, 0, 0], [0, 0, 0]], np.int8),
        np.array([160, 0, 64], np.int32),
        np.ones(3, np.int32),
        4,
        0,
        63,
    )
]


def grid_of(fmt: VideoFormat) -> tuple[int, int]:
    """Rows and columns of blocks that cover a picture."""
    return -(-fmt.height // SIDE), -(-fmt.width // SIDE)


def pack(vectors: Vectors | None) -> bytes:
    """b"" for None."""
    if vectors is None:
        return b""
    field = vectors.astype(np.int32)
    values = np.empty((*field.shape[1:], 2), np.int32)
    for r, c in np.ndindex(*field.shape[1:]):
        values[r, c] = field[:, r, c] - _expect(field, r, c)
    side, back = _contexts(*field.shape[1:])
    return streams.encode_predicted(_TABLES, side, values.reshape(1, -1), back=back)[0]


def unpack(data: bytes, rows: int, columns: int) -> Vectors | None:
    """The inverse."""
    if not data:
        return None
    side, back = _contexts(rows, columns)
    values, whole = streams.decode_predicted(_TABLES, side, [data], back=back)
    if not whole.all() or np.abs(values.astype(np.int64)).max() > 2 * FARTHEST:
        raise DamagedStreamError("latent tokens: impossible motion")
    left = values.reshape(rows, columns, 2)
    field = np.zeros((2, rows, columns), np.int32)
    for r, c in np.ndindex(rows, columns):
        field[:, r, c] = left[r, c] + _expect(field, r, c)
        if np.abs(field[:, r, c]).max() > FARTHEST:
            raise DamagedStreamError("latent tokens: impossible motion")
    return field.astype(np.int16)


def _expect(field: NDArray[np.int32], r: int, c: int) -> NDArray[np.int32]:
    """The median of the vectors to the left, above, and above to the right (at the rim: above);
    in the first row that to the left."""
    left = field[:, r, c - 1] if c else np.zeros(2, np.int32)
    if r == 0:
        return left
    above = field[:, r - 1, c]
    corner = field[:, r - 1, min(c + 1, field.shape[2] - 1)]
    low, high = np.minimum(left, above), np.maximum(left, above)
    return np.maximum(low, np.minimum(high, corner))


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


def spread(vectors: Vectors, height: int, width: int) -> NDArray[np.int16]:
    """Vectors of the 16×16 blocks of whole windows, [2, height / 16, width / 16]; blocks beyond the
    picture repeat its edge."""
    fine = vectors.repeat(SIDE // BLOCK, 1).repeat(SIDE // BLOCK, 2)
    rows, columns = height // BLOCK, width // BLOCK
    fine = fine[:, :rows, :columns]
    beyond = (0, 0), (0, rows - fine.shape[1]), (0, columns - fine.shape[2])
    return np.pad(fine, beyond, mode="edge")


def choose(
    found: Vectors, source: Tensor, reference: Tensor, grid: tuple[int, int]
) -> Vectors | None:
    """The vectors that pay for a frame: those `found` (of 16×16 blocks), the most frequent of them
    or none for each block, by absolute differences of luma `source` to the moved `reference` (both
    [1, 1, H, W], 0…1) and bits. None where all of them save less than they take."""
    import torch
    from torch.nn.functional import avg_pool2d

    from gvcodec.util.tensors import warp

    rows, columns = grid
    height, width = source.shape[2:]
    tried = _candidates(found, grid)  # [N, 2, rows, columns]
    errors = []
    for one in tried:
        motion = torch.from_numpy(spread(one, height, width))[None].to(source.device)
        error = (warp(reference, motion)[0] - source).abs()
        sums = avg_pool2d(error, SIDE)[0, 0, :rows, :columns] * (255 * SIDE**2)
        errors.append(sums.float().cpu().numpy())
    cost = np.stack(errors)
    field, spent = np.zeros((2, rows, columns), np.int32), 0.0
    for r, c in np.ndindex(rows, columns):
        apart = np.abs(tried[:, :, r, c] - _expect(field, r, c))
        bits = (2 * np.log2(1 + apart) + np.where(apart > 0, 2, 0.2)).sum(1)
        best = int(np.argmin(cost[:, r, c] + _LEVELS_A_BIT * bits))
        field[:, r, c] = tried[best, :, r, c]
        spent += cost[best, r, c]
    vectors = field.astype(np.int16)
    saved = float(cost[0].sum()) - spent
    pays = vectors.any() and saved > _LEVELS_A_BIT * 8 * len(pack(vectors))
    return vectors if pays else None


def _candidates(found: Vectors, grid: tuple[int, int]) -> NDArray[np.int32]:
    """Candidate vectors for each block [N, 2, rows, columns]: zero, the vectors of its four 16×16
    blocks, and the most frequent vectors of the frame."""
    rows, columns = grid
    times = SIDE // BLOCK
    field = np.clip(found, -FARTHEST, FARTHEST).astype(np.int32)
    beyond = times * rows - field.shape[1], times * columns - field.shape[2]
    field = np.pad(field, ((0, 0), (0, beyond[0]), (0, beyond[1])), mode="edge")
    own = [field[:, i::times, j::times] for i in range(times) for j in range(times)]
    kinds, count = np.unique(found.reshape(2, -1).astype(np.int32), axis=1, return_counts=True)
    common = kinds[:, np.argsort(-count)[:_COMMON]].clip(-FARTHEST, FARTHEST)
    everywhere = [np.broadcast_to(v[:, None, None], (2, rows, columns)) for v in common.T]
    return np.stack([np.zeros((2, rows, columns), np.int32), *own, *everywhere])
