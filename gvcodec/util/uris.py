"""Inputs that are not files of this machine, by fsspec: `s3://…`, `https://…`, `memory://…`.

What a store says becomes one line with the path; where it stops answering that is a
`ConnectionLostError`."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

from gvcodec.errors import GvcodecError, MediaError, MissingFileError, UsageError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Names of this machine's file system among fsspec's.
_LOCAL = ("file://", "local://")
#: Bytes that are read of a URI at once.
_BLOCK = 1 << 20


class ConnectionLostError(MediaError):
    """A store stopped answering: the same may work a little later."""


def is_uri(path: str) -> bool:
    """Whether fsspec opens it: `s3://…`, `https://…`, not a file of this machine."""
    return bool(_SCHEME.match(path)) and not path.startswith(_LOCAL)


def local_path(path: str) -> str:
    """The path of a `file://` URI; other paths stay."""
    prefix = next((prefix for prefix in _LOCAL if path.startswith(prefix)), None)
    if prefix is None:
        return path
    return unquote(path.removeprefix(prefix + "localhost").removeprefix(prefix))


def absolute_path(path: str) -> str:
    """An absolute path of the file that the system opens for `path`.

    `a/../b` lies beside the folder that a link `a` leads to, and nowhere if there is no folder
    `a`: such a path stays as it is, and so does a file's with a slash at its end.
    """
    whole = os.path.join(os.getcwd(), path)
    folder, name = os.path.split(whole)
    if name in ("", os.curdir, os.pardir):
        folder, name = whole, ""
    elif os.pardir not in whole.split(os.sep):
        return os.path.normpath(whole)
    if not os.path.isdir(folder):
        return whole
    return os.path.join(os.path.realpath(folder), name) if name else os.path.realpath(folder)


@contextlib.contextmanager
def name_errors(path: str) -> Iterator[None]:
    """What a store says inside becomes a line with this path."""
    try:
        yield
    except (GvcodecError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise MissingFileError(path) from error
    except (PermissionError, IsADirectoryError, FileExistsError, NotADirectoryError) as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error
    except ImportError as error:
        raise UsageError(f"{path}: {error}".splitlines()[0]) from error
    except Exception as error:
        # Every store has errors of its own.
        if not is_uri(path) and isinstance(error, OSError):
            raise MediaError(f"{path}: {error.strerror or error}") from error
        if not is_uri(path):
            raise
        said = str(error).splitlines()[:1]
        raise ConnectionLostError(
            f"{path}: {type(error).__name__}{''.join(': ' + line for line in said)}"
        ) from error


def system_of(path: str) -> tuple[Any, str]:
    """The file system of fsspec, and the path in it. Raises `UsageError` for an unknown one."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]
    except ValueError as error:
        raise UsageError(f"{path}: {str(error) or type(error).__name__}".splitlines()[0]) from error


def open_uri(path: str) -> BinaryIO:
    """A binary file that can seek, of which only what is read comes over. Raises `MediaError`,
    `UsageError` where a package for such URIs is missing."""
    with name_errors(path):
        system, inside = system_of(path)
        return _Remote(system.open(inside, "rb", block_size=_BLOCK), path)  # type: ignore[return-value]


class _Remote(io.RawIOBase):
    """A file of a store under the name that messages call it by."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name, self._stream = name, stream
        self.seek, self.tell = stream.seek, stream.tell  # type: ignore[method-assign]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        with name_errors(self.name):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
