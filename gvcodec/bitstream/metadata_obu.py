"""gvcodec packets inside an ordinary AV1 file: metadata OBUs, version 1. This docstring is their
specification.

A *one-file* is an MP4, Matroska or WebM file whose AV1 track is the base of a stream. Every AV1
player shows it. What the painter needs travels in the same track, in metadata OBUs of type 22 (one
of AV1's "unregistered user private" types, 6…31), which players skip. Sound, subtitles, title and
chapters are those of the container.

`u8`, `u32`, `var` and CRC-32 are those of the format (`gvcodec.bitstream`); integers are
little-endian.

    OBU     = u8 0x2A                    type 5 (OBU_METADATA), has a size field, no extension
              leb128 size                of what follows
              u8 22                      metadata_type
              89 47 56 43  u8 version    "\\x89GVC", 1
              { u8 what  var size  size bytes }
              u32 CRC-32                 from 89 to the last entry
              u8 0x80                    trailing bits of the OBU

    +------+------+----+-------------+---------+-------------------------+--------+------+
    | 0x2A | size | 22 | 89 47 56 43 | version | what | size | data | …  | CRC-32 | 0x80 |
    +------+------+----+-------------+---------+-------------------------+--------+------+
     1      1…4    1    4             1         2… each                   4        1

    what  0 header    the sequence header of a stream, whole (89 47 56 43 … CRC-32)
          1 place     var number of the frame in the stream, counted from 0
          2 packet    u8 type  payload: an extended packet that comes before the frame
          3 trailer   the same, of a packet that comes after the last frame
          4 state     u8 type  payload: a packet in force, said again: `fit`, and of `metadata` all
                      but title, chapters and start
          5 tracks    u8 trailer  var n: a `tracks` packet with n packets of the tracks;
                      trailer 1: after the last frame
          6 gop       var frames  u32 CRC-32 of the payloads of their frame packets, joined
          7 end       8 bytes base hash
          8 sound     what the first `tracks` packet begins with: the tracks

    A reader ignores OBUs of another type or without the magic, and skips `what` from 64 on.

One temporal unit holds one frame packet of the stream: its payload with all OBUs sized, a temporal
delimiter at its head where the container wants one. At most one OBU of ours is in it, after the
sequence header (where there is one), else in front.

A unit whose frame is a `key` has `header` and `place`, and `state` for what is in force since an
earlier unit. So a file cut at any keyframe can be painted. Between them stand `packet` entries in
the order of the stream. The last unit of a GOP has `gop`, the last of the stream `end`. `gop`,
`index` and `end` packets are not copied: they follow from the rest.

Example: in the last unit of a stream, whose GOP has 25 frames with the CRC-32 04030201 and whose
base hash is a0…a7:

    2a 1c 16 89 47 56 43 01  06 05 19 01 02 03 04  07 08 a0 a1 a2 a3 a4 a5 a6 a7  d8 cb 42 8d 80

A file that was only copied since (`ffmpeg -c copy`, to any of these containers) gives its stream
back byte for byte, except packets of unknown type, which are left out, and `tracks` packets where
the container changes times or order of their packets. A file that was cut or joined gives the GOPs
that it holds, with timestamps from 0 on by the container's clock. Its base hash is made by
decoding, and the painted hash is gone. Where the metadata of a keyframe is damaged, the stream has
base frames only.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import EXTENDED_AT, Kind, Packet
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError

VERSION = 1
METADATA_TYPE = 22
_MAGIC = b"\x89GVC"
_TRAILING = b"\x80"
_CRC_BYTES = 4

_OBU_SEQUENCE, _OBU_DELIMITER, _OBU_METADATA = 1, 2, 5
_EXTENDED, _SIZED, _FORBIDDEN = 4, 2, 0x80
#: A leb128 of AV1 has at most eight bytes and codes less than 2^32.
_LEB_BYTES, _LEB_LIMIT = 8, 1 << 32
#: Entries of an OBU and OBUs of a unit that are looked at. Ordinary units have less than ten.
_MAX_ENTRIES, _MAX_OBUS = 1 << 12, 1 << 12
_FIRST_SKIPPABLE = 64
_MAX_FRAMES = 1 << 40


class EntryType(IntEnum):
    """Type of an entry."""

    HEADER = 0
    PLACE = 1
    PACKET = 2
    TRAILER = 3
    STATE = 4
    TRACKS = 5
    GOP = 6
    END = 7
    SOUND = 8


_KNOWN = frozenset(int(what) for what in EntryType)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry without its framing."""

    what: EntryType
    data: bytes

    @property
    def packet(self) -> Packet:
        """The packet of `PACKET`, `TRAILER` and `STATE`. Raises `DamagedStreamError` for one that
        cannot stand there."""
        if not self.data or EXTENDED_AT + self.data[0] not in _COPIED:
            raise DamagedStreamError("metadata OBU: a packet of a type that is never copied")
        return Packet(Kind(EXTENDED_AT + self.data[0]), self.data[1:])


