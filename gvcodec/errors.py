"""Exceptions of gvcodec, each with the exit code of the command line.

Every message is one line a person can act on: the file, the place, the error.
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


#: Codes of errors, with their meaning. Messages may be reworded; codes stay.
CODES = {
    # Arguments: `UsageError`.
    "usage": "arguments that cannot be used",
    "option-unknown": "there is no option of this name",
    "option-type": "an option has a value of another type",
    "option-value": "an option has a value outside its range or choices",
    "option-conflict": "options that exclude each other, or one that needs another",
    "base-unknown": "there is no base codec of this name",
    "base-feature": "the base codec lacks this feature",
    "encoder-params": "parameters that SVT-AV1 or VVenC does not take, or that break exactness",
    "format-promise": "the requested format lacks features that the options need",
    "picture-size": "the base codec does not code pictures of this size",
    "frame-shape": "a frame has another size, type or range of samples",
    "frame-number": "frames are selected by a number or type that is not there",
    "time": "not a time, or a range that ends before it begins",
    "no-frames": "no frame is in the stream, or in the selected part",
    "target": "a target or budget outside its range",
    "target-unreachable": "the best quality does not reach the target",
    "size-unreachable": "the smallest file is larger than the size limit",
    "output-name": "an output whose name or place does not fit its kind",
    "input-kind": "an input is not a path, bytes or an open binary file",
    "not-seekable": "random access to a pipe",
    "streams-differ": "streams, or a stream and its source, do not fit together",
    "encoder-flushed": "a frame after the encoder was flushed",
    "fork": "an object that belongs to the process before fork()",
    "device": "there is no such device",
    "package-missing": "a Python package or program that is needed is not installed",
    "weights-missing": "weights that a plain installation does not have",
    "entropy-input": "numbers that the entropy coder cannot code",
    "comparison": "videos or encoders that cannot be compared",
    "data-set": "clips that make no data set",
    "no-summary": "no summary to search in",
    "query": "a query that cannot be read",
    "embedder": "an embedder that is unknown or does not take this query",
    # Streams: `DamagedStreamError`.
    "damaged-stream": "not a valid stream",
    "not-gvcodec": "the first bytes, or the tracks, are not those of a gvcodec file",
    "truncated": "the data end early",
    "header-checksum": "checksum of the header differs",
    "header-field": "a field of the header is out of range",
    "packet-checksum": "checksum of a packet differs",
    "packet-size": "a packet claims an impossible size",
    "packet-order": "a packet where the format does not allow it",
    "gop-checksum": "checksum of a GOP differs",
    "index": "the index is missing or contradicts the packets",
    "number": "a number is too long or out of range",
    "timing": "timestamps that cannot be",
    "bundle": "a bundle of frames that cannot be read",
    "base-layer": "the base bitstream cannot be decoded, or contradicts the header",
    "fit-payload": "fitted weights that cannot be read",
    "painter-tokens": "tokens of the painter that cannot be read",
    "entropy": "entropy-coded data that do not end with their last value",
    "model-packet": "an embedded model that is not the one the header names",
    "metadata-obu": "a metadata OBU of gvcodec that cannot be read",
    "temporal-unit": "OBUs of a temporal unit that do not fit into each other",
    "container": "an MP4, Matroska or WebM file that cannot be read",
    "changed-file": "another tool changed the file",
    "frame-missing": "a frame cannot be decoded",
    "summary": "a summary for search that cannot be read",
    "condensed-set": "a condensed set that cannot be read",
    # Versions and models: `FormatVersionError`, `WrongModelError`.
    "newer-format": "the file needs a newer release",
    "header-version": "the file has a version of the format that this release does not read",
    "newer-packet": "a packet needs a newer release",
    "newer-model": "a model file needs a newer release",
    "base-retired": "a base codec that no current release reads",
    "model": "a model is missing or does not fit",
    "model-missing": "a model that the stream names is not found",
    "model-unnamed": "the stream does not name the model that it needs",
    "not-a-model": "a file is not the model that it should be",
    # Checks: `VerificationError`.
    "verification": "decoded frames differ from the encoder's",
    "base-hash": "base frames differ from the encoder's",
    "painted-hash": "painted frames differ from the encoder's",
    # Limits: `LimitError`.
    "limit": "more than the caller allows",
    "limit-pixels": "pictures have more pixels than allowed",
    "limit-memory": "decoding takes more memory than allowed",
    "limit-rate": "more frames a second than allowed",
    "limit-frame": "a coded frame is larger than the format allows",
    # Files: `MediaError`.
    "media": "a file cannot be read or written, or holds nothing to encode",
    "file-missing": "a file does not exist",
    "file-unreadable": "a file cannot be read",
    "file-folder": "a folder where a file is needed",
    "file-exists": "the output exists already",
    "input-is-output": "the output is one of the inputs",
    "output-unwritable": "the output cannot be written",
    "store-lost": "a remote store stopped answering",
    # Outcomes.
    "batch-failed": "some files of a batch failed",
    "no-gain": "the file saves less than asked for",
    "incomplete-source": "the source is damaged or cut off",
    "not-replaced": "the original was not replaced",
    "source-differs": "a stream does not show what its source does, or not well enough",
    "error": "any other error",
}


class GvcodecError(Exception):
    """Base of all errors that gvcodec raises on purpose. `code`, one of `CODES`, names the error
    for programs; an error that adds a place to another one has its code."""

    exit_code = 1
    #: The code of errors of this class that have no other.
    default_code = "error"

    def __init__(self, *args: object, code: str | None = None) -> None:
        super().__init__(*args)
        if code is not None and code not in CODES:
            raise ValueError(f"{code} is not a code of errors")
        self._code = code

    @property
    def code(self) -> str:
        cause = self.__cause__
        if self._code is None and isinstance(cause, GvcodecError) and cause is not self:
            return cause.code
        return self._code or self.default_code


class MediaError(GvcodecError):
    """A file cannot be read or written, or holds nothing that can be coded."""

    default_code = "media"


class MissingFileError(MediaError, FileNotFoundError):
    """A file that is to be read does not exist. Also a `FileNotFoundError`, with its `filename`."""

    default_code = "file-missing"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.errno, self.filename = errno.ENOENT, os.fspath(path)

    def __str__(self) -> str:
        return f"{self.filename}: No such file or directory"


class OutputError(MediaError):
    """An output cannot be written. `errno`: the system's number of the reason, if it gave one."""

    default_code = "output-unwritable"
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

    default_code = "limit"


