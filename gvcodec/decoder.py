"""Packets to frames: structure layer, painting, timestamps, loop hash.

    decoder = Decoder(reader.header)
    for frame in decoder.frames_of(reader.packets()): ...
    decoder.verify(reader.loop_hash)

or, packet by packet, `send_packet`, `receive_frame` until it gives None, and `flush` after the last packet.

Decoding may start at any `key` packet, after the `tune` packet in force there; then there is nothing to verify.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from gvcodec import layers
from gvcodec.bitstream import Kind, Packet, PtsDecoder, SequenceHeader
from gvcodec.encoder import LOOP_HASH_BYTES
from gvcodec.errors import DamagedStreamError, VerificationError
from gvcodec.types import Planes


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame in display order: painted, or the loop frame. `pts` in ticks of the format's time base."""

    planes: Planes
    pts: int


class Decoder:
    """One video. `fidelity` gives the loop frames also where the stream has an appearance layer.

    `tracks` collects the bytes of the copied tracks. Raises `WrongModelError` when a model is not at hand.
    """

    def __init__(self, header: SequenceHeader, fidelity: bool = False, threads: int = 0) -> None:
        self.header = header
        self.tracks = bytearray()
        self._structure = layers.structure_decoder(header, threads)
        paints = header.appearance_id is not None and not fidelity
        self._painter = layers.painter(header, threads) if paints else None
        fmt = header.format
        self._timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base)
        self._tuned: bytes | None = None
        self._gops: deque[tuple[int, bytes | None]] = deque()
        self._sent = 0
        self._shown = 0
        self._frames: deque[DecodedFrame] = deque()
        self._hash = hashlib.sha256()

    @property
    def frames(self) -> int:
        """Frames given out or ready so far."""
        return self._shown

    def send_packet(self, packet: Packet) -> None:
        """Take the next packet. Raises `DamagedStreamError`."""
        if packet.kind is Kind.TUNE:
            self._tuned = packet.payload
        elif packet.kind is Kind.TIMING:
            self._timing.send(packet.payload)
        elif packet.kind is Kind.TRACKS:
            self.tracks += packet.payload
        elif packet.is_frame:
            key = packet.kind is Kind.KEY
            if key:
                # A GOP is closed and has one packet a frame: its first frame is shown after as many as were sent.
                self._gops.append((self._sent, self._tuned))
            elif not self._sent:
                raise DamagedStreamError("decoding has to start at a keyframe")
            self._sent += 1
            self._show(self._structure.send(packet.payload, key))

    def flush(self) -> None:
        """No more packets: release the rest. Raises `DamagedStreamError`."""
        self._show(self._structure.flush())

    def receive_frame(self) -> DecodedFrame | None:
        """The next frame, None when there is none yet."""
        return self._frames.popleft() if self._frames else None

    def frames_of(self, packets: Iterable[Packet]) -> Iterator[DecodedFrame]:
        """All frames of these packets, which are the last. Raises `DamagedStreamError`."""
        for packet in packets:
            self.send_packet(packet)
            while self._frames:
                yield self._frames.popleft()
        self.flush()
        while self._frames:
            yield self._frames.popleft()

    def verify(self, loop_hash: bytes | None) -> None:
        """Raises `VerificationError` when the loop frames differ from the encoder's."""
        if loop_hash is not None and self._hash.digest()[:LOOP_HASH_BYTES] != loop_hash:
            raise VerificationError("decoded frames differ from the encoder's (loop hash)")

    def _show(self, loops: list[Planes]) -> None:
        for loop in loops:
            for plane in loop:
                self._hash.update(np.ascontiguousarray(plane, "<u2").data)
            if self._gops and self._gops[0][0] == self._shown:
                _, tuned = self._gops.popleft()
                if self._painter is not None:
                    self._painter.start_gop(tuned)
            painted = self._painter.paint(loop) if self._painter is not None else loop
            self._frames.append(DecodedFrame(painted, self._timing.receive()))
            self._shown += 1
