"""Writes a gvcodec file front to back: header, packets, GOP checksums, index, end. Never seeks."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from gvcodec.bitstream.backup import BACKUP, Backup
from gvcodec.bitstream.bundles import Bundler
from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import HASH_BYTES, Kind, Packet
from gvcodec.bitstream.varint import encode_var

#: The order of packets at the start of a GOP: others are between, as they come.
_PLACES, _BETWEEN = {Kind.SUMMARY: 0, Kind.FIT: 1, Kind.ATTACHMENT: 3}, 2
#: Packets that need a frame after them.
_BEFORE_FRAME = {Kind.SUMMARY, Kind.FIT}
#: Packets whose GOP depends on the next frame packet.
_PENDING_KINDS = {*_PLACES, Kind.TIMING, Kind.TRACKS, Kind.METADATA, Kind.EXTRA}


class Writer:
    """Writes to `stream`; the caller sends frame packets in decode order and `finish` once.

    GOPs are closed here: a `key` (with the packets of `_PENDING_KINDS` directly before it) starts
    the next one.
    """

    def __init__(self, stream: BinaryIO, header: SequenceHeader) -> None:
        self._stream = stream
        self._pending: list[Packet] = []
        self._gops = bytearray()
        self._gop_count = 0
        self._frames = 0
        self._gop_frames = 0
        self._gop_size = 0
        self._gop_crc = 0
        self._gop_fitted = False
        self._bundler = Bundler() if header.is_bundled else None
        packed = header.pack()
        stream.write(packed)
        self.size = len(packed)
        #: Bytes of `tracks` and `attachment` packets within `size`.
        self.track_size = 0
        self._backup = Backup(packed) if header.base != "gvc1d" else None
        #: Bytes up to the last frame. Those of the packets after it do not change the backup.
        self._size_of_frames = 0

    @property
    def frames(self) -> int:
        return self._frames

    def write(self, packet: Packet) -> None:
        """Write any packet but `gop`, `index` and `end`. A `backup` is left out, since it is
        written again, and so are latent tokens, which only release 1.0 decodes."""
        if packet.type == BACKUP or packet.kind is Kind.LATENT:
            return
        if self._backup is not None:
            self._backup.take(packet)
        if packet.kind in _PENDING_KINDS:
            self._pending.append(packet)
            return
        if self._pending or packet.kind is not Kind.INTER:
            self._close_bundle()
        if packet.kind is Kind.KEY:
            self._close_gop()
            self._gop_fitted = any(pending.kind is Kind.FIT for pending in self._pending)
            # Search reads only the beginning of each GOP.
            self._pending.sort(key=lambda pending: _PLACES.get(pending.kind, _BETWEEN))
        elif packet.kind is Kind.INTER and not self._gop_frames:
            raise ValueError("the first frame packet has to be a key")
        self._flush_pending()
        if not packet.is_frame:
            self._write_packet(packet)
            return
        self._frames += 1
        self._gop_frames += 1
        if self._bundler is None:
            self._write_packet(packet)
        else:
            for bundle in self._bundler.send(packet):
                self._write_packet(bundle)

    def finish(self, base_hash: bytes, has_backup: bool = True) -> None:
        """Close the last GOP, write index and end. `base_hash`: 8 bytes. `has_backup`: a `backup`
        packet ends the GOP (`gvcodec.bitstream.backup`), unless the base is gvc1d."""
        if len(base_hash) != HASH_BYTES:
            raise ValueError(f"a base hash has {HASH_BYTES} bytes")
        if any(pending.kind in _BEFORE_FRAME for pending in self._pending):
            raise ValueError("a summary or fit packet without a frame after it")
        self._close_bundle()
        self._flush_pending()
        backup = self._backup.pack(self._size_of_frames) if self._backup else None
        if has_backup and self._frames and backup is not None:
            self._write_packet(backup)
        self._close_gop()
        entries = encode_var(self._frames) + encode_var(self._gop_count) + bytes(self._gops)
        index = Packet(Kind.INDEX, entries).pack()
        self._write_bytes(index)
        self._write_bytes(Packet(Kind.END, base_hash + len(index).to_bytes(4, "little")).pack())

    def _close_bundle(self) -> None:
        if self._bundler is not None:
            for bundle in self._bundler.flush():
                self._write_packet(bundle)

    def _flush_pending(self) -> None:
        for pending in self._pending:
            size = self._write_packet(pending)
            self.track_size += size * (pending.kind in (Kind.TRACKS, Kind.ATTACHMENT))
        self._pending.clear()

    def _write_packet(self, packet: Packet) -> int:
        data = packet.pack()
        self._write_bytes(data)
        self._gop_size += len(data)
        self._gop_crc = zlib.crc32(data, self._gop_crc)
        if packet.is_frame:
            self._size_of_frames = self.size
        return len(data)

    def _close_gop(self) -> None:
        if not self._gop_frames:
            return
        closing = self._gop_crc.to_bytes(4, "little") + encode_var(self._frames)
        data = Packet(Kind.GOP, closing).pack()
        self._write_bytes(data)
        self._gops += encode_var(self._gop_frames) + encode_var(self._gop_size + len(data))
        self._gops.append(self._gop_fitted)
        self._gop_count += 1
        self._gop_frames = self._gop_size = self._gop_crc = 0

    def _write_bytes(self, data: bytes) -> None:
        self._stream.write(data)
        self.size += len(data)
