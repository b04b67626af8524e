"""Hashes and PSNR of frames."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from gvcodec.base import bytes_to_hash
from gvcodec.bitstream import HASH_BYTES
from gvcodec.types import Plane, Planes
from gvcodec.util.psnr import MeanPsnr, psnr


class FrameHash:
    """The hash of a sequence of frames, as packets have it. With `aside`, which has one thread, it
    is made while the caller goes on; a frame must not change then. At most one frame waits."""

    def __init__(self, aside: Executor | None) -> None:
        self._hash = hashlib.sha256()
        self._aside = aside
        self._pending: Future[None] | None = None

    def update(self, frame: Planes | bytes) -> None:
        """Take the next frame, or what is hashed in its place."""
        self._wait()
        if self._aside is None:
            self._take(frame)
        else:
            self._pending = self._aside.submit(self._take, frame)

    def digest(self) -> bytes:
        """Of the frames so far."""
        self._wait()
        return self._hash.digest()[:HASH_BYTES]

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def _take(self, frame: Planes | bytes) -> None:
        for part in (frame,) if isinstance(frame, bytes) else bytes_to_hash(frame):
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

    def send_base(self, base_frame: Planes, hashed: Planes | bytes) -> None:
        """The next base frame, and what the hash counts of it."""
        source = self._sources.popleft()
        self.hash.update(hashed)
        self.psnr_y.add(psnr(base_frame[0], source, bits=2 * (source.dtype == np.uint8)))
