"""Opens a stream to read (for `gvcodec.bitstream.Reader`) or to write (`open_sink`): .gvc and .bin
files, pipes and URIs, MP4, Matroska and WebM files that play everywhere
(`gvcodec.bitstream.metadata_obu`), bytes, and file objects."""

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from gvcodec.bitstream import Reader
from gvcodec.bitstream.header import MAGIC
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.util.file_io import (
    BorrowedFile,
    Readable,
    as_name,
    display_name,
    name_of,
    open_input,
    open_output,
    work_folder,
    wrap_output,
)

PathName: TypeAlias = str | os.PathLike[str]
#: A stream: a path ("-" is standard input), bytes, or an open binary file.
Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable

#: Bytes that identify a file, and the first bytes of a Matroska file.
_HEAD, _EBML = 12, b"\x1a\x45\xdf\xa3"


@contextlib.contextmanager
def open_stream(path: str) -> Iterator[BinaryIO]:
    """A stream to read, in any container. Raises `MediaError`, `DamagedStreamError`."""
    with open_input(path) as source:
        yield unwrap(source, display_name(path))


def unwrap(source: BinaryIO, name: str) -> BinaryIO:
    """The stream in an MP4, Matroska or WebM file that holds one; anything else as it is, at the
    same place. Raises `DamagedStreamError` for such a file without a stream."""
    if source.seekable():
        position = source.tell()
        head = source.read(_HEAD)
        source.seek(position)
    else:
        head = source.peek(_HEAD)[:_HEAD] if isinstance(source, io.BufferedReader) else b""
    if head[:4] == _EBML:
        kind = "matroska"
    elif head[4:8] in (b"ftyp", b"styp"):
        kind = "mov"
    else:
        return source
    from gvcodec.one_file.read import extract_stream

    return extract_stream(source, kind, name)


def refuse_stream(path: str, head: bytes) -> None:
    """Raises `UsageError` for a stream of ours that is given as a video to encode. `head`: its
    first bytes."""
    if head.startswith(MAGIC):
        raise UsageError(
            f"{path}: is a gvcodec file already: decode it first (gvcodec decode {path} "
            "VIDEO.mkv); gvcodec cut, cat and extract change it without coding it again"
        )


@contextlib.contextmanager
def stream_file(path: str) -> Iterator[Path]:
    """The stream at `path` as a file on disk, a temporary one where a container holds it. Raises
    `MediaError`, `DamagedStreamError`."""
    with open_stream(path) as stream:
        if getattr(stream, "name", None) == path:
            yield Path(path)
            return
        if sys.platform == "linux":
            # Without a name, so that nothing is left of it, however the program ends.
            with tempfile.TemporaryFile() as unnamed:
                shutil.copyfileobj(stream, unnamed)
                unnamed.flush()
                yield Path(f"/proc/self/fd/{unnamed.fileno()}")
            return
        with work_folder() as folder:
            copy = Path(folder) / "stream.gvc"
            with open(copy, "wb") as file:
                shutil.copyfileobj(stream, file)
            yield copy


@contextlib.contextmanager
def open_source(source: Source) -> Iterator[BinaryIO]:
    """A stream to read. Raises `MediaError`, `DamagedStreamError`."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield unwrap(io.BytesIO(source), name_of(source))
    elif isinstance(source, str | os.PathLike):
        with open_stream(os.fspath(source)) as stream:
            yield stream
    else:
        with io.BufferedReader(BorrowedFile(source)) as stream:
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
def open_sink(
    output: PathName | BinaryIO, overwrite: bool, base: str = "av1"
) -> Iterator[BinaryIO]:
    """A stream of `base` to write: a path is complete or absent afterwards, a file object stays
    open; a name in `ONE_FILE` gets a container, which takes av1 alone. Raises `UsageError`."""
    from gvcodec.one_file.write import check_one_file, one_file_suffix, open_one_file

    if not isinstance(output, str | os.PathLike):
        yield wrap_output(output)
        return
    path = os.fspath(output)
    check_one_file(path, base)
    create = open_one_file if one_file_suffix(path) else open_output
    with create(path, overwrite) as stream:
        yield stream


def names_of(sources: Sequence[Source]) -> list[str]:
    """Paths among the sources."""
    return [name for name in map(as_name, sources) if name is not None]
