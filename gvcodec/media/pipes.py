"""Streams that FFmpeg reads through Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

#: Bytes of the beginning that are kept.
HEAD = 256


class Pipe:
    """A stream for FFmpeg. An exception ends the input and waits in `stopped`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.stopped: BaseException | None = None
        self.head = b""
        #: Bytes read so far.
        self.count = 0

    def read(self, size: int) -> bytes:
        if self.stopped is not None:
            return b""
        try:
            data = self._read(size)
            self.head = self.head or data[:HEAD]
            self.count += len(data)
            return data
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (a store has errors of its own)
            self.stopped = error
            return b""


class Stream(Pipe):
    """One with places to go to."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream.read)
        self.seek, self.tell = stream.seek, stream.tell
