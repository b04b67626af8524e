"""Inputs and outputs of the command line: "-" for pipes, inputs that grow, outputs that appear whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gvcodec.errors import MediaError, UsageError

_POLL = 0.05


def say(line: str) -> None:
    """One line on standard error: standard output is for data."""
    print(f"gvcodec: {line}", file=sys.stderr)


def shown_name(path: str) -> str:
    """How messages call an input."""
    return "standard input" if path == "-" else path


@contextlib.contextmanager
def open_input(path: str, follow: float | None = None) -> Iterator[BinaryIO]:
    """A stream to read, "-" is standard input. `follow`: at the end wait so many seconds for the file to grow."""
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        if follow is None:
            with open(path, "rb") as stream:
                yield stream
        else:
            with io.BufferedReader(_Growing(path, follow)) as growing:
                yield growing
    except IsADirectoryError as error:
        raise MediaError(f"{path}: is a folder") from error
    except (FileNotFoundError, PermissionError) as error:
        raise MediaError(f"{path}: {error.strerror}") from error


@contextlib.contextmanager
def open_output(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """The file to write, complete or absent afterwards; "-" is standard output."""
    if path == "-":
        if sys.stdout.isatty():
            raise UsageError("a stream is not for a terminal: redirect standard output or name a file")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with PendingFile(path, overwrite) as pending:
        try:
            with open(pending.temporary, "wb") as stream:
                yield stream
        except OSError as error:
            raise MediaError(f"{path}: cannot be written: {error.strerror or os.strerror(error.errno or 0)}") from error


class _Growing(io.RawIOBase):
    """A file that something else is still writing: its end is where nothing has come for `patience` seconds."""

    def __init__(self, path: str, patience: float) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed with the object)
        self._patience = patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        waited_since = time.monotonic()
        while not (count := self._file.readinto(buffer)):
            if time.monotonic() - waited_since > self._patience:
                return 0
            time.sleep(_POLL)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class PendingFile:
    """A temporary file beside `path`: renamed to it when the `with` block ends well, removed when it does not.

    `temporary` is the path to write to (it exists, empty, with the extension of `path`). Raises `MediaError` when the
    folder cannot be written or `path` exists and `overwrite` is false.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise MediaError(f"{path}: is a folder")
        if self.path.exists() and not overwrite:
            raise MediaError(f"{path}: exists already (-y overwrites)")
        if self.path.exists() and not self.path.is_file():
            raise MediaError(f"{path}: is not a regular file")
        try:
            handle, name = tempfile.mkstemp(self.path.suffix, f".{self.path.stem}.", self.path.parent)
        except OSError as error:
            raise MediaError(f"{path}: cannot be written: {error.strerror}") from error
        os.close(handle)
        self.temporary = Path(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        try:
            # mkstemp makes files that only their owner may read; a result has the usual rights.
            mask = os.umask(0)
            os.umask(mask)
            self.temporary.chmod(0o666 & ~mask)
            self.temporary.replace(self.path)
        except OSError as error:
            self.temporary.unlink(missing_ok=True)
            raise MediaError(f"{self.path}: cannot be written: {error.strerror}") from error
