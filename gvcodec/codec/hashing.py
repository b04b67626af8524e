"""Hashes of frames."""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor, Future

from gvcodec.base import bytes_to_hash
from gvcodec.bitstream import HASH_BYTES
from gvcodec.types import Planes


class FrameHash:
    """The hash of a sequence of frames, as packets have it. With `aside`, which has one thread, it
    is made while the caller goes on; a frame must not change then. At most one frame waits."""

    def __init__(self, aside: Executor | None) -> None:
        self._hash = hashlib.sha256()
        self._aside = aside
        self._pending: Future[None] | None = None

    def update(self, frame: Planes) -> None:
        """Take the next frame."""
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

    def _take(self, frame: Planes) -> None:
        for part in bytes_to_hash(frame):
            self._hash.update(part)
