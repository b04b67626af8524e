"""Heads of tracks: elements that a Matroska or MP4 file with codec parameters may have (Heads)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av

from conformance.decoder.wire import Bytes, Damaged, require

EBML, SEGMENT, TRACKS, TRACK, ENCODINGS = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE, 0x6D80
IN_SEGMENT = {0x114D9B74, 0xEC, 0x1549A966, TRACKS, 0x1254C367, 0x1F43B675, 0xBF}
BOXES = {
    b"": b"ftyp moov mfra free",
    b"moov": b"mvhd trak mvex udta iods",
    b"trak": b"tkhd mdia edts udta tref",
    b"mdia": b"mdhd hdlr minf elng",
    b"minf": b"smhd nmhd sthd gmhd hdlr dinf stbl",
    b"stbl": b"stsd stts stsc stsz stco co64",
}
COUNT_AT = {b"stts": 4, b"stsc": 4, b"stco": 4, b"co64": 4, b"stsz": 8}


def check_head(head: bytes) -> None:
    if head[:4] == EBML.to_bytes(4):
        name = "matroska"
        _check_matroska(head)
    else:
        name = "mp4"
        require(head[4:8] in (b"ftyp", b"moov"), "the head of a track")
        head = _check_mp4(head)
    try:
        with av.open(io.BytesIO(head), format=name) as container:
            kinds = [stream.type for stream in container.streams]
    except (av.FFmpegError, ValueError) as error:
        raise Damaged(f"the head of a track: {error}") from None
    require(kinds in (["audio"], ["subtitle"]), "tracks of a head")


def _check_matroska(head: bytes) -> None:
    for identity, body in _elements(head):
        require(identity in (EBML, SEGMENT), "element of a head")
        for part, inside in _elements(body) if identity == SEGMENT else ():
            require(part in IN_SEGMENT, "element of a head")
            for track, fields in _elements(inside) if part == TRACKS else ():
                names = [name for name, _ in _elements(fields)] if track == TRACK else []
                require(ENCODINGS not in names, "packed codec parameters")


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    read = Bytes(data)
    while read.remaining:
        identity, _ = _number(read, 4)
        coded, bits = _number(read, 8)
        size = coded - (1 << bits)
        endless = size == (1 << bits) - 1 and identity == SEGMENT
        yield identity, read.take(read.remaining if endless else size)


def _number(read: Bytes, longest: int) -> tuple[int, int]:
    """A number of EBML with its marker, and its bits without it."""
    first = read.number(1)
    length = 9 - first.bit_length()
    require(length <= longest, "a number of a head")
    return int.from_bytes(bytes([first]) + read.take(length - 1)), 7 * length


def _check_mp4(data: bytes, inside: bytes = b"") -> bytes:
    """The boxes before the first fragment."""
    read = Bytes(data)
    while read.remaining:
        at, size, kind = read.at, int.from_bytes(read.take(4)), read.take(4)
        if kind == b"moof" and not inside:
            return data[:at]
        require(size >= 8 and kind in BOXES[inside].split(), f"box {kind!r} of a head")
        body = read.take(size - 8)
        no_samples = kind == b"stts" and body[4:12] == b"\0\0\0\1\0\0\0\0"
        if kind in BOXES:
            _check_mp4(body, kind)
        elif kind in COUNT_AT and not no_samples:
            at = COUNT_AT[kind]
            require(not any(body[at : at + 4]), "samples of a head")
    return data
