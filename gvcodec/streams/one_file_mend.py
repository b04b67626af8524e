"""A stream from a one-file that is not as it was written: cut, joined, or with damaged metadata.

GOPs that are there go to a new stream, as `gvcodec cut` and `cat` write it. Frames keep the times
that the stream gave them where a GOP follows the one before; else the container's clock counts.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import BinaryIO

from gvcodec.base.standard.payloads import strip
from gvcodec.bitstream import Kind, Packet, PtsDecoder, SequenceHeader
from gvcodec.bitstream.metadata_obu import Unit, What, closes, read_header, read_place
from gvcodec.errors import DamagedStreamError, LimitError
from gvcodec.limits import OBJECT_BYTES, Limits, check
from gvcodec.media.metadata import MAX_PAYLOAD, Chapter, Metadata
from gvcodec.streams.gops import Gop, Splicer
from gvcodec.streams.one_file_demux import Demuxer, TimedUnit, Tracks
from gvcodec.util.messages import counted

_MICRO = Fraction(1, 1_000_000)
#: Lines about damage that are given.
_MAX_LINES = 20


@dataclass(slots=True)
class _Survey:
    """What a look at all units finds. `header`: the first that can be read, `lines` about damage,
    `ours`: any metadata of ours, readable or not, `trusted`: all keyframes have readable
    metadata."""

    header: SequenceHeader | None = None
    lines: list[str] = field(default_factory=list)
    ours: bool = False
    trusted: bool = True
    frames: int = 0

    def send(self, timed: TimedUnit) -> None:
        unit, number = timed.unit, self.frames
        self.frames += 1
        self.ours = self.ours or bool(unit.entries or unit.damage)
        reasons = list(unit.damage)
        packed = unit.data_of(What.HEADER)
        if packed is not None:
            try:
                self.header = self.header or read_header(packed)
            except DamagedStreamError as error:
                reasons.append(str(error))
        elif timed.key and not reasons:
            reasons.append("no metadata OBU of ours with a keyframe")
        if reasons and (timed.key or packed is not None):
            self.trusted = False
        for reason in reasons:
            if len(self.lines) < _MAX_LINES:
                self.lines.append(f"frame {number}: {reason}")
            elif len(self.lines) == _MAX_LINES:
                self.lines.append("there is more damage, which is not listed")


def mend(demuxer: Demuxer, out: BinaryIO, name: str, limits: Limits) -> list[str]:
    """Write the stream, give a line for everything that is not as it was. Raises
    `DamagedStreamError` where nothing is left, `LimitError`."""
    survey = _Survey()
    for timed in demuxer.units():
        survey.send(timed)
    if not survey.ours:
        raise DamagedStreamError(f"{name}: not a gvcodec file (AV1 without our metadata)")
    lines = list(survey.lines)
    header = survey.header
    if header is None:
        header = SequenceHeader(demuxer.format(), "av1", Fraction(1), 0)
        lines.append("no sequence header can be read: size, times and colour are the container's")
    if not survey.trusted:
        header = replace(header, painter_id=None, tokens=False)
        lines.append("base frames only: the packets for painting are damaged")
    check(header, False, limits)
    tracks = demuxer.tracks()
    try:
        spliced = _Spliced(demuxer, tracks, out, header, limits)
        for gop in _gops(demuxer, limits):
            if not spliced.send(gop):
                break
        lines += spliced.finish()
    except DamagedStreamError as error:
        raise error if str(error).startswith(name) else DamagedStreamError(f"{name}: {error}")
    finally:
        if tracks is not None:
            tracks.close()
    return lines


@dataclass(slots=True)
class _Piece:
    """A GOP of the file. `place`: number of its first frame in the stream it comes from, None where
    that cannot be read; `seconds` of its frames by the container's clock; `whole`: it ends with its
    checksum."""

    place: int | None
    packed: bytes | None
    payloads: list[bytes] = field(default_factory=list)
    others: list[Packet] = field(default_factory=list)
    seconds: list[Fraction] = field(default_factory=list)
    fit: bytes | None = None
    summary: bytes | None = None
    metadata: bytes = b""
    timing: list[bytes] = field(default_factory=list)
    damaged: bool = False
    crc: int = 0

    @property
    def timed(self) -> bool:
        """Whether the times of its frames are known by the clock of its stream."""
        return self.place is not None and self.packed is not None and not self.damaged

    def send(self, timed: TimedUnit) -> None:
        """Take the next unit. Raises `DamagedStreamError` for frames that are not those of the
        encoder."""
        unit = timed.unit
        self.damaged = self.damaged or bool(unit.damage)
        for entry in unit.entries:
            if entry.what in (What.PACKET, What.STATE, What.TRAILER):
                self._take(entry.packet)
        payload = strip("av1", unit.payload)
        self.payloads.append(payload)
        self.seconds.append(timed.seconds)
        self.crc = zlib.crc32(payload, self.crc)
        check = unit.data_of(What.GOP)
        if check is not None and not closes(check, len(self.payloads), self.crc):
            raise DamagedStreamError(
                f"frames {self.place or 0} to {(self.place or 0) + len(self.payloads) - 1} are not "
                f"those that were written (checksum of the GOP)"
            )

    def _take(self, packet: Packet) -> None:
        if packet.kind is Kind.FIT:
            self.fit = packet.payload
        elif packet.kind is Kind.TIMING:
            self.timing.append(packet.payload)
        elif packet.kind is Kind.SUMMARY:
            self.summary = packet.payload
        elif packet.kind is Kind.METADATA:
            self.metadata = self.metadata or packet.payload


def _gops(demuxer: Demuxer, limits: Limits) -> Iterator[_Piece]:
    """GOPs one after another. Frames before the first keyframe cannot be decoded and are left
    out."""
    gop: _Piece | None = None
    held = 0
    for timed in demuxer.units():
        packed = timed.unit.data_of(What.HEADER)
        if packed is not None or timed.key:
            if gop is not None:
                yield gop
            gop, held = _Piece(_place(timed.unit), packed), 0
        if gop is not None:
            held += len(timed.unit.payload) + OBJECT_BYTES
            if held > limits.side_memory:
                raise LimitError(f"a GOP takes more than {limits.side_memory >> 20} MiB")
            gop.send(timed)
    if gop is not None:
        yield gop


def _place(unit: Unit) -> int | None:
    data = unit.data_of(What.PLACE)
    return None if data is None else read_place(data)


class _Spliced:
    """Pieces to a stream. The first one begins at 0, unless it is the first of its stream."""

    def __init__(
        self,
        demuxer: Demuxer,
        tracks: Tracks | None,
        out: BinaryIO,
        header: SequenceHeader,
        limits: Limits,
    ) -> None:
        self._demuxer, self._tracks, self._out = demuxer, tracks, out
        self._header, self._limits = header, limits
        self._splicer: Splicer | None = None
        #: Number that the next GOP has where it follows, None = unknown.
        self._next: int | None = None
        self._last = self._end = self._frames = 0
        #: Ticks from the clock of the stream to that of the new one, None = not known yet.
        self._shift: int | None = None
        #: The first frame: by the container's clock in seconds, and in ticks of the new stream.
        self._begin, self._first = Fraction(0), 0
        self._first_place: int | None = 0
        self._joined = False
        self._lines: list[str] = []

    def send(self, piece: _Piece) -> bool:
        """Take the next GOP; whether there can be more: one of another stream ends this one."""
        if piece.packed is not None and not self._fits(piece.packed):
            self._lines.append(f"ends after {counted(self._frames, 'frame')}, where another begins")
            return False
        times = self._times(piece)
        follows = self._next is not None and piece.place == self._next
        splicer = self._splicer or self._opened(piece, times)
        if self._frames == 0 or not (follows and piece.timed and self._shift is not None):
            shift = self._place(piece) - times[0]
            self._shift = shift if piece.timed else self._shift
        else:
            shift = self._shift
        self._joined |= not follows and None not in (piece.place, self._next)
        self._last, self._end = times[-2] + shift, times[-1] + shift
        if self._tracks is not None:
            self._tracks.copy_until(self._begin + (self._end - self._first) * self._tick)
        packets = [
            Packet(Kind.INTER if number else Kind.KEY, payload)
            for number, payload in enumerate(piece.payloads)
        ]
        fit = piece.fit if self._header.painter_id is not None else None
        gop = Gop(self._frames, fit, packets, times[:-1], summary=piece.summary)
        splicer.write(gop, shift)
        self._frames += len(packets)
        place = self._next if piece.place is None else piece.place
        self._next = None if place is None else place + len(packets)
        return True

    def finish(self) -> list[str]:
        """Lines about what it is a piece of."""
        if self._splicer is None:
            raise DamagedStreamError("there is no frame left")
        if self._tracks is not None:
            self._tracks.copy_until(None)
        self._splicer.finish(self._end)
        if self._joined:
            count = counted(self._frames, "frame")
            self._lines.append(f"joined pieces, {count} in all; hashes are made anew")
        elif self._first_place is not None:
            last = self._first_place + self._frames - 1
            which = f"frames {self._first_place} to {last} of its stream"
            self._lines.append(f"a piece: {which}; hashes are made anew")
        return self._lines

    def _place(self, piece: _Piece) -> int:
        """When its first frame is shown by the container's clock, in ticks of the new stream."""
        if not self._frames:
            return self._first
        at = self._first + round((piece.seconds[0] - self._begin) / self._tick)
        return max(at, self._last + 1)

    @property
    def _tick(self) -> Fraction:
        return self._header.format.time_base

    def _fits(self, packed: bytes) -> bool:
        """Whether frames of this stream can follow."""
        other = read_header(packed)
        painter = self._header.painter_id
        one, two = (
            replace(header, start_pts=0, painter_id=None, tokens=False)
            for header in (other, self._header)
        )
        return one == two and painter in (None, other.painter_id)

    def _times(self, piece: _Piece) -> list[int]:
        """When its frames are shown and the last one ends, in ticks of the clock of its stream or
        of the container."""
        fmt, count = self._header.format, len(piece.payloads)
        if piece.timed:
            assert piece.place is not None and piece.packed is not None
            start = read_header(piece.packed).start_pts
            timing = PtsDecoder(start, fmt.frame_rate, fmt.time_base, self._limits)
            timing.restart(piece.place)
            for payload in piece.timing:
                timing.send(payload)
            return [timing.receive() for _ in range(count + 1)]
        times: list[int] = []
        for seconds in piece.seconds:
            at = round(seconds / self._tick)
            times.append(max(at, times[-1] + 1) if times else at)
        return [*times, times[-1] + max(1, round(1 / fmt.frame_rate / self._tick))]

    def _opened(self, piece: _Piece, times: list[int]) -> Splicer:
        self._first_place = piece.place
        self._begin = piece.seconds[0]
        self._first = times[0] if piece.place == 0 else 0
        header = replace(self._header, start_pts=self._first)
        splicer = Splicer(self._out, header, 0, self._limits)
        splicer.metadata = self._metadata(
            piece.metadata, self._first - times[0] if piece.timed else 0
        )
        if self._tracks is not None:
            self._tracks.shift = self._begin - self._first * self._tick
            self._tracks.begin = None if piece.place == 0 else self._begin
            splicer.tracks = self._tracks.writer
        self._splicer = splicer
        return splicer

    def _metadata(self, payload: bytes, moved: int) -> bytes:
        """What the stream says, `moved` ticks later; title and chapters from the container, which
        cuts them."""
        title, chapters = self._demuxer.describe()
        later = self._first * self._tick - self._begin
        found = replace(
            Metadata.unpack(payload).during(None, None, moved * self._tick),
            title=title,
            chapters=tuple(
                Chapter(round((begin + later) / _MICRO), round((end + later) / _MICRO), text)
                for begin, end, text in chapters
                if begin <= end
            ),
        ).pack()
        return found if len(found) <= MAX_PAYLOAD else payload
