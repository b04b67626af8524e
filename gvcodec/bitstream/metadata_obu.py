"""gvcodec packets inside an ordinary AV1 file: metadata OBUs, version 1, as
docs/spec/one-file.md specifies them. Parsing is C++ (csrc/decoder/metadata_obu.cpp).

A *one-file* is an MP4, Matroska or WebM file whose AV1 track is the base of a stream. Every AV1
player shows it. The painter's packets are in the same track, in metadata OBUs of type 22 (one of
AV1's "unregistered user private" types, 6…31), which players skip. Sound, subtitles, title and
chapters are the container's.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from gvcodec import _core
from gvcodec.bitstream.attachments import Attachment
from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import EXTENDED_AT, Kind, Packet
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError, FormatVersionError

VERSION = 1
METADATA_TYPE = 22
_MAGIC = b"\x89GVC"
_OURS = bytes([METADATA_TYPE]) + _MAGIC
_TRAILING = b"\x80"
_CRC_BYTES = 4

_OBU_SEQUENCE, _OBU_DELIMITER, _OBU_METADATA, _SIZED = 1, 2, 5, 2
_FIRST_SKIPPABLE = 64
_MAX_FRAMES = 1 << 40
_HASH_BYTES = 8


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
    #: Since format 1.1. Readers of 1.0 skip it.
    WHOLE = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry without its framing."""

    what: EntryType
    data: bytes

    @property
    def packet(self) -> Packet:
        """The packet of `PACKET`, `TRAILER` and `STATE`. Raises `DamagedStreamError` for one that
        may not be there."""
        number = EXTENDED_AT + self.data[0] if self.data else EXTENDED_AT
        if number in _COPIED:
            return Packet(Kind(number), self.data[1:])
        extra = Packet(Kind.EXTRA, self.data[1:], number - EXTENDED_AT)
        if number in _KNOWN_KINDS or not extra.is_copied:
            raise DamagedStreamError(
                "metadata OBU: a packet of a type that is never copied", code="metadata-obu"
            )
        return extra


_KNOWN_KINDS = frozenset(int(kind) for kind in Kind)
_COPIED = frozenset(
    int(kind)
    for kind in Kind
    if kind > EXTENDED_AT and kind not in (Kind.END, Kind.INDEX, Kind.TRACKS)
)


@dataclass(frozen=True, slots=True)
class ParsedTemporalUnit:
    """A parsed temporal unit: `payload` without gvcodec's OBUs and delimiters, every OBU with a
    size field; `entries` of gvcodec's OBUs; `damage`: a line for each one that cannot be read."""

    payload: bytes
    entries: tuple[Entry, ...]
    damage: tuple[str, ...]

    def data_of(self, what: EntryType) -> bytes | None:
        """Data of the first entry of this sort."""
        return next((entry.data for entry in self.entries if entry.what is what), None)

    @property
    def begins_sequence(self) -> bool:
        """Whether the unit begins with a sequence header, as every keyframe does."""
        return bool(self.payload) and self.payload[0] >> 3 & 15 == _OBU_SEQUENCE


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A `whole` entry: frames of the file, hash of its units (`UnitHash`), hash of the packets of
    its sound and subtitles (`hash_of_tracks`), hash of its attachments (`hash_of_attachments`,
    empty for a file without any), and whether its stream has a `backup` packet."""

    frames: int
    units: bytes
    tracks: bytes
    attachments: bytes = b""
    has_backup: bool = False

    def entry(self) -> Entry:
        rest = self.attachments + b"\1" * self.has_backup
        return Entry(EntryType.WHOLE, encode_var(self.frames) + self.units + self.tracks + rest)

    @staticmethod
    def read(data: bytes) -> FileDigest:
        """Raises `DamagedStreamError`. Bytes after the last field are for later versions."""
        cursor = Cursor(data, "metadata OBU")
        frames, units = cursor.var(_MAX_FRAMES), cursor.take(_HASH_BYTES)
        tracks = cursor.take(_HASH_BYTES)
        attachments = cursor.take(_HASH_BYTES) if len(cursor) >= _HASH_BYTES else b""
        has_backup = len(cursor) > 0 and cursor.uint(1) & 1 == 1
        return FileDigest(frames, units, tracks, attachments, has_backup)


class UnitHash:
    """The hash over all units of a file, in order: their entries below 64, and their frames."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.frames = 0

    def send(self, payload: bytes, entries: Iterable[Entry]) -> None:
        """`payload`: of the frame packet."""
        for entry in entries:
            if entry.what < _FIRST_SKIPPABLE:
                self._hash.update(_pack_entry(entry))
        self._hash.update(encode_var(len(payload)) + payload)
        self.frames += 1

    def digest(self) -> bytes:
        return self._hash.digest()[:_HASH_BYTES]


