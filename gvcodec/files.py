"""Output files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from gvcodec.errors import MediaError


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
