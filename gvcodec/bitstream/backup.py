"""Backup packet: a copy of what the first bytes of a stream say, in its last GOP
(docs/spec/container.md): header, first `metadata` and `fit` payloads, descriptions of the tracks.

A damaged header would otherwise lose the whole file. Readers that do not repair skip the packet;
tools that move GOPs write a new one. Raises `DamagedStreamError`.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from gvcodec.bitstream.header import MAGIC, SequenceHeader
from gvcodec.bitstream.packets import EXTENDED_BITS, Kind, Packet, read_packet
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError, GvcodecError

#: Type of the packet: readers skip it, tools that move GOPs omit it.
BACKUP = 128
#: A backup takes at most one byte for so many bytes of the file before it.
_SHARE = 100
_METADATA, _TRACKS, _FIT = 1, 2, 3
#: Bytes of all fields: metadata, codec parameters and their texts, weights.
_MOST_BYTES = 1 << 22
_MOST_TRACKS = 64
#: First bytes of the packet after its size.
_HEAD = bytes([BACKUP]) + MAGIC
_MOST_SIZE_BYTES = 4
#: Bytes examined at once, and places that are tried, when a backup is searched for.
_CHUNK = 1 << 20
_MOST_PLACES = 64
#: Bytes at the end of a file in which it is searched for: only `gop`, index and `end` follow it.
_MOST_SEARCHED = 1 << 24


@dataclass(slots=True)
class Backup:
    """`header`: its bytes. The others are payloads as in the first packets of their kinds, empty
    without any; of `tracks` only the descriptions, before the packets of the tracks."""

    header: bytes
    metadata: bytes = b""
    tracks: bytes = b""
    fit: bytes = b""

    def take(self, packet: Packet) -> None:
        """Keep what is copied of a packet if it is the first of its kind."""
        if packet.kind is Kind.METADATA:
            self.metadata = self.metadata or packet.payload
        elif packet.kind is Kind.FIT:
            self.fit = self.fit or packet.payload
        elif packet.kind is Kind.TRACKS and not self.tracks:
            with contextlib.suppress(DamagedStreamError):
                self.tracks = descriptions_of(packet.payload)

    def pack(self, size: int) -> Packet | None:
        """The packet for a file of `size` bytes so far: as many parts as fit into a hundredth of
        it. None if not even the header fits."""
        fields, best = b"", None
        for number, data in ((None, b""), (_METADATA, self.metadata), (_TRACKS, self.tracks),
                             (_FIT, self.fit)):  # fmt: skip
            if number is not None and not data:
                continue
            more = fields + (b"" if number is None else bytes([number]) + _sized(data))
            packet = Packet(Kind.EXTRA, self.header + (_deflate(more) if more else b""), BACKUP)
            if len(packet.pack()) * _SHARE <= size:
                fields, best = more, packet
        return best

    def packets(self) -> list[bytes]:
        """Bytes of the packets that it holds whole, if nothing follows the descriptions."""
        kinds = (Kind.METADATA, self.metadata), (Kind.TRACKS, self.tracks), (Kind.FIT, self.fit)
        return [Packet(kind, payload).pack() for kind, payload in kinds if payload]

    def read_header(self) -> SequenceHeader:
        return SequenceHeader.read(io.BytesIO(self.header))[0]

    @staticmethod
    def unpack(payload: bytes) -> Backup:
        """Raises `GvcodecError` also for a header that this release does not read."""
        _, size = SequenceHeader.read(io.BytesIO(payload))
        backup, inflater = Backup(payload[:size]), zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            cursor = Cursor(inflater.decompress(payload[size:], _MOST_BYTES), "backup")
        except zlib.error as error:
            raise DamagedStreamError("backup: cannot be decompressed") from error
        if len(payload) > size and not inflater.eof:
            raise DamagedStreamError("backup: ends early, or is too large")
        names = {_METADATA: "metadata", _TRACKS: "tracks", _FIT: "fit"}
        while len(cursor):
            number = cursor.uint(1)
            data = cursor.take(cursor.var())
            if number in names:
                setattr(backup, names[number], data)
        return backup


def find_backup(stream: BinaryIO) -> Backup | None:
    """The last backup near the end of a seekable stream, whose position does not change."""
    position = stream.tell()
    end, places = stream.seek(0, io.SEEK_END), 0
    begin = max(position, end - _MOST_SEARCHED)
    try:
        while end > begin and places < _MOST_PLACES:
            start = max(begin, end - _CHUNK)
            stream.seek(start)
            data = stream.read(end - start + len(_HEAD))
            at = data.rfind(_HEAD)
            while at >= 0 and places < _MOST_PLACES:
                places += 1
                if (backup := _read_at(stream, begin, start + at)) is not None:
                    return backup
                at = data.rfind(_HEAD, 0, at + len(_HEAD) - 1)
            end = start
    finally:
        stream.seek(position)
    return None


def _read_at(stream: BinaryIO, begin: int, place: int) -> Backup | None:
    """The backup whose type byte is at `place`."""
    for size_bytes in range(1, _MOST_SIZE_BYTES + 1):
        if place - size_bytes < begin:
            return None
        stream.seek(place - size_bytes)
        if stream.read(1)[0] & EXTENDED_BITS != EXTENDED_BITS:
            continue
        stream.seek(place - size_bytes)
        with contextlib.suppress(GvcodecError):
            packet, _ = read_packet(stream)
            if packet.type == BACKUP:
                return Backup.unpack(packet.payload)
    return None


def descriptions_of(payload: bytes) -> bytes:
    """The part of a first `tracks` payload before its packets."""
    cursor = Cursor(payload, "tracks")
    for _ in range(cursor.var(_MOST_TRACKS)):
        for _ in range(3):
            cursor.var()
        for _ in range(3):
            cursor.take(cursor.var())
    return payload[: len(payload) - len(cursor)]


def _sized(data: bytes) -> bytes:
    return encode_var(len(data)) + data


def _deflate(data: bytes) -> bytes:
    """Raw DEFLATE."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()
