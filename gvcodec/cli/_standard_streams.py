"""Standard input, output and error of the process: a closed one fails with its name, and every
character can be printed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, cast

_STREAMS = (
    ("stdin", "standard input"),
    ("stdout", "standard output"),
    ("stderr", "standard error"),
)
_STDOUT, _STDERR = 1, 2


class _Closed(io.RawIOBase):
    """A standard stream that the caller closed: using it is an error."""

    def __init__(self, name: str) -> None:
        self._name = name

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        raise self._error()

    def read1(self, size: int = -1) -> bytes:
        raise self._error()

    def write(self, data: object, /) -> int:
        raise self._error()

    def _error(self) -> OSError:
        return OSError(errno.EBADF, "is closed", self._name)


class _Patient(io.FileIO):
    """Standard output: a pipe that does not block (of node, of ssh) is waited for."""

    def __init__(self) -> None:
        super().__init__(_STDOUT, "wb", closefd=False)

    def write(self, data: Any, /) -> int:
        # `None`: the pipe is full, and its owner made it non-blocking.
        while (written := cast("int | None", super().write(data))) is None:
            select.select([], [_STDOUT], [], 1)
        return written


class _Lenient(io.RawIOBase):
    """Standard error: that a message cannot be written ends no work."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _STDERR

    def write(self, data: object, /) -> int:
        with contextlib.suppress(OSError):
            return os.write(_STDERR, data)  # type: ignore[arg-type]
        return len(data)  # type: ignore[arg-type]


def prepare() -> None:
    """Make the standard streams fit for use. Files that are opened later do not get the number of a
    closed one, which libraries would write their messages to."""
    for number, (attribute, name) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_RDWR)
            if number == 2:
                # No stream is left for a message: only the exit code reports the error.
                sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            else:
                setattr(
                    sys, attribute, io.TextIOWrapper(_Closed(name), "utf-8", write_through=True)
                )  # type: ignore[type-var]
    if not isinstance(sys.stdout.buffer, _Closed):
        # Buffered even where Python is not: a raw write may end early without an error, and a full
        # disk would cut the last one off unnoticed.
        encoding, lines = sys.stdout.encoding, sys.stdout.line_buffering
        sys.stdout.detach()  # type: ignore[union-attr]
        patient = io.BufferedWriter(_Patient())
        sys.stdout = io.TextIOWrapper(patient, encoding, line_buffering=bool(lines))
    if not sys.stderr.isatty():
        sys.stderr = io.TextIOWrapper(_Lenient(), sys.stderr.encoding, write_through=True)  # type: ignore[type-var]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def out(text: str) -> None:
    """Lines on standard output, at once. Raises `OSError` that names it."""
    with _name_errors():
        print(text, flush=True)


def finish() -> None:
    """Write out what waits in standard output. Raises `OSError` that names it."""
    with _name_errors():
        sys.stdout.flush()


@contextlib.contextmanager
def _name_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        drop_output()
        if error.filename is not None or isinstance(error, BrokenPipeError):
            raise
        reason = error.strerror or os.strerror(error.errno or errno.EIO)
        raise OSError(error.errno, f"cannot be written: {reason}", "standard output") from error


def drop_output() -> None:
    """What is left in the buffer of standard output must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