_COPIED = frozenset(
    int(kind)
    for kind in Kind
    if kind > EXTENDED_AT and kind not in (Kind.END, Kind.INDEX, Kind.TRACKS)
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A temporal unit taken apart: `payload` without our OBU and without delimiters, every OBU with
    a size field; `entries` of our OBUs; `damage`: a line for every one of ours that cannot be
    read."""

    payload: bytes
    entries: tuple[Entry, ...]
    damage: tuple[str, ...]

    def data_of(self, what: EntryType) -> bytes | None:
        """Data of the first entry of this sort."""
        return next((entry.data for entry in self.entries if entry.what is what), None)


def packet_entry(what: EntryType, packet: Packet) -> Entry:
    """An entry that holds an extended packet. Raises `ValueError` for other packets."""
    if packet.kind not in _COPIED:
        raise ValueError(f"a {packet.kind.name} packet is no entry")
    return Entry(what, bytes([packet.kind - EXTENDED_AT]) + packet.payload)


def pack(entries: Iterable[Entry]) -> bytes:
    """A whole metadata OBU, with header and size."""
    body = _MAGIC + bytes([VERSION])
    for entry in entries:
        body += bytes([entry.what]) + encode_var(len(entry.data)) + entry.data
    body += zlib.crc32(body).to_bytes(_CRC_BYTES, "little") + _TRAILING
    whole = bytes([METADATA_TYPE]) + body
    return bytes([_OBU_METADATA << 3 | _SIZED]) + encode_var(len(whole)) + whole


def parse(body: bytes) -> list[Entry] | None:
    """Entries of a metadata OBU (what follows its size); None for one that is not ours.
    Raises `DamagedStreamError` for one of ours that cannot be read."""
    if body[:1] != bytes([METADATA_TYPE]) or body[1 : 1 + len(_MAGIC)] != _MAGIC:
        return None
    # Trailing bits may be padded with zeros.
    sealed = body[1:].rstrip(b"\0")
    if len(sealed) < len(_MAGIC) + 1 + _CRC_BYTES + 1 or sealed[-1:] != _TRAILING:
        raise DamagedStreamError("metadata OBU: ends early")
    inside, crc = sealed[: -_CRC_BYTES - 1], sealed[-_CRC_BYTES - 1 : -1]
    if zlib.crc32(inside) != int.from_bytes(crc, "little"):
        raise DamagedStreamError("metadata OBU: checksum differs")
    version = inside[len(_MAGIC)]
    if version != VERSION:
        raise DamagedStreamError(f"metadata OBU: version {version}, this program reads {VERSION}")
    return _entries(Cursor(inside[len(_MAGIC) + 1 :], "metadata OBU"))


def take_apart(unit: bytes) -> Unit:
    """A temporal unit as a container gives it. Raises `DamagedStreamError` where OBUs do not fit
    into each other."""
    kept: list[bytes] = []
    entries: list[Entry] = []
    damage: list[str] = []
    for kind, head, body in parse_obus(unit):
        if kind == _OBU_METADATA:
            try:
                ours = parse(body)
            except DamagedStreamError as error:
                damage.append(str(error))
                continue
            if ours is not None:
                entries += ours
                continue
        if kind != _OBU_DELIMITER:
            kept.append(head + encode_var(len(body)) + body)
    return Unit(b"".join(kept), tuple(entries), tuple(damage))


def put_in(unit: bytes, entries: Sequence[Entry]) -> bytes:
    """A temporal unit in the low-overhead format with an OBU of these entries: after its delimiter
    and sequence header, or where it begins. Raises `DamagedStreamError`."""
    if not entries:
        return unit
    ours = pack(entries)
    front, rest = b"", b""
    for kind, head, body in parse_obus(unit):
        obu = head + encode_var(len(body)) + body
        if kind in (_OBU_DELIMITER, _OBU_SEQUENCE) and not rest:
            front += obu
        else:
            rest += obu
    return front + ours + rest


def read_header(packed: bytes) -> SequenceHeader:
    """The sequence header of an entry. Raises `DamagedStreamError`."""
    header, size = SequenceHeader.read(io.BytesIO(packed))
    if size != len(packed) or header.base != "av1":
        raise DamagedStreamError("metadata OBU: not the header of a stream of base av1")
    return header


def read_place(data: bytes) -> int:
    """The number of a `place` entry. Raises `DamagedStreamError`."""
    return Cursor(data, "metadata OBU").var(_MAX_FRAMES)


def closes(data: bytes, frames: int, crc: int) -> bool:
    """Whether a `gop` entry fits a GOP of so many frames with this CRC-32. Raises
    `DamagedStreamError`."""
    cursor = Cursor(data, "metadata OBU")
    return cursor.var(_MAX_FRAMES) == frames and cursor.uint(4) == crc and not len(cursor)


def _entries(cursor: Cursor) -> list[Entry]:
    entries: list[Entry] = []
    while len(cursor):
        what, data = cursor.uint(1), cursor.take(cursor.var())
        if what in _KNOWN:
            entries.append(Entry(EntryType(what), data))
        elif what < _FIRST_SKIPPABLE:
            raise DamagedStreamError(f"metadata OBU: an entry {what} of a newer version")
        if len(entries) > _MAX_ENTRIES:
            raise DamagedStreamError(f"metadata OBU: more than {_MAX_ENTRIES} entries")
    return entries


def parse_obus(unit: bytes) -> list[tuple[int, bytes, bytes]]:
    """Type, head (which says that a size follows) and body of each OBU. The last may come without a
    size. Raises `DamagedStreamError`."""
    found: list[tuple[int, bytes, bytes]] = []
    cursor = Cursor(unit, "temporal unit")
    while len(cursor):
        head = cursor.uint(1)
        if head & _FORBIDDEN:
            raise DamagedStreamError("temporal unit: not an OBU")
        extension = cursor.take(1) if head & _EXTENDED else b""
        size = _leb128(cursor) if head & _SIZED else len(cursor)
        found.append((head >> 3 & 15, bytes([head | _SIZED]) + extension, cursor.take(size)))
        if len(found) > _MAX_OBUS:
            raise DamagedStreamError(f"temporal unit: more than {_MAX_OBUS} OBUs")
    return found


def _leb128(cursor: Cursor) -> int:
    """AV1's own number: like `var`, but superfluous zero bytes are allowed."""
    value = 0
    for place in range(_LEB_BYTES):
        byte = cursor.uint(1)
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if value >= _LEB_LIMIT:
                break
            return value
    raise DamagedStreamError("temporal unit: size of an OBU is out of range")
