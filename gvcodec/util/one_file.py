"""Streams in MP4, Matroska and WebM files (`gvcodec.bitstream.metadata_obu`), as files are opened:
what holds one is recognised here, upper layers take it apart and make it."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from gvcodec.errors import UsageError

#: Video files that hold streams; upper layers make them and take them apart.
ONE_FILE = {".mp4", ".mkv", ".webm"}
_SINK = "gvcodec.streams.one_file_write:open_sink"
_AS_STREAM = "gvcodec.streams.one_file_read:as_stream"
#: Bytes that tell what a file is, and those that a Matroska file begins with.
_HEAD, _EBML = 12, b"\x1a\x45\xdf\xa3"


def check_one_file(path: str, base: str) -> None:
    """Raises `UsageError` for a name in `ONE_FILE` and a base other than av1."""
    suffix = Path(path).suffix
    if suffix.lower() in ONE_FILE and base != "av1":
        raise UsageError(
            f"{path}: a {suffix} file that plays everywhere has base av1, not {base} "
            f"({Path(path).with_suffix('.gvc')} holds any)"
        )


def unwrapped(source: BinaryIO, name: str) -> BinaryIO:
    """The stream in an MP4, Matroska or WebM file that holds one; anything else as it is, at the
    same place. Raises `DamagedStreamError` for such a file without a stream."""
    if source.seekable():
        at = source.tell()
        head = source.read(_HEAD)
        source.seek(at)
    else:
        head = source.peek(_HEAD)[:_HEAD] if isinstance(source, io.BufferedReader) else b""
    if head[:4] == _EBML:
        kind = "matroska"
    elif head[4:8] in (b"ftyp", b"styp"):
        kind = "mov"
    else:
        return source
    found: BinaryIO = _later(_AS_STREAM)(source, kind, name)
    return found


def _later(name: str) -> Callable[..., Any]:
    """A function of an upper layer, imported on first use."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    return function


def open_sink(path: str, overwrite: bool) -> AbstractContextManager[BinaryIO]:
    """A stream to write, for a name in `ONE_FILE`; the file is complete or absent afterwards."""
    sink: AbstractContextManager[BinaryIO] = _later(_SINK)(path, overwrite)
    return sink
