"""Hashes of frames, and PSNR in decibels as everything here reports it: of a plane, and the mean
over frames."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from gvcodec.base import bytes_to_hash
from gvcodec.bitstream import HASH_BYTES
from gvcodec.types import Plane, Planes

#: Largest sample of 10-bit planes.
PEAK = 1023
#: Samples that are compared at a time: they stay in cache, and in memory that is not given back
#: (`util.process`), which takes a quarter of the time of whole planes.
_STRIP = 1 << 15


def db(mean_square: float, peak: float = PEAK) -> float:
    """Decibels of a mean square error; infinite for 0."""
    return 10 * math.log10(peak**2 / mean_square) if mean_square else math.inf


def psnr(
    a: Plane | NDArray[np.uint8], b: Plane | NDArray[np.uint8], peak: float = PEAK, bits: int = 0
) -> float:
    """PSNR of two planes, in dB; infinite when they are equal. `peak`: largest value of `a`;
    `bits`: how many bits fewer `b` has."""
    total, rows = 0, max(1, _STRIP // max(1, a.shape[1]))
    for top in range(0, len(a), rows):
        difference = a[top : top + rows].astype(np.int32)
        difference -= np.left_shift(b[top : top + rows], bits, dtype=np.int32)
        difference *= difference
        total += int(difference.sum(dtype=np.int64))
    return db(total / a.size, peak)


class MeanPsnr:
    """The mean over frames. Exact ones count only when all are: the mean is infinite then."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        """One frame's, in decibels."""
        if math.isfinite(value):
            self._sum += value
            self._count += 1

    @property
    def value(self) -> float:
        return self._sum / self._count if self._count else math.inf


class FrameHash:
    """The hash of a sequence of frames, as packets have it. With an `executor`, which has one
    thread, it is computed while the caller goes on; a frame must not change then. At most one frame
    waits."""

    def __init__(self, executor: Executor | None) -> None:
        self._hash = hashlib.sha256()
        self._executor = executor
        self._pending: Future[None] | None = None

    def update(self, frame: Planes, tokens: bytes = b"") -> None:
        """Take the next frame; its base's `tokens`, if any, are hashed ahead of its samples."""
        self._wait()
        if self._executor is None:
            self._hash_frame(frame, tokens)
        else:
            self._pending = self._executor.submit(self._hash_frame, frame, tokens)

    def digest(self) -> bytes:
        """The hash of the frames so far."""
        self._wait()
        return self._hash.digest()[:HASH_BYTES]

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def _hash_frame(self, frame: Planes, tokens: bytes) -> None:
        self._hash.update(tokens)
        for part in bytes_to_hash(frame):
            self._hash.update(part)


class Fidelity:
    """Hash of the base frames, and the mean PSNR of their luma against the sources, which come
    first."""

    def __init__(self) -> None:
        self._sources: deque[Plane | NDArray[np.uint8]] = deque()
        self.hash, self.psnr_y = FrameHash(None), MeanPsnr()

    def send_source(self, luma: Plane, bit_depth: int) -> None:
        """The next source; eight bits are kept as such."""
        if bit_depth == 8:
            small = np.empty(luma.shape, np.uint8)
            self._sources.append(np.right_shift(luma, 2, out=small, casting="unsafe"))
        else:
            self._sources.append(luma)

    def send_base(self, base_frame: Planes, tokens: bytes) -> None:
        """The next base frame, and the bytes of its tokens that the hash counts with it."""
        source = self._sources.popleft()
        self.hash.update(base_frame, tokens)
        self.psnr_y.add(psnr(base_frame[0], source, bits=2 * (source.dtype == np.uint8)))
