"""The source of a video that is read repeatedly: a path, bytes, or a file object of the caller."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO

from gvcodec.bitstream import Reader
from gvcodec.container.opening import Source, unwrap
from gvcodec.errors import UsageError
from gvcodec.util.file_io import Borrowed, as_name, name_of, open_input


class StreamSource:
    """`name`: how messages call it; `lasting`: whether other processes can read it too, known once
    it was read."""

    def __init__(self, source: Source) -> None:
        self.name = as_name(source) or name_of(source)
        self._source = bytes(source) if isinstance(source, bytearray | memoryview) else source

    @property
    def lasting(self) -> bool:
        return isinstance(self._source, str | os.PathLike | bytes)

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reader]:
        """The stream, open for as long as it is needed."""
        with self._open() as stream:
            found = unwrap(stream, self.name)
            if found is not stream:
                # A file that plays everywhere is taken apart once, not for every GOP.
                self._source = found.read()
                found = io.BytesIO(self._source)
            yield Reader(found, self.name)

    @contextlib.contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """The source from its beginning. Random access needs a file, not a pipe."""
        source = self._source
        if isinstance(source, bytes | bytearray | memoryview):
            yield io.BytesIO(source)
            return
        with contextlib.ExitStack() as stack:
            stream: BinaryIO
            if isinstance(source, str | os.PathLike):
                stream = stack.enter_context(open_input(os.fspath(source)))
            else:
                stream = io.BufferedReader(Borrowed(source))
            if not stream.seekable():
                raise UsageError("random access needs a file that can be read from any place")
            stream.seek(0)
            yield stream
