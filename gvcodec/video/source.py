"""Where a video is read from, again and again: a path, bytes, or a file object of the caller."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from gvcodec.av1_mux.files import open_stream, unwrap
from gvcodec.bitstream import Reader
from gvcodec.errors import UsageError
from gvcodec.util.file_io import Borrowed, Readable

Source: TypeAlias = str | Path | bytes | bytearray | memoryview | Readable


class StreamSource:
    """`name`: how messages call it; `lasting`: whether other processes can read it too."""

    def __init__(self, source: Source) -> None:
        kept = bytes(source) if isinstance(source, bytearray | memoryview) else source
        name = str(kept) if isinstance(kept, str | Path) else getattr(kept, "name", None)
        self.name = name if isinstance(name, str) else "stream"
        if not isinstance(kept, str | Path):
            # Those on disk are taken apart once, these would be for every GOP.
            kept = _unwrap(kept, self.name)
        self._source = kept
        self.lasting = isinstance(kept, str | Path | bytes)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The stream, open for as long as it is needed."""
        if isinstance(self._source, bytes):
            yield Reader(io.BytesIO(self._source), self.name)
            return
        if isinstance(self._source, str | Path):
            with open_stream(str(self._source)) as stream:
                yield Reader(_check(stream), self.name)
            return
        with io.BufferedReader(Borrowed(self._source)) as stream:
            _check(stream).seek(0)
            yield Reader(stream, self.name)


def _unwrap(source: bytes | Readable, name: str) -> bytes | Readable:
    """The bytes of a stream in a container that plays everywhere; any other source as it is."""
    given = io.BytesIO(source) if isinstance(source, bytes) else io.BufferedReader(Borrowed(source))
    if not given.seekable():
        return source
    given.seek(0)
    found = unwrap(given, name)
    if isinstance(given, io.BufferedReader):
        given.seek(0)
    return source if found is given else found.read()


def _check(stream: BinaryIO) -> BinaryIO:
    """Random access needs a file, not a pipe."""
    if not stream.seekable():
        raise UsageError("random access needs a file that can be read from any place")
    return stream
