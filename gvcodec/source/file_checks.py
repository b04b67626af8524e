"""Checks of a file's bytes that FFmpeg does not make: whether its end or a part is missing, or
whether it holds more than FFmpeg reads. `file` can seek, `size` is in bytes."""

from __future__ import annotations

import os
import re
from itertools import islice, takewhile
from typing import BinaryIO, Literal

from gvcodec.util.boxes import (
    CHECKSUM,
    CLUSTER,
    EBML,
    HEAD_BYTES,
    INFO,
    SEEK_HEAD,
    SEGMENT,
    TAGS,
    TRACKS,
    VOID,
    boxes,
    element_head,
)

#: Tables of a segment, among them cues, chapters and attachments.
_TABLES = {SEEK_HEAD, INFO, TRACKS, 0x1C53BB6B, 0x1043A770, TAGS, 0x1941A469}
#: Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock.
_IN_CLUSTER = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF}
_PARENTS = (SEGMENT, CLUSTER)
_ELEMENTS = {EBML, VOID, CHECKSUM, *_PARENTS, *_TABLES, *_IN_CLUSTER}
#: First and last bytes of a JPEG picture, and the marker of coded samples.
_JPEG, _JPEG_END, _SCAN = b"\xff\xd8\xff", b"\xff\xd9", 0xDA
#: First boxes of MP4 files, and boxes without which frames are missing.
MP4_BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"moof",
    b"styp",
    b"sidx",
    b"pnot",
)
_NEEDED = (b"moov", b"mdat", b"moof")
_MOST_BOXES = 100_000
#: Bytes of a packet of a transport stream, and where in it its mark "G" is: plain, with a time
#: before each (Blu-ray), with parity after each (DVB, ISDB).
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
#: PBM, PGM and PPM in binary: width, height and, except for PBM, the largest sample.
_NUMBER = rb"(?:\s+|#[^\n]*\n)+([0-9]{1,9})"
_PNM = re.compile(rb"P(?:4" + 2 * _NUMBER + rb"|([56])" + 3 * _NUMBER + rb")\s")
_HEAD = 1 << 16
#: In a motion photo: the picture's end, and some way behind it the first box of an MP4 file.
_MOTION = re.compile(rb"\xff\xd9.{0,4096}?\0\0\0[\x10-\x80]ftyp[ -~]{4}", re.DOTALL)
_MOST_PHOTO = 1 << 28
#: In TIFF: the order of bytes, the tag of the page type, bits of a smaller copy and of a mask.
_TIFF: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_SUBFILE, _NOT_MEANT, _MOST_PAGES = 254, 5, 1000


def claims_more(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether a file (MP4, Matroska, RIFF, JPEG) claims to have more than `size` bytes."""
    if head[:3] == _JPEG:
        return not _jpeg_ends(file)
    if head[:4] == b"RIFF":
        return int.from_bytes(head[4:8], "little") + 8 > size + 1
    if head[:4] == EBML.to_bytes(4):
        at = head.find(SEGMENT.to_bytes(4))
        segment = element_head(head[at:]) if at >= 0 else None
        if segment is None:
            return False
        _, begin, length = segment
        return length is not None and at + begin + length > size
    if head[4:8] not in MP4_BOXES:
        return False
    outer = takewhile(lambda box: box[0].isalnum(), boxes(file, 0, size))
    return any(after > size and name in _NEEDED for name, _, after in islice(outer, _MOST_BOXES))


def transport_packet(head: bytes) -> int:
    """Bytes of a packet of a transport stream, 0 if the first ones do not show it."""
    for size, at in _TS_PACKETS:
        if head[at : at + 1] == head[at + size : at + size + 1] == b"G":
            return size
    return 0


def _jpeg_ends(file: BinaryIO) -> bool:
    """Whether there is a mark of the end after the first scan: a thumbnail has one before it."""
    file.seek(len(_JPEG) - 1)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != _SCAN:
        file.seek(int.from_bytes(head[2:]) - 2, os.SEEK_CUR)
    return _JPEG_END in file.read()


def has_gap(file: BinaryIO, size: int) -> bool:
    """Whether something else stands where an element of a Matroska file (`size` bytes) should
    begin, or the last one ends after it: FFmpeg goes on after a part that it cannot read, and says
    nothing. `file` can seek. Follows the sizes of elements through the segment and its clusters,
    without reading their contents."""
    at, end = 0, size
    while at < min(end, size):
        file.seek(at)
        element = element_head(file.read(HEAD_BYTES))
        if element is None:
            return True
        kind, head, length = element
        if kind not in _ELEMENTS:
            return True
        at += head
        if kind not in _PARENTS:
            if length is None:
                return True
            at += length
        elif kind == SEGMENT and length is not None:
            # Nothing after it can be used.
            end = at + length
    return max(at, end) > size


def holds_more(file: BinaryIO) -> bool:
    """Whether a file has pictures after its first, which alone is read: pages of TIFF, further
    views of a camera (CIPA DC-007), PNM one after the other."""
    file.seek(0)
    head = file.read(_HEAD)
    if match := _PNM.match(head):
        file.seek(match.end() + _pnm_bytes(match))
        return _PNM.match(file.read(_HEAD)) is not None
    order = _TIFF.get(head[:4])
    return _has_pages(file, order) if order else head[:2] == _JPEG[:2] and b"MPF\0" in head


def video_behind(file: BinaryIO, head: bytes, size: int) -> bool:
    """Whether a picture of a phone has a video behind it (a motion photo): a JPEG followed by an
    MP4 file, or a HEIF file with the box `mpvd`."""
    if size > _MOST_PHOTO:
        return False
    if head[:2] == _JPEG[:2]:
        file.seek(0)
        return _MOTION.search(file.read()) is not None
    return head[4:8] == b"ftyp" and any(name == b"mpvd" for name, _, _ in boxes(file, 0, size))


def _pnm_bytes(match: re.Match[bytes]) -> int:
    if match[3] is None:
        return (int(match[1]) + 7) // 8 * int(match[2])
    samples = int(match[4]) * int(match[5]) * (3 if match[3] == b"6" else 1)
    return samples * (1 if int(match[6]) < 256 else 2)


def _has_pages(file: BinaryIO, order: Literal["little", "big"]) -> bool:
    file.seek(4)
    pages, visited = 0, {0}
    while (place := int.from_bytes(file.read(4), order)) not in visited and len(
        visited
    ) < _MOST_PAGES:
        visited.add(place)
        file.seek(place)
        tags = [file.read(12) for _ in range(int.from_bytes(file.read(2), order))]
        kinds = {int.from_bytes(tag[:2], order): int.from_bytes(tag[8:], order) for tag in tags}
        pages += not kinds.get(_SUBFILE, 0) & _NOT_MEANT
    return pages > 1
