"""Matches frames of a stream with frames of its source: by time, since the stream may be a piece of
it and have a lower frame rate. A smaller stream is enlarged to be compared."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import UsageError
from gvcodec.media.metadata import Metadata
from gvcodec.media.planes import Scaler
from gvcodec.media.reader import Frame, VideoReader
from gvcodec.types import Planes

#: Part of a frame's duration that times may be off: clocks of containers are coarse.
_OFF = Fraction(1, 4)
#: How far from the source's shape a smaller stream's may be, whose sides are even.
_OTHER_SHAPE = Fraction(1, 20)


class Originals:
    """Frames of `source` (planes), asked for in display order of a stream with this header.
    `enlarge`: makes pictures of a smaller stream as large as the source's. Raises `UsageError`
    where they have another shape, or are larger."""

    def __init__(self, source: VideoReader, header: SequenceHeader) -> None:
        fmt, own = header.format, source.format
        self.enlarge: Scaler | None = None
        if (own.width, own.height) != (fmt.width, fmt.height):
            self.enlarge = Scaler(fmt, (own.width, own.height))
        shape = Fraction(fmt.width * own.height, fmt.height * own.width)
        if self.enlarge and (abs(shape - 1) > _OTHER_SHAPE or fmt.width >= own.width):
            raise UsageError(
                f"{source.name} has {own.width}×{own.height} samples, the stream "
                f"{fmt.width}×{fmt.height}"
            )
        self._source, self._header = source, header
        self._frames: Iterator[Frame] = iter(source)
        self._next = next(self._frames, None)
        # Where the source has no times, they are by the rate that it was encoded with.
        self._tick = own.time_base if source.has_times else 1 / fmt.frame_rate
        #: Seconds of the source that come before the stream.
        self._offset: Fraction | None = None

    @property
    def enlarged_to(self) -> tuple[int, int] | None:
        """Width and height that smaller pictures are made, None = nothing is."""
        if self.enlarge is None:
            return None
        return self.enlarge.format.width, self.enlarge.format.height

    def as_large(self, planes: Planes) -> Planes:
        """A picture of the stream, as large as the source's."""
        return self.enlarge.apply(planes) if self.enlarge else planes

    def at(self, pts: int, metadata: bytes) -> Planes | None:
        """The frame that is shown at this time of the stream, whose `metadata` packet has come;
        None where the source has none then."""
        fmt = self._header.format
        if self._offset is None:
            self._offset = self._find_offset(metadata)
        begin = (pts - self._header.start_pts) * fmt.time_base + self._offset
        begin -= min(1 / fmt.frame_rate, 1 / self._source.format.frame_rate) * _OFF
        while self._next is not None and self._next.pts * self._tick < begin:
            self._next = next(self._frames, None)
        if self._next is None or self._next.pts * self._tick >= begin + 1 / fmt.frame_rate:
            return None
        found, self._next = self._next, next(self._frames, None)
        return found.planes

    def _find_offset(self, metadata: bytes) -> Fraction:
        start = Metadata.unpack(metadata).source_start if metadata else 0
        first = Fraction(start, 1_000_000)
        if not start:
            # Older streams keep the clock of the source.
            first = self._header.start_pts * self._header.format.time_base
        source = self._source
        return max(Fraction(0), first - source.shift * source.format.time_base)
