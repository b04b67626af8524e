"""Display sizes in Matroska files: PyAV's muxer writes none, so the sample aspect ratio would be
lost with codecs that do not carry one."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

from gvcodec.bitstream.varint import Cursor
from gvcodec.errors import DamagedStreamError
from gvcodec.media.codec_parameters import SEGMENT, TRACK, TRACKS, ebml_number, element, elements

_CHECKSUM, _VOID, _VIDEO = 0xBF, 0xEC, 0xE0
_UNIT, _WIDTH, _HEIGHT = 0x54B2, 0x54B0, 0x54BA
#: The tracks stand in so many bytes at the beginning of a file.
_BEGINNING = 1 << 16
_MOST = (1 << 16) - 1


def display_size(width: int, height: int, sar: Fraction) -> tuple[int, int]:
    """Width and height of the shape in which a picture is shown, not smaller than the picture where
    that can be said exactly."""
    shape = Fraction(width, height) * sar
    times = max(1, math.ceil(Fraction(height, shape.denominator)))
    found = shape.numerator * times, shape.denominator * times
    return found if max(found) <= _MOST else (min(_MOST, round(width * sar)), height)


def with_display_size(head: bytes, size: tuple[int, int]) -> bytes:
    """The beginning of a Matroska file that is written to a pipe, with a display size. Raises
    `DamagedStreamError` for anything else."""
    parts = []
    for identity, body in elements(head):
        if identity == SEGMENT:
            inner = (
                element(one, _with_size(data, size) if one == TRACKS else data)
                for one, data in elements(body)
            )
            # It goes on without end.
            parts.append(SEGMENT.to_bytes(4) + b"\x01" + b"\xff" * 7 + b"".join(inner))
        else:
            parts.append(element(identity, body))
    return b"".join(parts)


def write_display_size(path: Path, size: tuple[int, int]) -> bool:
    """Write a display size into a Matroska file, in the place of the tracks' checksum: nothing
    moves. False where there is no room for it."""
    with open(path, "r+b") as file:
        data = file.read(_BEGINNING)
        try:
            at, old = _find_tracks(data)
            new = _pad(_with_size(old, size), len(old))
        except DamagedStreamError:
            return False
        if new is None:
            return False
        file.seek(at)
        file.write(new)
    return True


def _find_tracks(data: bytes) -> tuple[int, bytes]:
    cursor = Cursor(data, "tracks")
    while True:
        identity, _ = ebml_number(cursor, 4)
        coded, length = ebml_number(cursor, 8)
        if identity == SEGMENT:
            continue
        body = cursor.take(coded - (1 << 7 * length))
        if identity == TRACKS:
            return len(data) - len(cursor) - len(body), body


def _with_size(tracks: bytes, size: tuple[int, int]) -> bytes:
    changed = []
    for identity, body in elements(tracks):
        if identity == TRACK:
            body = b"".join(_track_part(one, data, size) for one, data in elements(body))
        if identity not in (_CHECKSUM, _VOID):
            changed.append(element(identity, body, short=True))
    return b"".join(changed)


def _track_part(identity: int, body: bytes, size: tuple[int, int]) -> bytes:
    if identity != _VIDEO:
        return element(identity, body, short=True)
    kept = [part for part in elements(body) if part[0] not in (_UNIT, _WIDTH, _HEIGHT)]
    said = [
        (name, value.to_bytes((value.bit_length() + 7) // 8 or 1))
        for name, value in zip((_WIDTH, _HEIGHT), size, strict=True)
    ]
    content = b"".join(element(one, data, short=True) for one, data in kept + said)
    return element(identity, content, short=True)


def _pad(data: bytes, length: int) -> bytes | None:
    """Made longer by an element that means nothing, which has two bytes at least."""
    room = length - len(data)
    if room == 0:
        return data
    if room == 1 or room < 0:
        return None
    return data + bytes([_VOID, 0x80 | room - 2]) + bytes(room - 2) if room < 128 else None
