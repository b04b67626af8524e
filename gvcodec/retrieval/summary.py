"""The payload of a `summary` packet: one vector of small integers for every few frames of a GOP.

    payload = u8 version (1)  8 bytes embedder id  var dim  var stride  u8 step  u8 leak  u8 first
        u8 later  rANS packet

Vector n belongs to frame n · stride of the GOP, in display order; there are ceil(frames / stride)
of them. A number is integer · 2^(-step / 8). The packet holds, vector by vector, the difference to
round(vector before · leak / 8), half away from zero, with the Laplace tables of scale `first` (the
first vector) and `later`, mean 0 (`gvcodec.entropy.streams`). Raises `DamagedStreamError` for
payloads that break a bound; time and memory are bounded by frames · dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.entropy import streams
from gvcodec.errors import DamagedStreamError

VERSION = 1
ID_BYTES = 8
MAX_DIM = 1024
#: Frames between two vectors at most: a GOP of any length has one.
MAX_STRIDE = 1 << 32
#: Integers of one packet: an hour of frames of 64 in a single GOP.
MAX_VALUES = 1 << 23
_PEAK = 127
_LEAKS = (0, 3, 5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Summary:
    """`vectors`: int8 (count, dim), -127…127, for frames 0, stride, 2 · stride … of a GOP."""

    embedder: bytes
    stride: int
    step: int
    vectors: NDArray[np.int8]

    @property
    def values(self) -> NDArray[np.float32]:
        """The vectors in their own unit, (count, dim)."""
        return self.vectors.astype(np.float32) * np.float32(2 ** (-self.step / 8))

    def pack(self) -> bytes:
        """The smallest payload over all values of `leak`."""
        leaks = _LEAKS[: len(self.vectors) * len(_LEAKS)]
        return min(map(self._pack, leaks), key=len)

    def _pack(self, leak: int) -> bytes:
        rows = self.vectors.astype(np.int32)
        differences = rows.copy()
        differences[1:] -= _predict(rows[:-1], leak)
        scales = _scale(differences[:1]), _scale(differences[1:])
        table = np.full(rows.shape, scales[1], np.uint8)
        table[:1] = scales[0]
        means = np.zeros((1, rows.size), np.int16)
        coded = streams.encode(differences.reshape(1, -1), table.reshape(1, -1), means)[0]
        dim = encode_var(rows.shape[1]) + encode_var(self.stride)
        return bytes([VERSION]) + self.embedder + dim + bytes([self.step, leak, *scales]) + coded

    @staticmethod
    def unpack(payload: bytes, frames: int) -> Summary:
        """Parse the summary of a GOP of `frames` frames. Raises `DamagedStreamError`."""
        cursor = Cursor(payload, "summary")
        if (version := cursor.uint(1)) != VERSION:
            raise DamagedStreamError(f"summary: version {version} is not known", code="summary")
        embedder = cursor.take(ID_BYTES)
        dim, stride = cursor.var(MAX_DIM), cursor.var(MAX_STRIDE)
        step, leak, first, later = cursor.take(4)
        if not dim or not stride or leak > 8 or max(first, later) > streams.MOST_SCALE:
            raise DamagedStreamError("summary: field out of range", code="summary")
        count = -(-frames // stride)
        if count * dim > MAX_VALUES:
            many = f"{count} vectors of {dim}"
            raise DamagedStreamError(
                f"summary: {many} are above {MAX_VALUES} integers", code="summary"
            )
        table = np.full((1, count * dim), later, np.uint8)
        table[:, :dim] = first
        means = np.zeros(table.shape, np.int16)
        values, whole = streams.decode([cursor.take(len(cursor))], table, means)
        rows = values.reshape(count, dim)
        if not whole[0] or np.abs(rows.astype(np.int64)).max() > 2 * _PEAK:
            raise DamagedStreamError("summary: does not end with its last vector", code="summary")
        for before, row in pairwise(rows):
            row += _predict(before, leak)
        if np.abs(rows).max() > _PEAK:
            raise DamagedStreamError("summary: a vector is out of range", code="summary")
        return Summary(embedder, stride, step, rows.astype(np.int8))


def quantise(values: NDArray[np.float32], step: int) -> NDArray[np.int8]:
    """Vectors as integers of `step`. NaN becomes 0."""
    unit = 2 ** (-step / 8)
    inside = np.clip(np.nan_to_num(values), -_PEAK * unit, _PEAK * unit)
    return np.rint(inside / unit).astype(np.int8)


def _predict(before: NDArray[np.int32], leak: int) -> NDArray[np.int32]:
    return np.sign(before) * ((np.abs(before) * leak + 4) >> 3)


def _scale(differences: NDArray[np.int32]) -> int:
    return int(streams.scale_index(np.abs(differences).mean() if differences.size else 0.0))
