"""Exceptions of gvcodec, each with the exit code of the command line.

Every message is one line a person can act on: what file, where in it, what is wrong.
"""

from __future__ import annotations

import errno
import os

#: A full disk, a used-up quota, a read-only file system, a disk that fails.
_FINAL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EROFS, errno.EIO)
#: Installs torch for processors alone: without the index, Linux gets gigabytes of CUDA.
INSTALL_TORCH = "pip install 'gvcodec[fit]' --extra-index-url https://download.pytorch.org/whl/cpu"

#: Of a file with latent tokens over its base.
NO_TOKENS = "latent tokens are not read any more (gvcodec 1.0.0 does): shown without them"


class GvcodecError(Exception):
    """Base of all errors that gvcodec raises on purpose."""

    exit_code = 1


class MediaError(GvcodecError):
    """A file cannot be read or written, or holds nothing that can be coded."""


class MissingFileError(MediaError, FileNotFoundError):
    """A file that is to be read does not exist. Also a `FileNotFoundError`, with its `filename`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.errno, self.filename = errno.ENOENT, os.fspath(path)

    def __str__(self) -> str:
        return f"{self.filename}: No such file or directory"


class OutputError(MediaError):
    """An output cannot be written. `errno`: the system's number of the reason, if it gave one."""

    errno: int | None = None

    @classmethod
    def of(cls, path: str | os.PathLike[str], error: OSError) -> OutputError:
        reason = error.strerror or os.strerror(error.errno or errno.EIO)
        output_error = cls(f"{path}: cannot be written: {reason}")
        output_error.errno = error.errno
        return output_error

    @property
    def is_final(self) -> bool:
        """Whether other files there cannot be written either: disk full, read-only or broken."""
        return self.errno in _FINAL


class LimitError(GvcodecError):
    """A stream asks for larger pictures, more memory or more frames a second than the caller
    allows."""


class UsageError(GvcodecError):
    """Arguments are off: unknown option value, frame of another size, q out of range."""

    exit_code = 2


class DamagedStreamError(GvcodecError):
    """The bytes are not a valid gvcodec stream: cut, flipped or made up."""

    exit_code = 3


class NotGvcodecError(DamagedStreamError):
    """The file is whole, as far as one can tell, but of another kind: no gvcodec stream."""

    exit_code = 9


class WrongModelError(GvcodecError):
    """The stream needs a model that is missing here."""

    exit_code = 4


class FormatVersionError(GvcodecError):
    """The stream is in a version of the format, or has a base, that this release does not read."""

    exit_code = 4


class NewerModelError(FormatVersionError, MediaError):
    """A model file is of a form or of sizes that this release does not read."""


class VerificationError(GvcodecError):
    """Decoded frames differ from what the encoder promised (base hash)."""

    exit_code = 5


class BatchError(GvcodecError):
    """Some files of a batch could not be encoded; the others are."""

    exit_code = 6


class NoGainError(GvcodecError):
    """The coded file saves less of its source than `min_gain` asks for: nothing was written."""

    exit_code = 7


class NotReplacedError(GvcodecError):
    """A coded file failed a check, so the original was not replaced by it."""

    exit_code = 10


def incomplete_source(name: str, missing_parts: str) -> str:
    """The message of an `IncompleteSourceError`."""
    return f"{name}: incomplete source: {missing_parts} (--allow-damaged takes it for a success)"


class IncompleteSourceError(GvcodecError):
    """A source is damaged or cut off. What could be read of it was coded, or compared.

    `result`: what the function would return with `allow_damaged`."""

    exit_code = 8

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result
