"""A piece of a stream for `gvcodec decode`: frames from a time on, at most so many, with their
sound.

By the index of a file only the GOPs are decoded that hold wanted frames. On a pipe, and where
damage is to be ignored, all frames are decoded and those before the piece are dropped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from gvcodec.bitstream import Kind, Reader
from gvcodec.codec.decoder import DecodedFrame, Decoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import Limits
from gvcodec.media.metadata import Metadata
from gvcodec.media.tracks import TrackReader
from gvcodec.video import Video


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames from `start` seconds after the first one on, before `end` (None = to the last), at
    most `frames` of them (None = all); true unless it is the whole."""

    start: Fraction = Fraction(0)
    frames: int | None = None
    end: Fraction | None = None

    def __bool__(self) -> bool:
        return self.start > 0 or self.frames is not None or self.end is not None


@dataclass(slots=True)
class Indexed:
    """A piece found by the index: `frames` one after another, how many there are, and what goes
    with them."""

    frames: Iterator[DecodedFrame]
    count: int
    metadata: Metadata
    tracks: TrackReader | None


def find_piece(
    piece: Piece, path: str, reader: Reader, decoder: Decoder, with_tracks: bool, limits: Limits
) -> Indexed:
    """The piece of the stream at `path`, which `reader` reads from its start.

    Raises `UsageError` for a piece without frames, `DamagedStreamError`.
    """
    video = Video(path, decoder=decoder, limits=limits)
    first = video.first_at(piece.start)
    stop = len(video) if piece.frames is None else min(len(video), first + piece.frames)
    if piece.end is not None:
        with contextlib.suppress(UsageError):  # it is after the last frame
            stop = min(stop, video.first_at(piece.end))
    if stop <= first:
        raise UsageError(f"{reader.name}: no frame begins in the part that is wanted")
    tick = reader.header.format.time_base
    begin = video.pts_of(first) * tick if piece.start > 0 else None
    end = None if stop == len(video) else video.pts_of(stop) * tick
    metadata, tracks = Metadata(), None
    try:
        for packet in reader.packets():
            if packet.kind is Kind.METADATA:
                metadata = metadata or Metadata.unpack(packet.payload)
            elif packet.kind is Kind.TRACKS and tracks is None and with_tracks:
                tracks = TrackReader(packet.payload, limits)
                tracks.keep(begin, end)
            elif packet.kind is Kind.TRACKS and tracks is not None:
                tracks.send(packet.payload)
            elif packet.is_frame and tracks is None:
                # What describes the tracks precedes the first frame: there are none.
                break
    except DamagedStreamError as error:
        raise reader.name_file(error) from error
    return Indexed(video.decode_range(first, stop), stop - first, metadata, tracks)
