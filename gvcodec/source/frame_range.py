"""The part of a source that is wanted: its frames with their times, where it begins and ends.

    frames = FrameRange(reader, demuxer, start, limit, span, options)
    frames.opening                      # the frame that size and colours follow from
    for frame, time, pts in frames: ... # its time in the file, and in the video (ticks)

Raises `MediaError`, `UsageError`; `InexactSeekError` after a span that is another one than
planned."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction

import av

from gvcodec.errors import MediaError, UsageError
from gvcodec.input_options import InputOptions
from gvcodec.planes import checksum
from gvcodec.source.demuxer import Demuxer
from gvcodec.source.frame_reader import FrameReader, InexactSeekError, Span, TimedFrame
from gvcodec.source.side_data import CAPTIONS, side_data
from gvcodec.source.timeline import end_of_track

#: Part of a period by which a frame may come early (Matroska rounds to milliseconds).
_SLOT_JITTER = Fraction(1, 10)


def add_mark(check: int, pts: int, samples: int) -> int:
    """The checksum of marks with one more; `pts` since the first frame of the video."""
    return zlib.crc32(struct.pack("<qI", pts, samples), check)


class FrameRange:
    """Frames from `start` seconds on, before `options.until`, at most `limit`; or a `span`. With
    `options.fps` the first of each period of a lower frame rate.

    Attributes: `rate` and `tick` (seconds) of the frames that come out; `drops` (whether frames are
    left out for a lower rate); `shift` (ticks of the file that go from all timestamps: time begins
    with the first frame); `start_pts` (of the first frame: 0, except for a later span); `stop`
    (time in the file before which frames are wanted). Once all were read: `end` (when the last one
    ends, ticks of `tick`; None = by the frame rate), `count`, `seconds`, `concealed_frames`
    (damaged ones among them), `has_ended` (whether the source has no more)."""

    def __init__(
        self,
        reader: FrameReader,
        demuxer: Demuxer,
        start: Fraction,
        limit: int | None,
        span: Span | None,
        options: InputOptions,
    ) -> None:
        self._reader, self._demuxer, self._span = reader, demuxer, span
        self.start, self.limit = start, limit if span is None else span.frames
        self.drops = options.fps is not None and options.fps < demuxer.rate
        self.rate, self.tick = demuxer.rate, demuxer.tick
        if options.fps is not None and self.drops:
            self.rate, self.tick = options.fps, 1 / options.fps
        self._last_slot = -1
        self._skipped_captions = b""
        self.stop: Fraction | None = None
        self.end: int | None = None
        self.count = self.concealed_frames = 0
        self.seconds, self.has_ended = 0.0, False
        opening = self._first = reader.next()
        if opening is not None:
            opening = self._find_first(opening, options.until if span is None else None)
        if self._first is None or opening is None:
            when = f" after {float(start):g} s" if start > 0 else ""
            is_cut_off = span is None and demuxer.is_cut_off(start <= 0)
            why = ": the file is cut off" if is_cut_off else ""
            raise MediaError(f"{demuxer.name}: no video frame could be decoded{when}{why}")
        self.opening, self.shift = opening
        self.start_pts = self._first[1] - self.shift
        demuxer.zero, demuxer.keeps_early = self.shift * demuxer.tick, start <= 0

    def last_end(self) -> Fraction | None:
        """When wanted frames end (seconds, clock of the file); None = with it."""
        ends = [] if self.stop is None else [self.stop * self._demuxer.tick]
        if self.limit is not None:
            begin = (self.shift + self.start_pts) * self._demuxer.tick
            ends.append(begin + self.limit / self.rate)
        return min(ends, default=None)

    def take_captions(self) -> bytes:
        """Captions of frames that a lower frame rate left out since the last call."""
        captions, self._skipped_captions = self._skipped_captions, b""
        return captions

    def __iter__(self) -> Iterator[tuple[av.VideoFrame, int, int]]:
        demuxer, following = self._demuxer, self._first
        self._first = None
        if following is None:
            raise MediaError(f"{demuxer.name}: the frames have been read already")
        frame, last = following
        check = 0
        while following is not None and self._includes(following[1]):
            frame, last = following
            demuxer.hand_on(last * demuxer.tick + 1 / demuxer.rate)
            if (pts := self._pts_of(last - self.shift)) is not None:
                if self._span is not None:
                    check = add_mark(check, last - self.shift, checksum(frame))
                # Recordings that begin between keyframes have damaged frames first.
                self.concealed_frames += bool(frame.is_corrupt and self.count)
                yield frame, last, pts
                self.count += 1
            else:
                self._skipped_captions += side_data(frame).get(CAPTIONS, b"")
            following = self._reader.next()
        if self._span is not None and check != self._span.check:
            demuxer.file.raise_stopped()
            raise InexactSeekError(
                f"{demuxer.name}: seeking gives other frames than reading in one go"
            )
        self._finish(frame, last, following)

    def _find_first(self, opening: TimedFrame, until: float | None) -> TimedFrame | None:
        """Sets the first wanted frame. Gives the frame that the format follows from, at whose time
        the video begins."""
        demuxer = self._demuxer
        if until is not None:
            self.stop = opening[1] + Fraction(until).limit_denominator(1_000_000) / demuxer.tick
        first: TimedFrame | None = opening
        if self.start > 0:
            # All parts of the video have the format of its first frame.
            first = self._reader.seek_shown(opening, opening[1] + self.start / demuxer.tick)
        self._first = first
        if self._span is not None:
            self._first = self._reader.seek_exactly(self._span)
        if self._first is not None and not self._includes(self._first[1]):
            raise UsageError(f"{demuxer.name}: the part that is wanted holds no frame")
        return first

    def _includes(self, pts: int) -> bool:
        within = self.stop is None or pts < self.stop
        return within and (self.limit is None or self.count < self.limit)

    def _pts_of(self, time: int) -> int | None:
        """A frame's timestamp; None if a lower frame rate leaves it out."""
        if not self.drops:
            return time
        jitter = min(_SLOT_JITTER, self.rate / self._demuxer.rate / 4)
        slot = math.floor(time * self._demuxer.tick * self.rate + jitter)
        if slot <= self._last_slot:
            return None
        self._last_slot = slot
        return slot

    def _finish(self, frame: av.VideoFrame, last: int, following: TimedFrame | None) -> None:
        """After the last frame: tracks until its end, and final attributes."""
        demuxer = self._demuxer
        length = (last - self.shift) * demuxer.tick + 1 / demuxer.rate
        self.seconds, self.has_ended = float(length), following is None
        self.end = self._end_of(frame, last, following)
        if following is None:
            demuxer.hand_on(None)
        elif demuxer.tracks is not None:
            demuxer.copy_tracks(last * demuxer.tick + 1 / demuxer.rate)
        if demuxer.tracks is not None:
            demuxer.tracks.finish()

    def _end_of(self, frame: av.VideoFrame, last: int, following: TimedFrame | None) -> int | None:
        demuxer, step = self._demuxer, self._demuxer.period
        if following is not None:
            end = Fraction(following[1])
            if self.stop is not None and end > self.stop:
                end = max(self.stop, last + step)
        elif not frame.duration or demuxer.counts_frames:
            return None
        else:
            end = Fraction(max(last + frame.duration, demuxer.still_until))
            if not demuxer.timeline.jumps:
                end = max(end, Fraction(end_of_track(demuxer.stream, demuxer.last_packet, step)))
        # A field lasts half a frame; with three fields it is shown half a frame longer.
        if step / 2 <= end - last <= step * 3 / 2:
            return None
        return round((end - self.shift) * demuxer.tick / self.tick)
