"""File objects of callers: what is none is refused in words, and what is written arrives whole."""

from __future__ import annotations

import io
import os
import select
import time
from typing import Any, BinaryIO, cast

from gvcodec.errors import UsageError

#: Seconds to wait for a full pipe that has no number.
_PAUSE = 0.01


def check_source(source: object, what: str) -> None:
    """Raises `UsageError` for what is neither a path nor an open binary file. `what`: how the
    message calls it."""
    if isinstance(source, str | os.PathLike):
        return
    if isinstance(source, bytes | bytearray | memoryview):
        raise UsageError(f"{what} is a path or an open file, not bytes: io.BytesIO makes one")
    _check_object(source, ("read", "seek", "tell"), what)


def whole_writer(output: object) -> BinaryIO:
    """An open binary file whose `write` writes everything. Raises `UsageError`."""
    _check_object(output, ("write",), "an output")
    return cast(BinaryIO, _WholeWriter(output))


def _check_object(given: object, methods: tuple[str, ...], what: str) -> None:
    missing = [name for name in methods if not callable(getattr(given, name, None))]
    if missing:
        raise UsageError(
            f"{what} is a path or an open binary file, not {type(given).__name__} "
            f"(without {' and '.join(missing)})"
        )
    if isinstance(given, io.TextIOBase):
        raise UsageError(f"{what} is open as text: open it in binary mode")
    if getattr(given, "closed", False):
        raise UsageError(f"{what} is closed")


class _WholeWriter:
    """A raw file may take a part, and a pipe that does not block nothing for a while."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._raw = isinstance(stream, io.RawIOBase)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data).cast("B")
        left = view
        while left:
            try:
                # Many an object that is no raw file says nothing.
                taken = self._stream.write(left if len(left) < len(view) else data)
                taken = (0 if self._raw else len(left)) if taken is None else taken
            except BlockingIOError as error:
                taken = error.characters_written
            left = left[taken:]
            if left and not taken:
                self._wait()
        return len(view)

    def flush(self) -> None:
        while flush := getattr(self._stream, "flush", None):
            try:
                flush()
                return
            except BlockingIOError:
                self._wait()

    def _wait(self) -> None:
        try:
            select.select([], [self._stream.fileno()], [], 1)
        except (AttributeError, OSError, ValueError):
            time.sleep(_PAUSE)
