"""Packets to frames: structure layer, painting, timestamps, loop hash.

    decoder = Decoder(reader.header)
    for frame in decoder.frames_of(reader.packets()): ...
    decoder.verify(reader.loop_hash)

or, packet by packet, `send_packet`, `receive_frame` until it gives None, and `flush` after the last packet.

Decoding may start at any `key` packet: `restart` with the number of its first frame, then the `tune` packet in force
there and the packets of its GOP. `frames_despite` decodes what is left of a damaged stream.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gvcodec import layers
from gvcodec.bitstream import Kind, Loss, Packet, PtsDecoder, Salvage, SequenceHeader
from gvcodec.encoder import LOOP_HASH_BYTES
from gvcodec.errors import DamagedStreamError, VerificationError, WrongModelError
from gvcodec.types import Planes

_GREY = 512


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame in display order: painted, or the loop frame; `loop` is always the loop frame. `pts` in ticks of the
    format's time base. `concealed`: lost, the frame before it stands in."""

    planes: Planes
    pts: int
    loop: Planes
    concealed: bool = False


class Decoder:
    """One video. `fidelity` gives the loop frames also where the stream has an appearance layer.

    `models`: files and folders to look for models in before the usual places. `low_delay` gives frames out as early as
    can be. `tracks` receives the payloads of `tracks` packets, for the caller to take out. Raises `WrongModelError` when
    a model is not at hand.
    """

    def __init__(
        self,
        header: SequenceHeader,
        fidelity: bool = False,
        threads: int = 0,
        models: Sequence[str | Path] = (),
        low_delay: bool = False,
    ) -> None:
        self.header = header
        self.tracks: deque[bytes] = deque()
        self._structure = layers.structure_decoder(header, threads, models, low_delay)
        paints = header.appearance_id is not None and not fidelity
        self._painter = layers.painter(header, threads, models) if paints else None
        fmt = header.format
        self._timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base)
        self._tuned: bytes | None = None
        self._gops: deque[tuple[int, bytes | None]] = deque()
        self._started = False
        self._sent = 0
        self._shown = 0
        self._last: DecodedFrame | None = None
        self._frames: deque[DecodedFrame] = deque()
        self._hash = hashlib.sha256()
        #: One line for everything that `frames_despite` could not decode.
        self.losses: list[str] = []
        #: Frames that may be wrong, although they were decoded: first and last number of each run.
        self.suspects: list[tuple[int, int]] = []
        #: Frames that stand in for lost ones: first number and count of each run.
        self.concealed: list[tuple[int, int]] = []

    @property
    def frames(self) -> int:
        """Number of the next frame in display order: frames given out or ready so far."""
        return self._shown

    @property
    def loop_hash(self) -> bytes:
        """Hash of the loop frames so far, as at the end of a stream."""
        return self._hash.digest()[:LOOP_HASH_BYTES]

    def restart(self, frame: int) -> None:
        """Go on at the GOP whose first frame has this number. Frames not yet received are dropped."""
        self._structure.abandon()
        self._timing.restart(frame)
        self._gops.clear()
        self._frames.clear()
        self._sent = self._shown = frame
        self._started = False
        self._tuned = None

    def send_packet(self, packet: Packet) -> None:
        """Take the next packet. Raises `DamagedStreamError`."""
        if packet.kind is Kind.TUNE:
            self._tuned = packet.payload
        elif packet.kind is Kind.TIMING:
            self._timing.send(packet.payload)
        elif packet.kind is Kind.TRACKS:
            self.tracks.append(packet.payload)
        elif packet.kind in (Kind.UNKNOWN, Kind.TOKENS) and self._painter is not None:
            raise WrongModelError(
                "the painted picture needs a newer version of gvcodec; --fidelity gives the loop frames"
            )
        elif packet.is_frame:
            key = packet.kind is Kind.KEY
            if key:
                # A GOP is closed and has one packet a frame: its first frame is shown after as many as were sent.
                self._gops.append((self._sent, self._tuned))
                self._timing.start_gop()
                self._started = True
            elif not self._started:
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
            yield from self._ready()
        self.flush()
        yield from self._ready()

    def frames_despite(self, salvage: Salvage) -> Iterator[DecodedFrame]:
        """All frames of a stream, damaged or not: where one is lost, the one before it is shown again, until the next
        keyframe that arrived. `losses` and `concealed` say where. Without a loss the loop hash is checked."""
        broken = False
        for event in salvage.events():
            if isinstance(event, Loss):
                self._report(event)
                broken = broken or event.broken
                if event.broken:
                    self._conceal(event.frames)
            elif broken and event.kind is Kind.INTER:
                self._conceal(1)
            else:
                broken = broken and event.kind is not Kind.KEY
                try:
                    self.send_packet(event)
                except DamagedStreamError as error:
                    self.losses.append(f"frame {self._sent}: {error}")
                    self._timing.lose()
                    if event.is_frame:
                        broken = True
                        self._conceal(0)
            yield from self._ready()
        try:
            self.flush()
        except DamagedStreamError as error:
            self.losses.append(f"frame {self._shown}: {error}")
            self._conceal(0)
        yield from self._ready()
        if not self.losses:
            self.verify(salvage.loop_hash)

    def verify(self, loop_hash: bytes | None) -> None:
        """Raises `VerificationError` when the loop frames differ from the encoder's."""
        if loop_hash is not None and self.loop_hash != loop_hash:
            raise VerificationError("decoded frames differ from the encoder's (loop hash)")

    def _ready(self) -> Iterator[DecodedFrame]:
        while self._frames:
            yield self._frames.popleft()

    def _show(self, loops: list[Planes]) -> None:
        for loop in loops:
            for plane in loop:
                self._hash.update(np.ascontiguousarray(plane, "<u2").data)
            if self._gops and self._gops[0][0] == self._shown:
                _, tuned = self._gops.popleft()
                if self._painter is not None:
                    self._painter.start_gop(tuned)
            painted = self._painter.paint(loop) if self._painter is not None else loop
            self._last = DecodedFrame(painted, self._timing.receive(), loop)
            self._frames.append(self._last)
            self._shown += 1

    def _report(self, loss: Loss) -> None:
        """Keep account of a loss."""
        if loss.reason:
            line = loss.reason
            if loss.suspect:
                self.suspects.append((self._sent - loss.suspect, self._sent - 1))
                line += f"; frames {self._sent - loss.suspect} to {self._sent - 1} may be wrong"
            if loss.side:
                line += "; timestamps, sound or renderer weights may be missing"
            self.losses.append(line)
        if loss.side:
            self._timing.lose()

    def _conceal(self, frames: int) -> None:
        """Fill up with the last frame: those sent whose picture is not there, then `frames` more."""
        self._show(self._structure.abandon())
        missing = self._sent - self._shown + frames
        self._sent += frames
        self._gops.clear()
        if not missing:
            return
        last = self._last
        if last is None:
            fmt = self.header.format
            half = (fmt.height + 1) // 2, (fmt.width + 1) // 2
            shapes = ((fmt.height, fmt.width), half, half)
            y, u, v = (np.full(shape, _GREY, np.uint16) for shape in shapes)
            last = DecodedFrame((y, u, v), 0, (y, u, v))
        if self.concealed and sum(self.concealed[-1]) == self._shown:
            self.concealed[-1] = (self.concealed[-1][0], self.concealed[-1][1] + missing)
        else:
            self.concealed.append((self._shown, missing))
        for _ in range(missing):
            self._frames.append(DecodedFrame(last.planes, self._timing.receive(), last.loop, True))
            self._shown += 1
