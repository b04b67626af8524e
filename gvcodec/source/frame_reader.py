"""Decoded frames of a source in display order, with rising timestamps, from its beginning or from
any later place. Times are in ticks of the video's time base.

    frames = FrameReader(demuxer)
    first = frames.next()                       # an `av.VideoFrame` and its time, or None
    first = frames.seek_shown(first, target)    # the first one of a part that begins at `target`

Raises `MediaError`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import av

from gvcodec.errors import MediaError
from gvcodec.source.demuxer import NEVER, Demuxer
from gvcodec.source.opening import PictureFiles
from gvcodec.source.timeline import MOST_BETWEEN, DisplayTimes, has_timestamps, may_jump, rising
from gvcodec.types import time_in_part

TimedFrame: TypeAlias = tuple[av.VideoFrame, int]
#: Kinds of files whose frames have the times of packets in their order, or times that FFmpeg
#: guesses: read from their beginning.
_BY_COUNT = ("avi", "asf")
#: Seconds before the first frame of a span that are tried: MPEG-TS is sought by decoding times.
_EARLIER = (0, 1, 5)
#: Seconds before a keyframe where packets of tracks are still of use.
_EARLY_TRACKS = 30


@dataclass(frozen=True, slots=True)
class Span:
    """`frames` frames from `begin` (ticks of the file) on; `check`: of their marks; `seeks`:
    whether seeking may find the first."""

    begin: int
    frames: int
    check: int
    seeks: bool = True


class InexactSeekError(MediaError):
    """A container gives other frames after seeking than when it is read in one go."""


class FrameReader:
    """`pictures`: numbered ones, which are read instead of the packets of `demuxer`. `undecodable`:
    number of packets that could not be decoded; `times_by_packet`: whether frames have the times of
    packets."""

    _skip_to: int | None
    _resumed: int | None
    _again: TimedFrame | None

    def __init__(self, demuxer: Demuxer, pictures: PictureFiles | None = None) -> None:
        self._demuxer, self._pictures = demuxer, pictures
        self._restart()

    @property
    def times_by_packet(self) -> bool:
        return self._times.by_packet

    def next(self) -> TimedFrame | None:
        """The next frame; None after the last one."""
        if self._again is not None:
            frame, self._again = self._again, None
            return frame
        return next(self._frames, None)

    def seek_shown(self, first: TimedFrame, target: Fraction) -> TimedFrame | None:
        """The first frame of the part that begins at `target`; `first`: the frame that was read
        last. Seeks to the keyframe before it where that gives the same frames."""
        demuxer = self._demuxer
        if self._pictures is not None:
            self._frames = self._pictures.read(math.ceil(target))
            return self.next()
        is_timed = has_timestamps(demuxer.container) and not demuxer.counts_frames
        if demuxer.file.seekable and is_timed and demuxer.kind not in _BY_COUNT:
            if not demuxer.kind.startswith("mov"):
                self._skip_to = math.floor(target)
            elif demuxer.seek(math.floor(target)):
                self._restart()
                self._resumed = None
        frame = self._read_until(target, first)
        if self._resumed is None or self._resumed > target:
            # The keyframe before it was missed.
            demuxer.reopen()
            self._restart()
            frame = self._read_until(target)
        return frame

    def seek_exactly(self, span: Span) -> TimedFrame:
        """The first frame of a span. Raises `InexactSeekError` where seeking misses it."""
        file = self._demuxer.file
        for early in _EARLIER if span.seeks else (None,):
            if early is not None:
                begin = span.begin - round(early / self._demuxer.tick)
                if self._demuxer.seek(begin):
                    self._restart()
            try:
                first = self.next()
                while first is not None and first[1] < span.begin:
                    first = self.next()
            except MediaError as error:
                file.raise_stopped()
                if early is None:
                    raise
                # Demuxers of files without an index may stand anywhere after seeking.
                raise InexactSeekError(str(error)) from error
            if first is not None and first[1] == span.begin:
                return first
        file.raise_stopped()
        raise InexactSeekError(f"{self._demuxer.name}: seeking misses the frame at {span.begin}")

    def _restart(self) -> None:
        """Decode from where the demuxer is."""
        self._skip_to = None
        #: When the first frame is shown after something was left out, about.
        self._resumed = NEVER
        self._times = DisplayTimes(self._demuxer.kind)
        self.undecodable = 0
        self._again = None
        frames = self._pictures.read() if self._pictures is not None else self._decode()
        self._frames = rising(frames, max(1, round(self._demuxer.period)))

    def _read_until(self, target: Fraction, first: TimedFrame | None = None) -> TimedFrame | None:
        """The first frame from then on; one that is on screen then begins then."""
        before, after = None, first or self.next()
        while after is not None and after[1] < target:
            before, after = after, self.next()
        if before is None:
            return after
        frame, begin = before
        end = after[1] if after is not None else begin + (frame.duration or 0)
        time = time_in_part(begin, end, target, self._demuxer.period)
        if time is None:
            return after
        if after is None:
            frame.duration = end - time
        self._again = after
        return frame, time

    def _decode(self) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """Frames in display order, with their timestamps where the file has any."""
        demuxer = self._demuxer
        for packet in self._skip(demuxer.video_packets()):
            if packet.size:
                self._times.send(packet)
            if packet.is_corrupt and not may_jump(demuxer.container):
                # Not read to its end: a decoder would fill it with gray.
                self.undecodable += 1
                self._times.lose(packet)
                continue
            try:
                for frame in packet.decode():
                    reorders = bool(demuxer.stream.codec_context.has_b_frames)
                    pts = self._times.receive(frame, reorders)
                    if self._resumed is None:
                        self._resumed = pts
                    yield frame, None if demuxer.counts_frames else pts
            except av.FFmpegError:
                self.undecodable += 1
                self._times.lose(packet)

    def _skip(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """Without those before the last keyframe at or before `_skip_to`, while that is set, whose
        own time its frame has when the file is read in one go."""
        group: list[av.Packet] = []
        has_skipped = False
        highest, untimed = NEVER, 0
        for packet in packets:
            exact = packet.is_keyframe and packet.pts is not None and packet.pts > highest
            exact = exact and untimed <= MOST_BETWEEN
            if packet.size:
                untimed = untimed + 1 if packet.pts is None else 0
                highest = highest if packet.pts is None else max(highest, packet.pts)
            if self._skip_to is None:
                yield packet
                continue
            time = packet.pts if packet.dts is None else packet.dts
            if packet.size and (time is None or time <= self._skip_to):
                if exact and packet.pts is not None and packet.pts <= self._skip_to:
                    has_skipped = has_skipped or bool(group)
                    group.clear()
                    early = packet.pts * self._demuxer.tick - _EARLY_TRACKS
                    self._demuxer.waiting.forget(early)
                group.append(packet)
                continue
            self._skip_to = None
            if has_skipped:
                self._demuxer.stream.codec_context.flush_buffers()
                self._times, self._resumed = DisplayTimes(self._demuxer.kind), None
            yield from group
            yield packet
