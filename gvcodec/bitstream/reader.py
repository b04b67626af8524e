"""Reads a gvcodec file or pipe, checks everything, names the packet in every error.

Reading front to back needs no index and works on a pipe. On a seekable stream `gops` uses the
index at the end.
"""

from __future__ import annotations

import io
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gvcodec.bitstream.embedded_models import load_embedded_models
from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import (
    CHECKSUM_BYTES,
    ENDS_EARLY,
    HASH_BYTES,
    MOST_FRAMES,
    Kind,
    Packet,
    Unbundler,
    read_packet,
)
from gvcodec.bitstream.varint import Cursor
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import Limits, check
from gvcodec.util.deprecation import renamed_attributes

_END_PAYLOAD = HASH_BYTES + 4
_END_SIZE = 2 + _END_PAYLOAD + CHECKSUM_BYTES
_MAX_FRAMES = 1 << 40
#: Flags of a GOP in the index.
_FITTED = 1
_REPAIR = "gvcodec repair keeps its whole GOPs"
_CUT = f"file is cut or damaged; {_REPAIR}"


@dataclass(frozen=True, slots=True)
class GopEntry:
    """One GOP of the index: number of its first frame, frames in it, byte range in the file,
    whether it begins with `fit`."""

    first_frame: int
    frames: int
    offset: int
    size: int
    has_fit: bool


#: Reason why only `repair` writes files from a file that another tool changed.
NOT_WRITTEN = "was changed by another tool; gvcodec repair writes what is intact"


class ChangedStream(io.BufferedReader):
    """The remaining GOPs of a file that was changed after encoding. Its base hash is all zeros,
    unless the encoder's frames are complete."""


