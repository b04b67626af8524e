"""Reads a gvcodec file or pipe, checks everything, names the packet in every error. The checks are
C++ (csrc/format/stream_reader.cpp).

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

from gvcodec import _core
from gvcodec.bitstream.embedded_models import load_embedded_models
from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import (
    END_BYTES,
    ENDS_EARLY,
    HASH_BYTES,
    Kind,
    Packet,
    Unbundler,
    read_packet,
)
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import Limits, check
from gvcodec.util.deprecation import renamed_attributes

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
NOT_WRITTEN = "was changed by another tool; gvcodec repair writes the intact part"


class ChangedStream(io.BufferedReader):
    """The remaining GOPs of a file that was changed after encoding. Its base hash is all zeros,
    unless the encoder's frames are complete. `change`: what was changed, in words."""

    change = ""


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
        #: Counts so far: frame packets returned, bytes read, and those of `tracks` and
        #: `attachment` packets.
        self.frames = 0
        self.size = self._header_size
        #: Offset and bytes of the last packet; of a frame in a bundle its share.
        self.packet_offset = self.packet_size = 0
        self._packets = self._open_packets()
        self._raised_error: DamagedStreamError | None = None
        self.track_size = 0

    def require_unchanged(self) -> None:
        """Raise `DamagedStreamError` for a `ChangedStream`: a file made from it would pass as
        correct."""
        if self.is_changed:
            raise DamagedStreamError(f"{self.name}: {NOT_WRITTEN}", code="changed-file")

    def packets(self) -> Iterator[Packet]:
        """All packets up to the end of the file, except `gop`, `index` and `end`.

        Checks packet and GOP checksums, the order of packets, the index against the packets, and
        that nothing follows the end. Raises `DamagedStreamError`.
        """
        self._packets = self._open_packets()
        unbundler = self._open_unbundler()
        while True:
            try:
                packet_and_size = self._next_packet()
                if packet_and_size is None:
                    return
                packet, size = packet_and_size
                parts = _unbundle(unbundler, packet)
            except DamagedStreamError as error:
                self._raised_error = self._damage_error(str(error))
                raise self._raised_error from error
            self.track_size += size * (packet.kind in (Kind.TRACKS, Kind.ATTACHMENT))
            sizes = _shares([len(part.payload) for part in parts], size)
            for part, self.packet_size in zip(parts, sizes, strict=True):
                self.frames += part.is_frame
                yield part

    def _next_packet(self) -> tuple[Packet, int] | None:
        """A packet and its bytes in the file; None at the end."""
        while (parts := self._packets.next()) is None:
            if self._packets.at_end:
                self.size = self._packets.offset
                self._check_end(self._packets.base_hash)
                return None
            self._packets.send(bytes(self._stream.read(self._packets.missing())))
        number, payload, size = parts
        self.packet_offset = self._packets.offset
        self.size = self.packet_offset + size
        return Packet.of(number, payload), size

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
            end_at = self._stream.seek(0, io.SEEK_END) - END_BYTES
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
                    if remaining or not _core.closes_gop(
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

    def _open_packets(self) -> _core.PacketReader:
        header = self.header
        has_latents = header.gvc1d_id is not None
        return _core.PacketReader(self._header_size, header.is_bundled, has_latents)

    def _parse_index(self, payload: bytes, end: int) -> list[GopEntry]:
        begin, is_bundled = self._header_size, self.header.is_bundled
        return [GopEntry(*gop) for gop in _core.parse_index(payload, begin, end, is_bundled)]

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

    def _check_end(self, base_hash: bytes | None) -> None:
        # A pipe may stay open: waiting for its end could block forever.
        if self._stream.seekable() and self._stream.read(1):
            raise DamagedStreamError("bytes follow the end of the file", code="packet-order")
        if not self.is_changed or any(base_hash or b""):
            self.base_hash = base_hash

    def _damage_error(self, what: str) -> DamagedStreamError:
        # `end` counts as well.
        number = self._packets.packets - self._packets.at_end
        seconds = float(self.frames / self.header.format.frame_rate)
        when = f"file is damaged after {int(seconds // 60)}:{seconds % 60:04.1f}"
        if what == ENDS_EARLY:
            when += f"; {_REPAIR}"
        return DamagedStreamError(f"{self.name}: packet {number}: {what} ({when})")


def _unbundle(unbundler: Unbundler | None, packet: Packet) -> list[Packet]:
    return [packet] if unbundler is None or not packet.is_frame else unbundler.send(packet)


def _shares(sizes: list[int], total: int) -> list[int]:
    """Divides `total` bytes of a bundle in proportion to the decoded `sizes` of its frames."""
    whole = max(1, sum(sizes))
    ends = [total * part // whole for part in itertools.accumulate(sizes)]
    if ends:
        ends[-1] = total
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
