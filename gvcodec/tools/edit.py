"""Cuts streams and joins them at keyframes, without encoding anything again: pixels stay equal, rendered ones too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import BinaryIO

from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.media.metadata import Metadata
from gvcodec.media.tracks import TrackReader
from gvcodec.tools.gops import Gop, GopSource, Splicer

_OTHER_TRACKS = "the streams have different tracks of sound or subtitles"


@dataclass(frozen=True, slots=True)
class Cut:
    """What was kept: frame numbers in the original and seconds since its first frame."""

    first: int
    frames: int
    begin: float
    end: float


def cut(
    reader: Reader,
    output: BinaryIO,
    begin: Fraction,
    end: Fraction | None,
    threads: int = 0,
    limits: Limits = DEFAULT,
) -> Cut:
    """Write the GOPs that are on screen between `begin` and `end` (seconds since the first frame; None = to the last).

    Timestamps begin at 0 unless the first frame is kept. Raises `UsageError` when nothing is left, `DamagedStreamError`.
    """
    header = reader.header
    tick = header.format.time_base
    source = GopSource(header, reader.packets(), limits)
    splicer: Splicer | None = None
    tracks = _Tracks(limits)
    kept = first = left = shift = ended = 0
    span: tuple[Fraction | None, Fraction | None] = (None, None)
    for gop, following in _with_next(source):
        tracks.read(gop)
        stop = source.end if following is None else following.times[0]
        if _seconds(stop, header) > begin and (end is None or _seconds(gop.times[0], header) < end):
            if splicer is None:
                first, left = gop.first, gop.times[0]
                shift = -left if first else 0
                splicer = Splicer(output, replace(header, start_pts=left + shift), threads, limits)
                begun = left * tick if first else None
                until = None if end is None else header.start_pts * tick + end
                metadata = Metadata.unpack(source.metadata).during(begun, until, shift * tick)
                splicer.metadata = metadata.pack()
            # What comes before the first frame and after the last belongs to the piece that holds them.
            span = (left * tick if first else None, stop * tick if following is not None else None)
            tracks.hand_on(splicer, *span, shift * tick)
            splicer.write(gop, shift)
            kept, ended = kept + gop.frames, stop
        elif splicer is not None:
            tracks.hand_on(splicer, *span, shift * tick)
        else:
            tracks.drop_before(gop.times[0] * tick)
    if splicer is None:
        raise UsageError(f"the stream ends at {float(_seconds(source.end, header)):g} s, nothing is left")
    splicer.finish(ended + shift)
    return Cut(first, kept, float(_seconds(left, header)), float(_seconds(ended, header)))


def cat(
    readers: Sequence[Reader], output: BinaryIO, threads: int = 0, limits: Limits = DEFAULT
) -> tuple[int, list[str]]:
    """Write streams one after another, return the number of frames and what is left out, a line each. Raises `UsageError`
    when they do not fit together."""
    first = readers[0].header
    for reader in readers[1:]:
        _check_alike(first, reader)
    splicer = Splicer(output, first, threads, limits)
    end = first.start_pts
    tick = first.format.time_base
    notes: list[str] = []
    for reader in readers:
        source = GopSource(reader.header, reader.packets(), limits)
        shift = end - reader.header.start_pts
        tracks = _Tracks(limits)
        try:
            for gop in source:
                if reader is readers[0] and not gop.first:
                    Metadata.unpack(source.metadata)
                    splicer.metadata = source.metadata
                tracks.read(gop)
                tracks.hand_on(splicer, None, None, shift * tick)
                splicer.write(gop, shift)
            if reader is not readers[0] and (lost := Metadata.unpack(source.metadata)):
                # It belongs to the start of the file, which may be on its way already.
                notes.append(f"{reader.name}: {', '.join(lost.parts())} left out, the first stream's hold")
        except DamagedStreamError as error:
            raise reader.named(error) from error
        end = source.end + shift
    splicer.finish(end)
    return splicer.writer.frames, notes


class _Tracks:
    """Packets of copied tracks between a stream and a splicer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reader: TrackReader | None = None

    def read(self, gop: Gop) -> None:
        for payload in gop.tracks:
            if self._reader is None:
                self._reader = TrackReader(payload, self._limits)
            else:
                self._reader.send(payload)

    def drop_before(self, seconds: Fraction) -> None:
        reader = self._reader
        while reader is not None and reader.waiting:
            if reader.waiting[0].pts * reader.ticks[reader.waiting[0].track] >= seconds:
                return
            reader.waiting.popleft()

    def hand_on(self, splicer: Splicer, begin: Fraction | None, end: Fraction | None, shift: Fraction) -> None:
        """Packets met so far that begin within these seconds go on, `shift` seconds later; earlier ones are dropped."""
        reader = self._reader
        if reader is None:
            if splicer.tracks is not None:
                raise UsageError(_OTHER_TRACKS)
            return
        if splicer.tracks is None and not splicer.writer.frames:
            splicer.add_tracks(reader)
        if splicer.tracks is None or (splicer.tracks.head, splicer.tracks.ticks) != (reader.head, reader.ticks):
            raise UsageError(_OTHER_TRACKS)
        later = []
        for packet in reader.waiting:
            seconds = packet.pts * reader.ticks[packet.track]
            if end is not None and seconds >= end:
                later.append(packet)
            elif begin is None or seconds >= begin:
                splicer.send_track_packet(packet, shift)
        reader.waiting.clear()
        reader.waiting.extend(later)


def _with_next(gops: GopSource) -> Iterator[tuple[Gop, Gop | None]]:
    before: Gop | None = None
    for gop in gops:
        if before is not None:
            yield before, gop
        before = gop
    if before is not None:
        yield before, None


def _seconds(pts: int, header: SequenceHeader) -> Fraction:
    """Seconds since the first frame."""
    return (pts - header.start_pts) * header.format.time_base


def _check_alike(first: SequenceHeader, reader: Reader) -> None:
    other = reader.header
    for part, mine, theirs in (("", first, other), ("format ", first.format, other.format)):
        for entry in fields(mine):
            if entry.name in ("start_pts", "format"):
                continue
            left, right = getattr(mine, entry.name), getattr(theirs, entry.name)
            if left != right:
                shown = tuple(value.hex() if isinstance(value, bytes) else value for value in (left, right))
                raise UsageError(
                    f"{reader.name} does not fit: {part}{entry.name.replace('_', ' ')} {shown[1]}, not {shown[0]}"
                )
