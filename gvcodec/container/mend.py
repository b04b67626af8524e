"""Rebuilds a stream from a one-file that was cut, joined or damaged after it was written.

GOPs that are there go to a new stream. Frames are shown by the container's clock, which may be
coarse: one that comes about when the frame rate expects it comes then."""

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import BinaryIO

from gvcodec.base.standard.payloads import strip
from gvcodec.bitstream import Kind, Loss, Packet, SequenceHeader
from gvcodec.bitstream.metadata_obu import EntryType, closes, read_header, read_place
from gvcodec.codec.gops import BASE_WEIGHTS, Gop, GopSource, Splicer
from gvcodec.container.demux import Demuxer, TimedUnit, Tracks
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import Limits, check
from gvcodec.media.metadata import MAX_PAYLOAD, Metadata
from gvcodec.util.messages import count_noun

#: Seconds by which the clock of a container may be off: Matroska rounds to milliseconds.
_COARSE = Fraction(1, 1000)
#: Lines about damage that are given.
_MAX_LINES = 20


@dataclass(slots=True)
class _Survey:
    """`header`: the first that can be read, `lines` about damage, `ours`: any metadata of ours,
    `trusted`: all keyframes have readable metadata."""

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
        packed = unit.data_of(EntryType.HEADER)
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
    """Write the stream, give a line for each change. Raises `DamagedStreamError`, `LimitError`."""
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
        header = replace(header, painter_id=None, gvc1d_id=None)
        lines.append("base frames only: the packets for painting are damaged")
    check(header, False, limits)
    tracks = demuxer.tracks()
    try:
        spliced = _Spliced(demuxer, tracks, out, header, limits)
        pieces: deque[_Piece] = deque()
        for gop in GopSource(header, _events(demuxer, pieces), limits):
            if not spliced.send(pieces.popleft(), gop):
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
    """A GOP: `place`: number of its first frame, if it can be read; `packed`: sequence header;
    `seconds` of its frames by the container; `metadata`: payload in force."""

    place: int | None
    packed: bytes | None
    seconds: list[Fraction] = field(default_factory=list)
    metadata: bytes = b""
    crc: int = 0


def _events(demuxer: Demuxer, pieces: deque[_Piece]) -> Iterator[Packet | Loss]:
    """Packets of all GOPs, each of which is added to `pieces`. Raises `DamagedStreamError` for
    frames that the encoder did not write."""
    for timed in demuxer.units():
        unit, packed = timed.unit, timed.unit.data_of(EntryType.HEADER)
        key = packed is not None or timed.key
        if key:
            place = unit.data_of(EntryType.PLACE)
            pieces.append(_Piece(None if place is None else read_place(place), packed))
            # Each GOP has its weights with it.
            yield Packet(Kind.FIT, BASE_WEIGHTS)
        elif not pieces:
            continue
        piece = pieces[-1]
        if unit.damage:
            yield Loss(broken=False, side=True)
        for entry in unit.entries:
            if entry.what not in (EntryType.PACKET, EntryType.STATE):
                continue
            if entry.packet.kind is Kind.METADATA:
                piece.metadata = piece.metadata or entry.packet.payload
            elif entry.packet.kind in (Kind.FIT, Kind.SUMMARY, Kind.LATENT, Kind.EXTRA):
                yield entry.packet
        payload = strip("av1", unit.payload)
        piece.seconds.append(timed.seconds)
        piece.crc = zlib.crc32(payload, piece.crc)
        yield Packet(Kind.KEY if key else Kind.INTER, payload)
        check, frames = unit.data_of(EntryType.GOP), len(piece.seconds)
        if check is not None and not closes(check, frames, piece.crc):
            first = piece.place or 0
            raise DamagedStreamError(
                f"frames {first} to {first + frames - 1} are not those that were written "
                f"(checksum of the GOP)"
            )


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
        self._tick = header.format.time_base
        #: The first frame, by the container's clock (seconds) and in the new stream (ticks).
        self._begin, self._first = Fraction(0), 0
        #: Seconds after it at which the next one is expected, ticks of the last one.
        self._expected, self._last = Fraction(0), -1
        self._lines: list[str] = []

    def send(self, piece: _Piece, gop: Gop) -> bool:
        """Take the next GOP; whether there can be more: one of another stream ends this one."""
        if piece.packed is not None and not self._fits(piece.packed):
            count = count_noun(self._splicer.writer.frames if self._splicer else 0, "frame")
            self._lines.append(f"ends after {count}, where another stream begins")
            return False
        splicer = self._splicer or self._open_splicer(piece)
        times = [self._time(seconds) for seconds in piece.seconds]
        if self._tracks is not None:
            self._tracks.copy_until(self._begin + self._expected)
        if gop.fit == BASE_WEIGHTS or self._header.painter_id is None:
            gop.fit = None
        if self._header.gvc1d_id is None:
            gop.drop_latents()
        gop.times = times
        splicer.write(gop)
        return True

    def finish(self) -> list[str]:
        """Lines about what is there."""
        if self._splicer is None:
            raise DamagedStreamError("there is no frame left")
        if self._tracks is not None:
            self._tracks.copy_until(None)
        end = self._first + round(self._expected / self._tick)
        self._splicer.finish(max(end, self._last + 1))
        frames = count_noun(self._splicer.writer.frames, "frame")
        return [*self._lines, f"{frames} of a file that was changed; hashes are made anew"]

    def _fits(self, packed: bytes) -> bool:
        other = read_header(packed)
        painter, tokens = self._header.painter_id, self._header.gvc1d_id
        one, two = (
            replace(header, start_pts=0, painter_id=None, gvc1d_id=None)
            for header in (other, self._header)
        )
        alike = painter in (None, other.painter_id) and tokens in (None, other.gvc1d_id)
        return one == two and alike

    def _time(self, seconds: Fraction) -> int:
        """When the next frame is shown, in ticks of the new stream."""
        since = seconds - self._begin
        if abs(since - self._expected) <= _COARSE:
            since = self._expected
        self._expected = since + 1 / self._header.format.frame_rate
        self._last = max(self._first + round(since / self._tick), self._last + 1)
        return self._last

    def _open_splicer(self, piece: _Piece) -> Splicer:
        self._begin = piece.seconds[0]
        whole = piece.place == 0 and piece.packed is not None
        self._first = read_header(piece.packed).start_pts if whole and piece.packed else 0
        self._last = self._first - 1
        header = replace(self._header, start_pts=self._first)
        splicer = Splicer(self._out, header, 0, self._limits)
        splicer.metadata = self._metadata(piece.metadata)
        if self._tracks is not None:
            self._tracks.shift = self._begin - self._first * self._tick
            self._tracks.begin = None if whole else self._begin
            splicer.tracks = self._tracks.writer
        self._splicer = splicer
        return splicer

    def _metadata(self, payload: bytes) -> bytes:
        """What the stream says; title and chapters from the container, which cuts them."""
        later = self._first * self._tick - self._begin
        told = self._demuxer.describe().during(None, None, later)
        found = replace(Metadata.unpack(payload), title=told.title, chapters=told.chapters).pack()
        return found if len(found) <= MAX_PAYLOAD else payload
