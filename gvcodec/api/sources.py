"""What functions read and write: paths, file objects, and streams as bytes."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

from gvcodec.av1_mux.files import create_stream, open_stream, unwrap
from gvcodec.bitstream import Reader
from gvcodec.errors import DamagedStreamError
from gvcodec.util.file_io import Borrowed, Readable, name_of

PathName: TypeAlias = str | os.PathLike[str]
#: A stream: a path ("-" is standard input), bytes, or an open binary file.
Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


@contextlib.contextmanager
def open_source(source: Source) -> Iterator[BinaryIO]:
    """A stream to read. Raises `MediaError`, `DamagedStreamError`."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield unwrap(io.BytesIO(source), name_of(source))
    elif isinstance(source, str | os.PathLike):
        with open_stream(os.fspath(source)) as stream:
            yield stream
    else:
        with io.BufferedReader(Borrowed(source)) as stream:
            yield unwrap(stream, name_of(source))


@contextlib.contextmanager
def open_reader(source: Source) -> Iterator[Reader]:
    """The same as a `Reader`; errors say the file, the packet and the time."""
    with open_source(source) as stream:
        reader = Reader(stream, name_of(source))
        try:
            yield reader
        except DamagedStreamError as error:
            raise reader.name_file(error) from error


@contextlib.contextmanager
def open_sink(output: PathName | BinaryIO, overwrite: bool) -> Iterator[BinaryIO]:
    """A stream to write: a path is complete or absent afterwards, a file object stays open."""
    if isinstance(output, str | os.PathLike):
        with create_stream(os.fspath(output), overwrite) as stream:
            yield stream
    else:
        yield output