@renamed_attributes(changed="is_changed")
class Reader:
    """`header` is read at once, `packets()` returns the rest in file order. Errors begin with
    `name`.

    With `limits` a header that exceeds them is refused (`LimitError`); reading takes little memory,
    decoding more: `gvcodec.Decoder` has its own limits."""

    def __init__(
        self, stream: BinaryIO, name: str = "stream", limits: Limits | None = None
    ) -> None:
        self._stream = stream
        self.name = name
        try:
            self.header, self._header_size = SequenceHeader.read(stream)
            if limits is not None:
                check(self.header, False, limits)
            self._stream = load_embedded_models(stream, self.header)
        except DamagedStreamError as error:
            raise type(error)(f"{name}: {error}") from error
        #: Set when `packets()` reaches the end of the file; a `ChangedStream` may have none.
        self.base_hash: bytes | None = None
        self.is_changed = isinstance(stream, ChangedStream)
        #: Counts so far: frame packets returned, bytes read, and bytes read of `tracks` packets.
        self.frames = 0
        self.size = self._header_size
        #: Offset and bytes of the last packet; of a frame in a bundle its share.
        self.packet_offset = self.packet_size = 0
        self._number = 0
        self._raised_error: DamagedStreamError | None = None
        self.track_size = 0

    def require_unchanged(self) -> None:
        """Raise `DamagedStreamError` for a `ChangedStream`: a file made from it would pass as
        correct."""
        if self.is_changed:
            raise DamagedStreamError(f"{self.name}: {NOT_WRITTEN}", code="changed-file")

    def packets(self) -> Iterator[Packet]:
        """All packets up to the end of the file, except `gop`, `index` and `end`.

        Checks packet and GOP checksums, the order of packets, the index against what was read, and
        that nothing follows the end. Raises `DamagedStreamError`.
        """
        entries: list[GopEntry] = []
        crc, start, first, has_fit = 0, self._header_size, 0, False
        in_gop = latent = False
        index: bytes | None = None
        index_size = 0
        unbundler = self._open_unbundler()
        while True:
            try:
                packet, data = read_packet(self._stream)
                self.packet_offset, self.packet_size = self.size, len(data)
                self.size += len(data)
                kind = packet.kind
                if kind is Kind.END:
                    self._check_end(packet.payload, index, index_size)
                    return
                if index is not None:
                    raise DamagedStreamError("follows the index", code="index")
                if latent and kind in (Kind.LATENT, Kind.GOP, Kind.INDEX):
                    raise DamagedStreamError("latent tokens without a frame", code="packet-order")
                if kind is Kind.GOP:
                    if not in_gop or not closes_gop(packet.payload, crc, self.frames):
                        raise DamagedStreamError("GOP checksum mismatch", code="gop-checksum")
                    count, size = self.frames - first, self.size - start
                    entries.append(GopEntry(first, count, start, size, has_fit))
                    crc, start, first, has_fit, in_gop = 0, self.size, self.frames, False, False
                    self._number += 1
                    continue
                if kind is Kind.INDEX:
                    if in_gop or self._parse_index(packet.payload, start) != entries:
                        raise DamagedStreamError("index differs from the packets", code="index")
                    index, index_size = packet.payload, len(data)
                    self._number += 1
                    continue
                self._check_order(kind, in_gop)
                crc = zlib.crc32(data, crc)
                parts = _unbundle(unbundler, packet)
            except DamagedStreamError as error:
                self._raised_error = self._damage_error(str(error))
                raise self._raised_error from error
            has_fit = has_fit or kind is Kind.FIT
            in_gop = in_gop or kind is Kind.KEY
            self.track_size += len(data) * (kind is Kind.TRACKS)
            sizes = _shares([len(part.payload) for part in parts], len(data))
            for part, self.packet_size in zip(parts, sizes, strict=True):
                latent = kind is Kind.LATENT or latent and not part.is_frame
                self.frames += part.is_frame
                yield part
            self._number += 1

    def name_file(self, error: DamagedStreamError) -> DamagedStreamError:
        """A decoder's error on the last packet, with file, packet and time."""
        if error is self._raised_error or str(error).startswith(f"{self.name}: "):
            return error
        return self._damage_error(str(error))

    def gops(self) -> list[GopEntry]:
        """All GOPs, from the index at the end of a seekable stream; the read position does not
        change. Raises `DamagedStreamError`."""
        if not self._stream.seekable():
            raise UsageError(f"{self.name}: cannot seek in a pipe", code="not-seekable")
        position = self._stream.tell()
        try:
            end_at = self._stream.seek(0, io.SEEK_END) - _END_SIZE
            end = self._packet_at(end_at, Kind.END, "end")
            distance = int.from_bytes(end[HASH_BYTES:], "little")
            payload = self._packet_at(end_at - distance, Kind.INDEX, "index")
            entries = self._parse_index(payload, end_at - distance)
            if self._header_size + sum(gop.size for gop in entries) != end_at - distance:
                raise DamagedStreamError("index does not fit the size of the file", code="index")
            return entries
        except DamagedStreamError as error:
            raise DamagedStreamError(f"{self.name}: {error}") from error
        finally:
            self._stream.seek(position)

    def fit_before(self, gops: list[GopEntry], at: int) -> Packet | None:
        """The `fit` packet in force at the start of GOP `at`; None without one, or if the GOP has
        its own."""
        for gop in reversed(gops[:at] if not gops[at].has_fit else []):
            if gop.has_fit:
                fits = [packet for packet in self.packets_of(gop) if packet.kind is Kind.FIT]
                return fits[-1] if fits else None
        return None

    def packets_of(self, gop: GopEntry, *, with_frames: bool = True) -> Iterator[Packet]:
        """The packets of one GOP in file order, or only those without frames, which is faster.
        Raises `DamagedStreamError`."""
        self._stream.seek(gop.offset)
        remaining, crc, unbundler = gop.size, 0, self._open_unbundler()
        try:
            while True:
                packet, data = read_packet(self._stream)
                remaining -= len(data)
                if packet.kind is Kind.GOP:
                    if remaining or not closes_gop(
                        packet.payload, crc, gop.first_frame + gop.frames
                    ):
                        raise DamagedStreamError("checksum mismatch", code="gop-checksum")
                    return
                crc = zlib.crc32(data, crc)
                if remaining <= 0:
                    raise DamagedStreamError("does not end where the index says", code="index")
                if with_frames or not packet.is_frame:
                    yield from _unbundle(unbundler, packet)
        except DamagedStreamError as error:
            where = f"{self.name}: GOP at frame {gop.first_frame}"
            raise DamagedStreamError(f"{where}: {error}") from error

    def _open_unbundler(self) -> Unbundler | None:
        return Unbundler() if self.header.is_bundled else None

    def _parse_index(self, payload: bytes, end: int) -> list[GopEntry]:
        most = MOST_FRAMES if self.header.is_bundled else 1
        return parse_index(payload, self._header_size, end, most)

    def _packet_at(self, offset: int, kind: Kind, what: str) -> bytes:
        if offset < self._header_size:
            raise DamagedStreamError(f"no {what} where it should be ({_CUT})", code="index")
        self._stream.seek(offset)
        try:
            packet, _ = read_packet(self._stream)
        except DamagedStreamError as error:
            raise DamagedStreamError(f"{what}: {error} ({_CUT})") from error
        if packet.kind is not kind:
            raise DamagedStreamError(f"no {what} where it should be ({_CUT})", code="index")
        return packet.payload

    def _check_order(self, kind: Kind, in_gop: bool) -> None:
        if kind is Kind.KEY and in_gop:
            raise DamagedStreamError("keyframe inside a GOP", code="packet-order")
        if kind is Kind.INTER and not in_gop:
            raise DamagedStreamError(
                "inter frame without a keyframe before it", code="packet-order"
            )
        if kind is Kind.LATENT and self.header.gvc1d_id is None:
            raise DamagedStreamError("latent tokens in a stream without any", code="packet-order")
        if kind is Kind.FIT and in_gop:
            raise DamagedStreamError("fit inside a GOP", code="packet-order")

    def _check_end(self, payload: bytes, index: bytes | None, index_size: int) -> None:
        if index is None or len(payload) != _END_PAYLOAD:
            raise DamagedStreamError("end without an index", code="index")
        if int.from_bytes(payload[HASH_BYTES:], "little") != index_size:
            raise DamagedStreamError("end does not point at the index", code="index")
        # A pipe may stay open: waiting for its end could block forever.
        if self._stream.seekable() and self._stream.read(1):
            raise DamagedStreamError("bytes follow the end of the file", code="packet-order")
        if not self.is_changed or any(payload[:HASH_BYTES]):
            self.base_hash = payload[:HASH_BYTES]

    def _damage_error(self, what: str) -> DamagedStreamError:
        seconds = float(self.frames / self.header.format.frame_rate)
        when = f"file is damaged after {int(seconds // 60)}:{seconds % 60:04.1f}"
        if what == ENDS_EARLY:
            when += f"; {_REPAIR}"
        return DamagedStreamError(f"{self.name}: packet {self._number}: {what} ({when})")


