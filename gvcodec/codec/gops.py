"""Streams as sequences of GOPs, the unit of cutting, joining and repairing.

`gops_of` takes a stream apart, `Splicer` puts GOPs together. Coded frames stay as they are;
timestamps, copied tracks and the painter's weights in force are written again, and the base hash is
made by decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from gvcodec.bitstream import Kind, Packet, PtsDecoder, PtsEncoder, SequenceHeader
from gvcodec.bitstream.packets import read_quality
from gvcodec.bitstream.recovery import Loss
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import DamagedStreamError, FormatVersionError, LimitError
from gvcodec.limits import DEFAULT, NO_LIMITS, OBJECT_BYTES, Limits
from gvcodec.tracks.packets import TrackPacket, TrackReader, TrackWriter

#: Payload of a `fit` packet that changes nothing: back to the shipped painter.
BASE_WEIGHTS = bytes([16])
#: Payload of a `fit` packet whose GOPs show base frames.
NO_PAINTING = bytes([0])


@dataclass(slots=True)
class Gop:
    """Frames from one `key` to the next.

    `first`: number of the first frame. `packets`: frames in decode order, and packets
    that may be skipped. `times`: of the frames in display order, in ticks.
    `fit`: payload in force, None = the shipped painter. `tracks`: payloads that stood among its
    packets. `summary`: payload of that packet, None without one. `is_damaged`: its end is missing,
    `lost_frames` frames of it as far as that is known.
    """

    first: int
    fit: bytes | None
    packets: list[Packet] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    tracks: list[bytes] = field(default_factory=list)
    summary: bytes | None = None
    is_damaged: bool = False
    lost_frames: int = 0

    @property
    def frames(self) -> int:
        return sum(packet.is_frame for packet in self.packets)


class GopSource:
    """GOPs of a stream, one after another. `metadata`: payload of that packet, once the first GOP
    was given. `end`: when the last frame ends, in ticks, once all were given. `report_error` is
    called with timestamps that cannot be read, which then count as lost."""

    def __init__(
        self,
        header: SequenceHeader,
        events: Iterable[Packet | Loss],
        limits: Limits = DEFAULT,
        report_error: Callable[[str], None] | None = None,
    ) -> None:
        self._events = events
        self._report_error = report_error
        self._most = limits.side_memory
        self._held_bytes = 0
        fmt = header.format
        self._timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
        self._fit: bytes | None = None
        self._tracks: list[bytes] = []
        self._summary: bytes | None = None
        #: Packets of unknown type that go with the next frame.
        self._extra: list[Packet] = []
        self._count = 0
        self.metadata = b""
        #: Of the whole file, as its encoder measured it.
        self.psnr_y: float | None = None
        #: `model` packets of the file, and `attachment` packets before its first frame.
        self.models: list[Packet] = []
        self.attachments: list[Packet] = []
        self.end = header.start_pts

    def __iter__(self) -> Iterator[Gop]:
        """Raises `DamagedStreamError`, `LimitError` for a GOP that takes too much memory. Frames
        after a loss are left out up to the next `key`."""
        gop: Gop | None = None
        is_broken = False
        for event in self._events:
            self._count_bytes(event)
            if isinstance(event, Loss):
                is_broken = is_broken or event.breaks_gop
                self._summary = None
                self._extra.clear()
                if event.loses_side_data:
                    self._timing.mark_lost()
                if gop is not None and event.is_between_gops:
                    yield self._finish(gop)
                    gop = None
                if gop is None:
                    self._skip(event.frames)
                    continue
                gop.is_damaged = gop.is_damaged or event.breaks_gop or event.suspect_frames > 0
                gop.lost_frames += event.frames
                if event.is_proven_wrong:
                    gop.lost_frames += gop.frames
                    gop.packets.clear()
            elif event.kind is Kind.FIT:
                self._fit = event.payload
            elif event.kind is Kind.SUMMARY:
                self._summary = event.payload if self._summary is None else self._summary
            elif event.kind is Kind.TIMING:
                self._read_timing(event.payload)
            elif event.kind is Kind.METADATA:
                self.metadata = self.metadata or event.payload
            elif event.kind is Kind.TRACKS:
                self._tracks.append(event.payload)
            elif event.kind is Kind.MODEL:
                self.models.append(event)
            elif event.kind is Kind.ATTACHMENT:
                self.attachments += [event] if gop is None and not self._count else []
            elif event.kind is Kind.QUALITY:
                self.psnr_y = read_quality(event)
            elif event.kind is Kind.EXTRA:
                if event.is_copied:
                    self._extra.append(event)
            elif event.kind is Kind.UNKNOWN:
                self._refuse(event)
            elif event.kind is Kind.KEY:
                if gop is not None:
                    yield self._finish(gop)
                gop, is_broken = Gop(self._count, self._fit), False
                self._add(gop, event)
                self._timing.start_gop()
            elif gop is not None and event.kind is Kind.INTER:
                self._add(gop, event)
        if gop is not None:
            gop.packets += self._extra
            yield self._finish(gop)
        self.end = self._times(1)[0]

    def _add(self, gop: Gop, packet: Packet) -> None:
        """The next frame of a GOP, after the packets that may be skipped before it."""
        # A summary anywhere in the GOP belongs to it.
        gop.summary = self._summary if gop.summary is None else gop.summary
        self._summary = None
        gop.packets += [*self._extra, packet]
        self._extra = []

    def _refuse(self, packet: Packet) -> None:
        """A packet that must be understood: an error, or left out when repairing."""
        what = f"a packet of type {packet.type} needs a newer version of gvcodec"
        if self._report_error is None:
            raise FormatVersionError(what, code="newer-packet")
        self._report_error(f"{what}, it is left out")

    def _read_timing(self, payload: bytes) -> None:
        try:
            self._timing.send(payload)
        except DamagedStreamError as error:
            if self._report_error is None:
                raise
            self._report_error(str(error))
            self._timing.mark_lost()

    def _times(self, frames: int) -> list[int]:
        try:
            return [self._timing.receive() for _ in range(frames)]
        except DamagedStreamError as error:
            if self._report_error is None:
                raise
            self._report_error(str(error))
            # Damaged timestamps are ignored: these frames get nominal times.
            self._timing.restart(self._count)
            return [self._timing.receive() for _ in range(frames)]

    def _finish(self, gop: Gop) -> Gop:
        gop.times = self._times(gop.frames)
        self._count += gop.frames
        self._skip(gop.lost_frames)
        gop.tracks, self._tracks = self._tracks, []
        self._held_bytes = 0
        return gop

    def _count_bytes(self, event: Packet | Loss) -> None:
        if isinstance(event, Packet):
            self._held_bytes += len(event.payload) + OBJECT_BYTES
        if self._held_bytes > self._most:
            raise LimitError(
                f"a GOP takes more than {self._most >> 20} MiB (--max-memory)", code="limit-memory"
            )

    def _skip(self, frames: int) -> None:
        self._times(frames)
        self._count += frames


def pairs_of_gops(gops: GopSource) -> Iterator[tuple[Gop, Gop | None]]:
    """Each with the one after it, None after the last."""
    before: Gop | None = None
    for gop in gops:
        if before is not None:
            yield before, gop
        before = gop
    if before is not None:
        yield before, None


class Splicer:
    """Writes GOPs to a new stream. `tracks`: writer of its copied tracks, None without any;
    `track_layout`: those that it was made for. `models`: as for `Decoder`, which makes the base
    hash."""

    def __init__(
        self,
        stream: BinaryIO,
        header: SequenceHeader,
        threads: int,
        limits: Limits = DEFAULT,
        models: Sequence[str | Path] = (),
    ) -> None:
        fmt = header.format
        self.header = header
        self.writer = Writer(stream, header)
        self._tick = fmt.time_base
        self._timing = PtsEncoder(header.start_pts, fmt.frame_rate, fmt.time_base)
        # It does not know when frames are shown.
        limits = replace(limits, max_fps=NO_LIMITS.max_fps)
        self._decoder = Decoder(header, True, threads, models, limits=limits)
        self._fit: bytes | None = None
        self.tracks: TrackWriter | None = None
        self.track_layout: TrackReader | None = None
        #: Payload of the `metadata` packet, `model` and `attachment` packets, to be set before the
        #: first GOP is written.
        self.metadata = b""
        self.models: list[Packet] = []
        self.attachments: Iterable[Packet] = ()

    def add_tracks(self, layout: TrackReader) -> None:
        """The new stream has the tracks of this one."""
        self.track_layout, self.tracks = layout, TrackWriter(layout.tracks)

    def shift_packet(self, packet: TrackPacket, tick: Fraction, shift: Fraction) -> TrackPacket:
        """A packet of a copied track in ticks of the new stream, `shift` seconds later."""
        assert self.tracks is not None
        mine = self.tracks.ticks[packet.track]
        pts, duration, *hidden = (
            round(ticks * tick / mine) for ticks in (packet.pts, packet.duration, *packet.hidden)
        )
        later = pts + round(shift / mine)
        return replace(packet, pts=later, duration=duration, hidden=(hidden[0], hidden[1]))

    def send_track_packet(self, packet: TrackPacket) -> None:
        if self.tracks is not None:
            self.tracks.send(packet)

    def write(self, gop: Gop, shift: int = 0) -> None:
        """The next GOP, `shift` ticks later. Raises `DamagedStreamError` when it cannot be
        decoded."""
        for model in self.models if not self.writer.frames else ():
            self.writer.write(model)
        if self.metadata and not self.writer.frames:
            self.writer.write(Packet(Kind.METADATA, self.metadata))
        for attachment in self.attachments if not self.writer.frames else ():
            self.writer.write(attachment)
        if gop.summary is not None and not gop.is_damaged:
            self.writer.write(Packet(Kind.SUMMARY, gop.summary))
        if gop.fit != self._fit:
            self.writer.write(Packet(Kind.FIT, gop.fit if gop.fit is not None else BASE_WEIGHTS))
            self._fit = gop.fit
        for pts in gop.times:
            self._timing.send(pts + shift)
        if late := self._timing.pop_payload(self.writer.frames):
            self.writer.write(Packet(Kind.TIMING, late))
        self._write_tracks()
        for packet in gop.packets:
            self._decoder.send_packet(packet)
            self.writer.write(packet)
            while self._decoder.receive_frame() is not None:
                pass

    def finish(self, end: int) -> bytes:
        """`end`: when the last frame ends, in ticks. Gives the base hash."""
        if not self.writer.frames:
            raise DamagedStreamError("there is no frame left", code="no-frames")
        self._timing.send(end)
        if late := self._timing.pop_payload():
            self.writer.write(Packet(Kind.TIMING, late))
        self._write_tracks()
        self._decoder.flush()
        self.writer.finish(self._decoder.base_hash)
        return self._decoder.base_hash

    def _write_tracks(self) -> None:
        if self.tracks is not None and self.tracks.waiting:
            self.writer.write(Packet(Kind.TRACKS, self.tracks.pop()))
