"""Writes a gvcodec file front to back: header, packets, GOP checksums, index, end. Never seeks."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from gvcodec.bitstream.bundles import Bundler
from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import Kind, Packet
from gvcodec.bitstream.varint import encode_var

HASH_BYTES = 8
#: What a GOP begins with, in this order.
_FIRST = {Kind.SUMMARY: 0, Kind.FIT: 1}
#: Which GOP these belong to is known only when the next frame packet comes.
_HELD = {*_FIRST, Kind.TIMING, Kind.TRACKS, Kind.METADATA, Kind.LATENT, Kind.EXTRA}
#: What needs a frame after it.
_BEFORE_FRAME = {*_FIRST, Kind.LATENT}


class Writer:
    """Writes to `stream`; the caller sends frame packets in decode order and `finish` once.

    GOPs are closed here: a `key` (with the packets of `_HELD` directly before it) starts the next
    one.
    """

    def __init__(self, stream: BinaryIO, header: SequenceHeader) -> None:
        self._stream = stream
        self._held: list[Packet] = []
        self._gops = bytearray()
        self._gop_count = 0
        self._frames = 0
        self._gop_frames = 0
        self._gop_size = 0
        self._gop_crc = 0
        self._gop_fitted = False
        self._bundler = Bundler() if header.bundled else None
        packed = header.pack()
        stream.write(packed)
        self.size = len(packed)
        #: Bytes of `tracks` packets within `size`.
        self.track_size = 0

    @property
    def frames(self) -> int:
        return self._frames

    def write(self, packet: Packet) -> None:
        """Write any packet but `gop`, `index` and `end`."""
        if packet.kind in _HELD:
            self._held.append(packet)
            return
        if self._held or packet.kind is not Kind.INTER:
            self._close_bundle()
        if packet.kind is Kind.KEY:
            self._close_gop()
            self._gop_fitted = any(held.kind is Kind.FIT for held in self._held)
            # Who searches reads the beginning of each GOP only.
            self._held.sort(key=lambda held: _FIRST.get(held.kind, len(_FIRST)))
        elif packet.kind is Kind.INTER and not self._gop_frames:
            raise ValueError("the first frame packet has to be a key")
        self._flush_held()
        if not packet.is_frame:
            self._emit(packet)
            return
        self._frames += 1
        self._gop_frames += 1
        if self._bundler is None:
            self._emit(packet)
        else:
            for bundle in self._bundler.send(packet):
                self._emit(bundle)

    def finish(self, base_hash: bytes) -> None:
        """Close the last GOP, write index and end. `base_hash`: 8 bytes."""
        if len(base_hash) != HASH_BYTES:
            raise ValueError(f"a base hash has {HASH_BYTES} bytes")
        if any(held.kind in _BEFORE_FRAME for held in self._held):
            raise ValueError("a summary, fit or latent packet without a frame after it")
        self._close_bundle()
        self._flush_held()
        self._close_gop()
        entries = encode_var(self._frames) + encode_var(self._gop_count) + bytes(self._gops)
        index = Packet(Kind.INDEX, entries).pack()
        self._put(index)
        self._put(Packet(Kind.END, base_hash + len(index).to_bytes(4, "little")).pack())

    def _close_bundle(self) -> None:
        if self._bundler is not None:
            for bundle in self._bundler.flush():
                self._emit(bundle)

    def _flush_held(self) -> None:
        for held in self._held:
            self._emit(held)
            if held.kind is Kind.TRACKS:
                self.track_size += len(held.pack())
        self._held.clear()

    def _emit(self, packet: Packet) -> None:
        data = packet.pack()
        self._put(data)
        self._gop_size += len(data)
        self._gop_crc = zlib.crc32(data, self._gop_crc)

    def _close_gop(self) -> None:
        if not self._gop_frames:
            return
        closing = self._gop_crc.to_bytes(4, "little") + encode_var(self._frames)
        data = Packet(Kind.GOP, closing).pack()
        self._put(data)
        self._gops += encode_var(self._gop_frames) + encode_var(self._gop_size + len(data))
        self._gops.append(self._gop_fitted)
        self._gop_count += 1
        self._gop_frames = self._gop_size = self._gop_crc = 0

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self.size += len(data)
