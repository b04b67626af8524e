"""Standard input, output and error of the process: one that the caller closed fails when it is
used, and every character can be printed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator


class _ClosedInput(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        raise OSError(errno.EBADF, "is closed", "standard input")


class _Messages(io.RawIOBase):
    """Standard error: that a message cannot be written ends no work."""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        with contextlib.suppress(OSError):
            return os.write(2, data)
        return len(data)


def prepare() -> None:
    """Make the standard streams fit for use. A file that is opened later does not get the number of
    a closed one, which libraries would write their messages to."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            # The lowest free number is that of the stream. Output cannot be written there; what is
            # said on standard error is lost.
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
            if name == "stdin":
                sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput()))
    with contextlib.suppress(OSError, AttributeError):
        # Of node and of ssh: a pipe that does not block.
        os.set_blocking(1, True)
    if isinstance(sys.stdout.buffer, io.RawIOBase):
        # Where Python does not buffer, a write may end early without an error.
        file = io.BufferedWriter(io.FileIO(1, "wb", closefd=False))
        sys.stdout = io.TextIOWrapper(file, sys.stdout.encoding, line_buffering=True)
    if not sys.stderr.isatty():
        sys.stderr = io.TextIOWrapper(_Messages(), sys.stderr.encoding, write_through=True)  # type: ignore[type-var]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def out(text: str) -> None:
    """Lines on standard output, at once. Raises `OSError` that names it."""
    with _name_errors():
        print(text, flush=True)


def finish() -> None:
    """Flush standard output. Raises `OSError` that names it."""
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
    """Drop the rest of standard output's buffer, which must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
