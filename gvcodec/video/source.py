"""Where a video is read from, again and again: a path, bytes, or a file object of the caller."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from gvcodec.av1_mux.files import Source, open_source, unwrap
from gvcodec.bitstream import Reader
from gvcodec.errors import UsageError
from gvcodec.util.file_io import Borrowed, name_of


class StreamSource:
    """`name`: how messages call it; `lasting`: whether other processes can read it too."""

    def __init__(self, source: Source) -> None:
        self.name = str(source) if isinstance(source, str | os.PathLike) else name_of(source)
        self._source = source
        if isinstance(source, bytes | bytearray | memoryview):
            # Files on disk are taken apart once, these would be for every GOP.
            self._source = unwrap(io.BytesIO(source), self.name).read()
        elif not isinstance(source, str | os.PathLike):
            given = io.BufferedReader(Borrowed(source))
            _rewind(given)
            found = unwrap(given, self.name)
            self._source = source if found is given else found.read()
        self.lasting = isinstance(self._source, str | os.PathLike | bytes)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The stream, open for as long as it is needed."""
        if not self.lasting:
            self._source.seek(0)  # type: ignore[union-attr]
        with open_source(self._source) as stream:
            _rewind(stream)
            yield Reader(stream, self.name)


def _rewind(stream: BinaryIO) -> None:
    """Random access needs a file, not a pipe."""
    if not stream.seekable():
        raise UsageError("random access needs a file that can be read from any place")
    stream.seek(0)
