"""Whether a Matroska or WebM file is whole: FFmpeg goes on behind a part that it cannot read, and
says nothing.

Follows the sizes of elements through the segment and its clusters, without reading what is in them.
"""

from __future__ import annotations

from typing import BinaryIO

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
#: SeekHead, Info, Tracks, Cues, Chapters, Tags, Attachments.
_TABLES = (
    0x114D9B74,
    0x1549A966,
    0x1654AE6B,
    0x1C53BB6B,
    0x1043A770,
    0x1254C367,
    0x1941A469,
)
#: Void and CRC-32 stand everywhere.
_ANYWHERE = (0xEC, 0xBF)
#: Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock.
_IN_CLUSTER = (0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF)
_INSIDE_OF = (_SEGMENT, _CLUSTER)
_KNOWN = {_EBML, *_INSIDE_OF, *_TABLES, *_ANYWHERE, *_IN_CLUSTER}
#: Bytes of the longest id and size.
_HEAD = 12


def has_gap(file: BinaryIO, size: int) -> bool:
    """Whether something else stands where an element of the file (`size` bytes) should begin, or
    the last one ends after it. `file` can seek."""
    at, end = 0, size
    while at < min(end, size):
        file.seek(at)
        found = _element(file.read(_HEAD))
        if found is None:
            return True
        kind, head, length = found
        if kind not in _KNOWN:
            return True
        at += head
        if kind not in _INSIDE_OF:
            if length is None:
                return True
            at += length
        elif kind == _SEGMENT and length is not None:
            # What comes after it is of no use to anybody.
            end = at + length
    return max(at, end) > size


def _element(data: bytes) -> tuple[int, int, int | None] | None:
    """Id, bytes of id and size, and the size of what follows (None: not known); None for what is no
    element."""
    id_bytes = _length(data[:1])
    size_bytes = _length(data[id_bytes : id_bytes + 1])
    if not 1 <= id_bytes <= 4 or not size_bytes or len(data) < id_bytes + size_bytes:
        return None
    coded = int.from_bytes(data[id_bytes : id_bytes + size_bytes])
    value = coded - (1 << 7 * size_bytes)
    unknown = value == (1 << 7 * size_bytes) - 1
    kind = int.from_bytes(data[:id_bytes])
    return kind, id_bytes + size_bytes, None if unknown else value


def _length(first: bytes) -> int:
    """Bytes of a number of variable length by its first byte, 0 where there is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0