def hash_of_tracks(tracks: Iterable[bytes], is_described: bool, is_ordered: bool) -> bytes:
    """Hash of the SHA-256 of each track, over the data of all its packets. `is_described`: the
    tracks match the `sound` entry; `is_ordered`: all packets have times that rise in each track."""
    flags = bytes([is_described | is_ordered << 1])
    return hashlib.sha256(flags + b"".join(tracks)).digest()[:_HASH_BYTES]


def hash_of_attachments(attachments: Iterable[Attachment]) -> bytes:
    """Hash of the head of each attachment and the SHA-256 of its bytes."""
    parts = (a.head() + hashlib.sha256(a.data).digest() for a in attachments)
    return hashlib.sha256(b"".join(parts)).digest()[:_HASH_BYTES]


def packet_entry(what: EntryType, packet: Packet) -> Entry:
    """An entry that holds an extended packet. Raises `ValueError` for other packets."""
    number = packet.kind - EXTENDED_AT if packet.type is None else packet.type
    if packet.kind not in _COPIED and (packet.kind is not Kind.EXTRA or not packet.is_copied):
        raise ValueError(f"a {packet.kind.name} packet is no entry")
    return Entry(what, bytes([number]) + packet.payload)


def pack(entries: Iterable[Entry]) -> bytes:
    """A whole metadata OBU, with header and size."""
    body = _MAGIC + bytes([VERSION])
    for entry in entries:
        body += _pack_entry(entry)
    body += zlib.crc32(body).to_bytes(_CRC_BYTES, "little") + _TRAILING
    whole = bytes([METADATA_TYPE]) + body
    return bytes([_OBU_METADATA << 3 | _SIZED]) + encode_var(len(whole)) + whole


def _pack_entry(entry: Entry) -> bytes:
    return bytes([entry.what]) + encode_var(len(entry.data)) + entry.data


def parse(body: bytes) -> list[Entry] | None:
    """Entries of a metadata OBU (its bytes after the size); None for another kind of OBU. Raises
    `DamagedStreamError` if it cannot be read."""
    if not body.startswith(_OURS):
        return None
    return _entries(_core.metadata_entries(body))


def parse_temporal_unit(unit: bytes) -> ParsedTemporalUnit:
    """Parse a temporal unit from a container. Raises `DamagedStreamError` if OBU sizes are
    inconsistent."""
    payload, entries, damage = _core.unit_parts(unit)
    return ParsedTemporalUnit(payload, tuple(_entries(entries)), tuple(damage))


def insert_entries(unit: bytes, entries: Sequence[Entry]) -> bytes:
    """A temporal unit in the low-overhead format with an OBU of these entries: after its delimiter
    and sequence header, or at its start. Raises `DamagedStreamError`."""
    if not entries:
        return unit
    ours = pack(entries)
    front, rest = b"", b""
    for kind, head, body in _core.parse_obus(unit):
        obu = head + encode_var(len(body)) + body
        if kind in (_OBU_DELIMITER, _OBU_SEQUENCE) and not rest:
            front += obu
        else:
            rest += obu
    return front + ours + rest


def read_header(header_bytes: bytes) -> SequenceHeader:
    """The sequence header of an entry. Raises `DamagedStreamError`."""
    header, size = SequenceHeader.read(io.BytesIO(header_bytes))
    if size != len(header_bytes) or header.base != "av1":
        raise DamagedStreamError(
            "metadata OBU: not the header of a stream of base av1", code="metadata-obu"
        )
    return header


def is_painted(unit: bytes) -> bool:
    """Whether a keyframe, as a container gives it, is of a stream with a painter."""
    try:
        header_bytes = parse_temporal_unit(unit).data_of(EntryType.HEADER)
        return header_bytes is not None and read_header(header_bytes).painter_id is not None
    except (DamagedStreamError, FormatVersionError):
        return False


def read_place(data: bytes) -> int:
    """The number of a `place` entry. Raises `DamagedStreamError`."""
    return Cursor(data, "metadata OBU").var(_MAX_FRAMES)


def matches_gop(data: bytes, frames: int, crc: int) -> bool:
    """Whether a `gop` entry matches a GOP of `frames` frames with the CRC-32 `crc`. Raises
    `DamagedStreamError`."""
    cursor = Cursor(data, "metadata OBU")
    return cursor.var(_MAX_FRAMES) == frames and cursor.uint(4) == crc and not len(cursor)


def _entries(parts: list[tuple[int, bytes]]) -> list[Entry]:
    return [Entry(EntryType(what), data) for what, data in parts]
