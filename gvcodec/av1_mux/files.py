"""Files that hold streams: .gvc and .bin, pipes and URIs, and MP4, Matroska and WebM files that
play everywhere (`gvcodec.bitstream.metadata_obu`)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from gvcodec.av1_mux.write import one_file_suffix
from gvcodec.util.file_io import display_name, open_input, open_output

#: Bytes that tell what a file is, and those that a Matroska file begins with.
_HEAD, _EBML = 12, b"\x1a\x45\xdf\xa3"


@contextlib.contextmanager
def open_stream(path: str, follow: float | None = None) -> Iterator[BinaryIO]:
    """A stream to read, whatever file holds it; "-" is standard input. `follow`: at the end wait so
    many seconds for the file to grow. Raises `MediaError`, `DamagedStreamError`."""
    with open_input(path, follow) as source:
        yield source if follow is not None else unwrap(source, display_name(path))


@contextlib.contextmanager
def create_stream(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """A stream to write, complete or absent afterwards; "-" is standard output. A name in
    `ONE_FILE` gets the stream in a container that plays everywhere. Raises `UsageError`."""
    if one_file_suffix(path):
        from gvcodec.av1_mux.write import open_sink

        with open_sink(path, overwrite) as sink:
            yield sink
        return
    with open_output(path, overwrite) as output:
        yield output


def unwrap(source: BinaryIO, name: str) -> BinaryIO:
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
    from gvcodec.av1_mux.read import as_stream

    return as_stream(source, kind, name)