class UsageError(GvcodecError):
    """Arguments are off: unknown option value, frame of another size, q out of range."""

    default_code = "usage"
    exit_code = 2


class DamagedStreamError(GvcodecError):
    """The bytes are not a valid gvcodec stream: cut, flipped or made up."""

    default_code = "damaged-stream"
    exit_code = 3


class NotGvcodecError(DamagedStreamError):
    """The file shows no damage, but is of another kind: no gvcodec stream."""

    default_code = "not-gvcodec"
    exit_code = 9


class WrongModelError(GvcodecError):
    """The stream needs a model that is missing here."""

    default_code = "model"
    exit_code = 4


class FormatVersionError(GvcodecError):
    """The stream is in a version of the format, or has a base, that this release does not read."""

    default_code = "newer-format"
    exit_code = 4


class NewerModelError(FormatVersionError, MediaError):
    """A model file is of a form or of sizes that this release does not read."""

    default_code = "newer-model"


class VerificationError(GvcodecError):
    """Decoded frames differ from the encoder's (base hash)."""

    default_code = "verification"
    exit_code = 5


class BatchError(GvcodecError):
    """Some files of a batch could not be encoded; the others are."""

    default_code = "batch-failed"
    exit_code = 6


class NoGainError(GvcodecError):
    """The coded file saves less of its source than `min_gain` asks for: nothing was written."""

    default_code = "no-gain"
    exit_code = 7


class SourceDiffersError(GvcodecError):
    """A stream has other frames, times or picture sizes than its source, or its quality is below
    the floor. `result`: the function's result."""

    default_code = "source-differs"
    exit_code = 10

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class NotReplacedError(GvcodecError):
    """A coded file failed a check, so the original was not replaced by it. `lost`: names of parts
    that it lacks (`--allow-loss`)."""

    default_code = "not-replaced"
    exit_code = 10
    lost: tuple[str, ...] = ()


def incomplete_source(name: str, missing_parts: str) -> str:
    """The message of an `IncompleteSourceError`."""
    return (
        f"{name}: incomplete source: {missing_parts} (use --allow-damaged to treat this as success)"
    )


class IncompleteSourceError(GvcodecError):
    """A source is damaged or cut off. The readable part was coded, or compared.

    `result`: the function's result with `allow_damaged`."""

    default_code = "incomplete-source"
    exit_code = 8

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result
