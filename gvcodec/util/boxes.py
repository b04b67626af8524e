"""Walks MP4 boxes and Matroska (EBML) elements without FFmpeg. Offsets and sizes are in bytes.

    for name, begin, end in boxes(file, 0, size): ...     # MP4: the content of each box
    for identity, body in elements(data, "tracks"): ...   # EBML in memory
    element_head(file.read(HEAD_BYTES))                   # EBML in a file, one element at a time
    rewrite(data, "tracks", change)                       # EBML with other bodies

Nothing here trusts a size: readers of a file compare it with the bytes there, `elements` raises
`DamagedStreamError`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from gvcodec.errors import DamagedStreamError

#: Ids of Matroska elements.
EBML, SEGMENT, TRACKS, TRACK, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE, 0x1F43B675
VOID, CHECKSUM = 0xEC, 0xBF
SEEK_HEAD, INFO, TAGS, VIDEO = 0x114D9B74, 0x1549A966, 0x1254C367, 0xE0
#: Bytes of the longest id and size.
HEAD_BYTES = 12
_LONGEST_ID = 4


class Seekable(Protocol):
    """A file that can be read from any place."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def read_at(file: Seekable, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`, with zeros after the end of the file."""
    file.seek(offset)
    return file.read(size).ljust(size, b"\0")


def boxes(file: Seekable, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the content of boxes; the last may claim to reach beyond `end`."""
    while begin + 8 <= end:
        head = read_at(file, begin, 16)
        size, start = int.from_bytes(head[:4]), begin + 8
        if size == 1:
            size, start = int.from_bytes(head[8:]), begin + 16
        after = begin + size if size else end
        if after < start:
            return
        yield head[4:8], start, after
        begin = after


def find_box(file: Seekable, *path: bytes) -> int | None:
    """Where the content of the first box of this path (`b"moov", b"trak"`) begins; None without."""
    begin, end = 0, file.seek(0, io.SEEK_END)
    for kind in path:
        inside = (place for name, *place in boxes(file, begin, end) if name == kind)
        begin, end = next(inside, (-1, -1))
        if begin < 0:
            return None
    return begin


class ElementHead(NamedTuple):
    """Id of an EBML element, bytes of id and size, and bytes of its body (None: not known)."""

    identity: int
    head_bytes: int
    body_bytes: int | None


def element_head(data: bytes) -> ElementHead | None:
    """The head of the element at the beginning of `data`; None if there is none."""
    id_bytes = _number_bytes(data[:1])
    size_bytes = _number_bytes(data[id_bytes : id_bytes + 1])
    if not 1 <= id_bytes <= _LONGEST_ID or not size_bytes or len(data) < id_bytes + size_bytes:
        return None
    value = int.from_bytes(data[id_bytes : id_bytes + size_bytes]) - (1 << 7 * size_bytes)
    is_unknown = value == (1 << 7 * size_bytes) - 1
    identity = int.from_bytes(data[:id_bytes])
    return ElementHead(identity, id_bytes + size_bytes, None if is_unknown else value)


def elements(data: bytes, source: str) -> Iterator[tuple[int, bytes]]:
    """Id and body of each EBML element; only a segment may be of unknown size. `source` names the
    data in errors. Raises `DamagedStreamError`."""
    at = 0
    while at < len(data):
        head = element_head(data[at : at + HEAD_BYTES])
        if head is None:
            raise DamagedStreamError(f"{source} cannot be read")
        at += head.head_bytes
        size = head.body_bytes
        if size is None and head.identity == SEGMENT:
            size = len(data) - at
        if size is None or size > len(data) - at:
            raise DamagedStreamError(f"{source} ends early", code="truncated")
        yield head.identity, data[at : at + size]
        at += size


def bodies(data: bytes, source: str, *path: int) -> Iterator[bytes]:
    """Bodies of all EBML elements of this path, by ids. Raises `DamagedStreamError`."""
    if not path:
        yield data
        return
    for identity, body in elements(data, source):
        if identity == path[0]:
            yield from bodies(body, source, *path[1:])


def rewrite(data: bytes, source: str, change: Callable[[int, bytes], bytes | None]) -> bytes:
    """EBML elements with the bodies that `change` gives for an id and a body; None leaves an
    element out. Raises `DamagedStreamError`."""
    changed = ((identity, change(identity, body)) for identity, body in elements(data, source))
    return b"".join(element(identity, body) for identity, body in changed if body is not None)


def element(identity: int, body: bytes) -> bytes:
    """An EBML element, its size in as few bytes as can be."""
    length = next(n for n in range(1, 9) if len(body) < (1 << 7 * n) - 1)
    size = (len(body) | 1 << 7 * length).to_bytes(length)
    return identity.to_bytes((identity.bit_length() + 7) // 8) + size + body


def _number_bytes(first: bytes) -> int:
    """Bytes of an EBML number by its first byte, 0 if there is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0
