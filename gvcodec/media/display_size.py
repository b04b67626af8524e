"""The size at which players show a video track, written into a finished MP4 or Matroska file.

FFmpeg's muxers take the size from the coded pictures; where those are smaller than the video, the
track header (MP4) or `DisplayWidth` and `DisplayHeight` (Matroska, WebM) say so. Both are changed
in place: no other byte of the file moves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

#: Where width and height stand in a track header (`tkhd`), by its version; 16.16 bits each.
_TKHD_SIZE = {0: 76, 1: 88}
_SEGMENT, _TRACKS, _TRACK, _VIDEO, _VOID = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0xEC
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
#: Track headers are within so many bytes of a Matroska file that was just written.
_FRONT = 1 << 20
#: Bytes of an element whose size takes one byte.
_LARGEST = 128


def set_display_size(path: str | os.PathLike[str], kind: str, width: int, height: int) -> bool:
    """Let the first video track of a file that FFmpeg has just written (`kind`: its muxer) be shown
    at this size. Gives whether there was room for it."""
    with open(path, "r+b") as file:
        return (
            _set_mp4(file, width, height) if kind == "mp4" else _set_matroska(file, width, height)
        )


def _set_mp4(file: BinaryIO, width: int, height: int) -> bool:
    end = file.seek(0, os.SEEK_END)
    for name, begin, stop in _boxes(file, 0, end):
        if name != b"moov":
            continue
        for track, inside, after in _boxes(file, begin, stop):
            at = _tkhd(file, inside, after) if track == b"trak" else None
            if at is not None:
                file.seek(at)
                file.write((width << 16).to_bytes(4) + (height << 16).to_bytes(4))
                return True
    return False


def _tkhd(file: BinaryIO, begin: int, end: int) -> int | None:
    """Where the size stands in the header of a track; None where it has none, as that of sound."""
    for name, inside, _ in _boxes(file, begin, end):
        if name == b"tkhd":
            file.seek(inside)
            at = inside + _TKHD_SIZE[file.read(1)[0]]
            file.seek(at)
            return at if any(file.read(8)) else None
    return None


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the content of each box."""
    while begin + 8 <= end:
        file.seek(begin)
        head = file.read(16)
        size, start = int.from_bytes(head[:4]), begin + 8
        if size == 1:
            size, start = int.from_bytes(head[8:]), begin + 16
        if size < 8 or begin + size > end:
            return
        yield head[4:8], start, begin + size
        begin += size


def _set_matroska(file: BinaryIO, width: int, height: int) -> bool:
    data = file.read(_FRONT)
    for identity, _, begin, end in _elements(data, 0, len(data)):
        if identity != _SEGMENT:
            continue
        for inner, _, inside, after in _elements(data, begin, end):
            if inner != _TRACKS:
                continue
            for track, _, first, last in _elements(data, inside, after):
                changed = _resized(data, first, last, width, height) if track == _TRACK else None
                if changed is not None:
                    file.seek(first)
                    file.write(changed)
                    return True
    return False


def _resized(data: bytes, begin: int, end: int, width: int, height: int) -> bytes | None:
    """The content of a track entry, as long as before: what the size takes comes out of an empty
    element. None for other tracks than video, and where there is no room."""
    elements = list(_elements(data, begin, end))
    if not any(identity == _VIDEO for identity, *_ in elements):
        return None
    # An empty element takes two bytes at least: where one is left over, the width takes it.
    for width_bytes in (2, 3):
        out = b""
        for identity, at, first, last in elements:
            if identity == _VIDEO:
                sizes = width.to_bytes(width_bytes), height.to_bytes(2)
                out += _element(_VIDEO, _video(data, first, last, *sizes))
            elif identity != _VOID:
                out += data[at:last]
        room = end - begin - len(out)
        if room == 0:
            return out
        if 2 <= room <= _LARGEST:
            return out + _element(_VOID, bytes(room - 2))
    return None


def _video(data: bytes, begin: int, end: int, width: bytes, height: bytes) -> bytes:
    old = (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT)
    kept = [data[at:last] for name, at, _, last in _elements(data, begin, end) if name not in old]
    return b"".join((*kept, _element(_DISPLAY_WIDTH, width), _element(_DISPLAY_HEIGHT, height)))


def _element(identity: int, body: bytes) -> bytes:
    """An element of less than 127 bytes."""
    name = identity.to_bytes((identity.bit_length() + 7) // 8)
    return name + bytes([0x80 | len(body)]) + body


def _elements(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Id, and where each element, its content and what follows it begin."""
    at = begin
    while at < end:
        identity, inside = _number(data, at, keep_marker=True)
        size, inside = _number(data, inside, keep_marker=False)
        yield identity, at, inside, min(inside + size, end)
        at = inside + size


def _number(data: bytes, at: int, keep_marker: bool) -> tuple[int, int]:
    """An EBML number and where it ends."""
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length])
    return value if keep_marker else value & ((1 << 7 * length) - 1), at + length
