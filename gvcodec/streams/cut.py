"""Cuts streams at keyframes, without encoding anything again: pixels stay equal, painted ones
too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO

from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.codec.gops import GopSource, Splicer, with_next
from gvcodec.errors import UsageError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.media.metadata import Metadata
from gvcodec.streams.spliced_tracks import SplicedTracks


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
    """Write the GOPs that are on screen between `begin` and `end` (seconds since the first frame;
    None = to the last).

    Timestamps begin at 0 unless the first frame is kept. Raises `UsageError` when nothing is left,
    `DamagedStreamError`.
    """
    header = reader.header
    tick = header.format.time_base
    source = GopSource(header, reader.packets(), limits)
    splicer: Splicer | None = None
    tracks = SplicedTracks(limits)
    kept = first = left = shift = ended = 0
    span: tuple[Fraction | None, Fraction | None] = (None, None)
    for gop, following in with_next(source):
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
            # What comes before the first frame and after the last belongs to the piece that holds
            # them.
            span = (left * tick if first else None, stop * tick if following is not None else None)
            tracks.hand_on(splicer, *span, shift * tick)
            splicer.write(gop, shift)
            kept, ended = kept + gop.frames, stop
        elif splicer is not None:
            tracks.hand_on(splicer, *span, shift * tick)
        else:
            tracks.drop_before(gop.times[0] * tick)
    if splicer is None:
        raise UsageError(
            f"the stream ends at {float(_seconds(source.end, header)):g} s, nothing is left"
        )
    splicer.finish(ended + shift)
    return Cut(first, kept, float(_seconds(left, header)), float(_seconds(ended, header)))


def _seconds(pts: int, header: SequenceHeader) -> Fraction:
    """Seconds since the first frame."""
    return (pts - header.start_pts) * header.format.time_base