def _unbundle(unbundler: Unbundler | None, packet: Packet) -> list[Packet]:
    return [packet] if unbundler is None or not packet.is_frame else unbundler.send(packet)


def _shares(sizes: list[int], total: int) -> list[int]:
    """Divides `total` bytes of a bundle in proportion to the decoded `sizes` of its frames."""
    whole = max(1, sum(sizes))
    ends = [total * part // whole for part in itertools.accumulate(sizes)]
    if ends:
        ends[-1] = total
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def closes_gop(payload: bytes, crc: int, frames: int) -> bool:
    """Whether a `gop` packet matches the packets before it: their CRC-32 and, if present, frames
    since the start."""
    cursor = Cursor(payload, "gop")
    if cursor.uint(4) != crc:
        return False
    return not len(cursor) or (cursor.var() == frames and not len(cursor))


def parse_index(
    payload: bytes, header_size: int, end: int, frames_a_byte: int = 1
) -> list[GopEntry]:
    """Entries of an `index` packet at offset `end`; a byte of the stream codes at most
    `frames_a_byte` frames. Raises `DamagedStreamError` if entries contradict each other."""
    cursor = Cursor(payload, "index")
    frames, gops = cursor.var(_MAX_FRAMES), cursor.var(_MAX_FRAMES)
    entries: list[GopEntry] = []
    first, offset = 0, header_size
    # A forged count ends the loop: every entry takes bytes, here and in the file.
    for _ in range(gops):
        count, size, flags = cursor.var(_MAX_FRAMES), cursor.var(), cursor.uint(1)
        entry = GopEntry(first, count, offset, size, bool(flags & _FITTED))
        if not 0 < entry.frames <= frames_a_byte * entry.size <= frames_a_byte * (end - offset):
            raise DamagedStreamError("index: GOP without frames", code="index")
        entries.append(entry)
        first += entry.frames
        offset += entry.size
    if not entries:
        raise DamagedStreamError("index: no frames", code="index")
    if first != frames or len(cursor):
        raise DamagedStreamError("index: frames do not add up", code="index")
    return entries
