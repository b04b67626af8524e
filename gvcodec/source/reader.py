"""Reads any video that PyAV reads, from a file, a URI or a pipe, or numbered pictures, as frames of
`Planes` with timestamps.

    with VideoReader("in.mp4") as reader:
        for frame in reader:
            frame.planes, frame.pts

Time begins with the first frame. Orientation is applied, frames of another size are scaled to that
of the first, other pixel formats are converted. `reader.notes` says what is changed or left out, a
line each. Raises `MediaError`, `UsageError`."""

import contextlib
import itertools
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO, Self, cast

import av

from gvcodec.bitstream.metadata_obu import is_painted
from gvcodec.errors import MediaError, UsageError
from gvcodec.source.conversion import Conversion, location_of, read_stored
from gvcodec.source.copying import DISCARD_ALL, Waiting, copier_of
from gvcodec.source.deinterlacing import deinterlace
from gvcodec.source.inputs import (
    DEFAULT_RATE,
    InputOptions,
    holds_more,
    list_pictures,
    video_behind,
)
from gvcodec.source.metadata import Metadata
from gvcodec.source.opening import InputFile, read_pictures, reason, video_of
from gvcodec.source.planes import checksum
from gvcodec.source.side_data import CAPTIONS, side_data
from gvcodec.source.source_metadata import metadata_of
from gvcodec.source.timeline import (
    MOST_BETWEEN,
    DisplayTimes,
    Timeline,
    end_of_track,
    ends_before_another,
    has_timestamps,
    may_jump,
    rate_of_stream,
    rising,
)
from gvcodec.source.tracks import TrackCopier
from gvcodec.types import Planes, VideoFormat, is_still
from gvcodec.util.messages import count_noun
from gvcodec.util.uris import is_uri, local_path

#: Part of a period by which a frame may come early (Matroska rounds to milliseconds).
_SLOT_JITTER = Fraction(1, 10)
#: Kinds of files whose frames have the times of packets in their order, or times that FFmpeg
#: guesses: read from their beginning.
_BY_COUNT = ("avi", "asf")
#: Seconds before the wanted frame that are tried: MPEG-TS is sought by decoding times.
_EARLIER = (0, 1, 5)
#: Seconds before a keyframe where packets of tracks are still of use.
_EARLY_TRACKS = 30
#: Bytes of a boundary of multipart JPEG.
_MOST_OF_A_MARK = 128
#: Packets among which those before the first keyframe are looked for.
_OPENING = 2000


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in display order; `pts` in ticks of the video's time base. `new_size`: it had
    another size than the previous one. `captions`: closed captions, as FFmpeg's A53_CC has them."""

    planes: Planes
    pts: int
    new_size: bool = False
    captions: bytes = b""


@dataclass(frozen=True, slots=True)
class FrameMark:
    """A frame read in one go: time in ticks of the file, whether decoding can begin there, a
    checksum of its samples, and bytes of its closed captions."""

    pts: int
    key: bool
    samples: int
    caption_bytes: int = 0


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


def _and(count: int, what: str, joint: str = " and ") -> str:
    """How a line goes on about `count` others, if any."""
    return f"{joint}{count_noun(count, what)}" if count else ""


def add_mark(check: int, pts: int, samples: int) -> int:
    """The checksum of marks with one more; `pts` since the first frame of the video."""
    return zlib.crc32(struct.pack("<qI", pts, samples), check)


class VideoReader:
    """Frames of the first video stream, from `start` seconds on, at most `frames` of them, or of
    these a `span`, without tracks. "-" reads standard input, an open binary file that can seek is
    read as one; `path` may be a URI, a folder of numbered pictures or a name like `f%04d.png`.
    `input_options`: what the input does not state itself.

    Attributes: `format`, `expected` (number of frames, estimated, None when unknown), `pictures`
    (paths of numbered ones), `notes`, `tracks` (of sound and subtitles), `metadata`, `start_pts`
    (of the first frame: 0, except for a later span), `shift` (what went from all timestamps),
    `tick` (seconds), `end` (once all were read: when the last one ends; None = by the frame rate),
    `stop` (timestamp in the file before which frames are wanted), `incomplete` (once all were read:
    what the source lacks of them, in words)."""

    format: VideoFormat
    expected_frames: int | None
    metadata: Metadata
    start_pts: int
    shift: int
    _drops: bool
    _last_slot: int
    _skipped_captions: bytes
    _first: tuple[av.VideoFrame, int] | None
    _conversion: Conversion

    def __init__(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        start: float = 0.0,
        frames: int | None = None,
        span: Span | None = None,
        input_options: InputOptions | None = None,
    ) -> None:
        name = str(path if isinstance(path, str | os.PathLike) else getattr(path, "name", "input"))
        self.name = "standard input" if name == "-" else name
        self.notes: list[str] = []
        self.incomplete, self._is_painted = "", False
        self.tracks: TrackCopier | None = None
        # A time in decimal digits, not the binary number just above it: a frame at exactly this
        # time counts.
        self._start = Fraction(start).limit_denominator(1_000_000)
        self._limit = frames if span is None else span.frames
        self._span = span
        self._input_options = input_options or InputOptions()
        self.end: int | None = None
        self._only_tracks: Iterator[av.Packet] | None = None
        #: Names of pictures whose end is missing.
        self._cut_off: list[str] = []
        named = isinstance(path, str | os.PathLike) and name != "-" and not is_uri(name)
        self.pictures = list_pictures(local_path(name)) if named else None
        self._opened = InputFile(self.pictures[0] if self.pictures else path, self.name)
        try:
            self._begin()
        except BaseException:
            self._opened.close()
            raise

    def _begin(self) -> None:
        self._set_stream()
        self._rate = self._frame_rate()
        self.tick = Fraction(self._stream.time_base or Fraction(1, 90000))
        if self.pictures or self._untimed:
            self.tick = 1 / self._rate
        if self._span is None and not self.pictures:
            self.tracks, notes = self._make_copier()
            self.notes += notes
        self._restart()
        frame, shift = self._find_first()
        #: Ticks that go from all timestamps: time begins with the first frame.
        self.shift = shift
        assert self._first is not None
        self.start_pts = self._first[1] - shift
        if self._is_painted:
            self.notes.append("painting of a gvcodec file left out: decode it first to keep it")
        self._settle_format(frame)
        self.metadata = self._metadata_of(frame)
        self.expected_frames = self._estimate()

    def _find_first(self) -> tuple[av.VideoFrame, int]:
        """Sets the first wanted frame. Gives the frame that the format follows from, at whose time
        the video begins. Raises `UsageError`, `MediaError`."""
        opening = self._first = next(self._timed, None)
        self.stop: Fraction | None = None
        if self._input_options.until is not None and self._span is None and opening is not None:
            until = Fraction(self._input_options.until).limit_denominator(1_000_000)
            self.stop = opening[1] + until / self.tick
        if self._first is not None and self._start > 0:
            # All parts of the video have the format of its first frame.
            opening = self._first = self._first_since(self._first, self._start)
        if self._span is not None:
            self._first = self._first_of(self._span)
        if self._first is not None and not self._wants(self._first[1], 0):
            raise UsageError(f"{self.name}: the part that is wanted holds no frame")
        if self._first is None or opening is None:
            when = f" after {float(self._start):g} s" if self._start > 0 else ""
            why = ": the file is cut off" if self._is_cut_off() else ""
            raise MediaError(f"{self.name}: no video frame could be decoded{when}{why}")
        return opening

    def _settle_format(self, frame: av.VideoFrame) -> None:
        """Size, colours and frame rate, by the first frame: others are converted to them."""
        y4m = self._opened.head if self._container.format.name == "yuv4mpegpipe" else None
        stored = read_stored(self._stream)
        location = location_of(self._stream, frame, stored.chroma_location, y4m)
        self._conversion = Conversion(
            frame, self._stream, location, stored, self._rate, self.tick, self._input_options
        )
        self.notes += self._conversion.notes
        self._conversion.notes = self.notes
        self.format = self._conversion.format
        fps, self._last_slot = self._input_options.fps, -1
        self._drops = fps is not None and fps < self._rate
        if fps is not None and self._drops:
            self.format = replace(self.format, frame_rate=fps, time_base=1 / fps)
            self.notes.append(f"{fps} of {self._rate} frames a second kept")

    def _set_stream(self) -> None:
        self._stream = video_of(self._container)
        # With threads for frames what is damaged takes good frames before it along.
        self._stream.thread_type = "SLICE"

    def _frame_rate(self) -> Fraction:
        rate, self._untimed = self._input_options.rate, False
        if self.pictures:
            return rate or DEFAULT_RATE
        if rate is not None:
            if has_timestamps(self._container):
                raise UsageError(f"{self.name}: has times of its own, --rate does not go with it")
            self._untimed = True
            return rate
        return rate_of_stream(self._stream)

    def _make_copier(self) -> tuple[TrackCopier | None, list[str]]:
        return copier_of(self._container, self._stream, self._input_options)

    def _metadata_of(self, frame: av.VideoFrame) -> Metadata:
        copied = self.tracks.streams if self.tracks else []
        metadata, notes = metadata_of(self._container, frame, [self._stream, *copied])
        self.notes += notes
        if metadata.tags:
            self.notes.append(f"kept as metadata: {', '.join(name for name, _ in metadata.tags)}")
        begin = self.shift * self.tick
        return metadata.during(begin, self._last_end(), -begin)

    def _last_end(self) -> Fraction | None:
        """When wanted frames end (seconds, clock of the file); None = with it."""
        ends = [] if self.stop is None else [self.stop * self.tick]
        if self._limit is not None:
            begin = (self.shift + self.start_pts) * self.tick
            ends.append(begin + self._limit / self.format.frame_rate)
        return min(ends, default=None)

    def _estimate(self) -> int | None:
        total = len(self.pictures) if self.pictures else self._stream.frames or None
        if total is None and self._stream.duration and self._stream.time_base:
            total = round(self._stream.duration * self._stream.time_base * self._rate)
        if total is None and self._container.duration:
            length = self._container.duration
            if self._container.format.name.startswith("matroska"):
                # It says when it ends. A recording need not begin at 0.
                length -= max(0, self._container.start_time or 0)
            total = round(Fraction(length, av.time_base) * self._rate)
        if total is not None and self._input_options.until is not None:
            total = min(total, math.ceil(self._input_options.until * self._rate))
        if total is not None:
            total = max(1, total - int(self._start * self._rate))
            total = math.ceil(total * min(Fraction(1), self.format.frame_rate / self._rate))
        return total if self._limit is None else min(self._limit, total or self._limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        self._opened.close()

    def __iter__(self) -> Iterator[Frame]:
        frames: Iterator[tuple[av.VideoFrame, tuple[int, bytes]]] = (
            (frame, (pts, self._take_captions())) for frame, _, pts in self._wanted()
        )
        if self._input_options.deinterlace:
            frames = deinterlace(frames, self.name, self.notes)
        for frame, (pts, earlier) in frames:
            planes, new_size, captions = self._conversion.apply(frame)
            has_captions = not self._input_options.no_subtitles
            yield Frame(planes, pts, new_size, has_captions * (earlier + captions))

    def _take_captions(self) -> bytes:
        """Captions of frames that a lower frame rate left out since the last call."""
        captions, self._skipped_captions = self._skipped_captions, b""
        return captions

    def marks(self) -> Iterator[FrameMark]:
        """The frames that iterating gives, decoded only. No frames can be read after that."""
        for frame, time, _ in self._wanted():
            captions = side_data(frame).get(CAPTIONS, b"")
            yield FrameMark(time, bool(frame.key_frame), checksum(frame), len(captions))

    def _wanted(self) -> Iterator[tuple[av.VideoFrame, int, int]]:
        """Frames with their timestamps in the file and as they are given. Raises `InexactSeekError`
        after a span that is another one than planned."""
        first, self._first = self._first, None
        if first is None:
            raise MediaError(f"{self.name}: the frames have been read already")
        following: tuple[av.VideoFrame, int] | None = first
        last, count, check = 0, 0, 0
        self._concealed, self._skipped_captions = 0, b""
        while following is not None and self._wants(following[1], count):
            frame, last = following
            self._hand_on(last * self.tick + 1 / self._rate)
            if (pts := self._slot(last - self.shift)) is not None:
                if self._span is not None:
                    check = add_mark(check, last - self.shift, checksum(frame))
                # Recordings that begin between keyframes have damaged frames first.
                self._concealed += bool(frame.is_corrupt and count)
                yield frame, last, pts
                count += 1
            else:
                self._skipped_captions += side_data(frame).get(CAPTIONS, b"")
            following = next(self._timed, None)
        if self._span is not None and check != self._span.check:
            self._opened.raise_stopped()
            raise InexactSeekError(
                f"{self.name}: seeking gives other frames than reading in one go"
            )
        self._length = float((last - self.shift) * self.tick + 1 / self._rate)
        self.end = self._end_of(frame, last, following and following[1])
        if following is None:
            self._hand_on(None)
        elif self.tracks is not None:
            self.copy_tracks(last * self.tick + 1 / self._rate)
        if self.tracks is not None:
            self.tracks.finish()
        self._finish_notes(count, following is None)

    def _wants(self, pts: int, count: int) -> bool:
        within = self.stop is None or pts < self.stop
        return within and (self._limit is None or count < self._limit)

    def _slot(self, pts: int) -> int | None:
        """A frame's new timestamp; a lower frame rate keeps the first of a period, else None."""
        if not self._drops:
            return pts
        rate = self.format.frame_rate
        jitter = min(_SLOT_JITTER, rate / self._rate / 4)
        slot = math.floor(pts * self.tick * rate + jitter)
        if slot <= self._last_slot:
            return None
        self._last_slot = slot
        return slot

    def _end_of(self, frame: av.VideoFrame, last: int, following: int | None) -> int | None:
        """When the last frame ends, as `end` says it."""
        step = 1 / self._rate / self.tick
        if following is not None:
            end = Fraction(following)
            if self.stop is not None and end > self.stop:
                end = max(self.stop, last + step)
        elif not frame.duration or self._untimed or self.pictures:
            return None
        else:
            end = Fraction(max(last + frame.duration, self._stands_until))
            if not self._timeline.jumps:
                end = max(end, Fraction(end_of_track(self._stream, self._last_packet, step)))
        # A field lasts half a frame; with three fields it is shown half a frame longer.
        if step / 2 <= end - last <= step * 3 / 2:
            return None
        return round((end - self.shift) * self.tick / self.format.time_base)

    def _restart(self) -> None:
        self._timeline = Timeline(self._container, 1 / self._rate)
        self._skip_to: int | None = None
        #: When the first frame is shown after something was left out, about.
        self._resumed: int | None = -(1 << 63)
        self._times = DisplayTimes(self._container.format.name)
        self._packets = self._undecodable = 0
        #: Why nothing could be read any more before the end.
        self._stopped = ""
        self._last_packet: av.Packet | None = None
        #: When the last packet without data ends.
        self._stands_until = -(1 << 63)
        #: Timestamps of the first packets.
        self._opening: list[int] = []
        self._waiting = Waiting(self._timeline)
        frames = read_pictures(self.pictures, 0, self._cut_off) if self.pictures else self._decode()
        self._timed = rising(frames, max(1, round(1 / self._rate / self.tick)))

    def _decode(self) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """Frames in display order, with their timestamps where the file has any."""
        for packet in self._skip(self._demux()):
            if packet.size:
                self._times.send(packet)
            if packet.is_corrupt and not may_jump(self._container):
                # Not read to its end: a decoder would fill it with gray.
                self._undecodable += 1
                self._times.lose(packet)
                continue
            try:
                for frame in packet.decode():
                    pts = self._times.receive(frame, bool(self._stream.codec_context.has_b_frames))
                    if self._resumed is None:
                        self._resumed = pts
                    yield frame, None if self._untimed else pts
            except av.FFmpegError:
                self._undecodable += 1
                self._times.lose(packet)

    def _demux(self) -> Iterator[av.Packet]:
        """Packets of the video on one clock; packets of copied tracks are queued on the way."""
        streams = [self._stream, *self.tracks.streams] if self.tracks else [self._stream]
        for packet in self._read(streams):
            if packet.stream.index != self._stream.index:
                if packet.pts is not None:
                    self._waiting.take(packet)
                continue
            if packet.size:
                self._packets += 1
                if self._packets == 1:
                    self._is_painted = is_painted(bytes(packet))
                self._last_packet = packet
                self._timeline.move(packet)
                # What an edit list leaves out is decoded, but not shown.
                shown = packet.pts is not None and not packet.is_discard
                if shown and len(self._opening) < _OPENING:
                    self._opening.append(cast(int, packet.pts))
            elif packet.pts is not None:
                # The picture before it stands: nothing is lost, and nothing to be decoded.
                self._timeline.move(packet)
                self._stands_until = packet.pts + (packet.duration or 0)
                continue
            yield packet

    def _read(self, streams: Sequence[av.stream.Stream]) -> Iterator[av.Packet]:
        packets = self._timeline.straighten(self._container.demux(streams), self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self._opened.raise_stopped()
                if not self._packets:
                    why = self._opened.why(error)
                    raise MediaError(f"{self.name}: reading stopped: {why}") from error
                # What came before is kept, as FFmpeg's program keeps it.
                self._stopped = "" if self._has_read_all() else reason(error)
                packet = av.Packet()
                packet.stream = self._stream
                yield packet  # without data: empties the decoder
                return
            self._opened.raise_stopped()
            if packet is None:
                return
            yield packet

    def _skip(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """Without those before the last keyframe at or before `_skip_to`, while that is set, whose
        own time its frame has when the file is read in one go."""
        group: list[av.Packet] = []
        skipped = False
        highest, untimed = -(1 << 63), 0
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
                    skipped = skipped or bool(group)
                    group.clear()
                    early = packet.pts * self.tick - _EARLY_TRACKS
                    self._waiting.forget(early)
                group.append(packet)
                continue
            self._skip_to = None
            if skipped:
                self._stream.codec_context.flush_buffers()
                self._times, self._resumed = DisplayTimes(self._container.format.name), None
            yield from group
            yield packet

    def _first_since(
        self, first: tuple[av.VideoFrame, int], start: Fraction
    ) -> tuple[av.VideoFrame, int] | None:
        """The first frame that is shown so long after the first one, or later."""
        target = first[1] + start / self.tick
        if self.pictures:
            self._timed = read_pictures(self.pictures, math.ceil(start * self._rate), self._cut_off)
            return next(self._timed, None)
        kind = self._container.format.name
        if self._opened.seekable and self.has_times and kind not in _BY_COUNT:
            if kind.startswith("mov"):
                with contextlib.suppress(av.FFmpegError):
                    self._container.seek(math.floor(target), stream=self._stream)
                    self._restart()
                    self._resumed = None
            else:
                self._skip_to = math.floor(target)
        shown = self._shown_at(target, first)
        if self._resumed is None or self._resumed > target:
            # The keyframe before it was missed.
            self._reopen()
            shown = self._shown_at(target)
        return shown

    def _shown_at(
        self, target: Fraction, first: tuple[av.VideoFrame, int] | None = None
    ) -> tuple[av.VideoFrame, int] | None:
        """The first frame from then on; one that is on screen begins then."""
        before, after = None, first or next(self._timed, None)
        while after is not None and after[1] < target:
            before, after = after, next(self._timed, None)
        if before is None:
            return after
        frame, begin = before
        end = after[1] if after is not None else begin + (frame.duration or 0)
        if not is_still(begin, end, target, 1 / self._rate / self.tick):
            return after
        if after is None:
            frame.duration = end - math.ceil(target)
        else:
            self._timed = itertools.chain([after], self._timed)
        return frame, math.ceil(target)

    def _first_of(self, span: Span) -> tuple[av.VideoFrame, int]:
        """The first frame of a span; none where seeking misses it."""
        for early in _EARLIER if span.seeks else (None,):
            if early is not None:
                with contextlib.suppress(av.FFmpegError):
                    begin = span.begin - round(early / self.tick)
                    self._container.seek(begin, stream=self._stream)
                    self._restart()
            try:
                first = next((first for first in self._timed if first[1] >= span.begin), None)
            except MediaError as error:
                self._opened.raise_stopped()
                if early is None:
                    raise
                # Demuxers of files without an index may stand anywhere after seeking.
                raise InexactSeekError(str(error)) from error
            if first is not None and first[1] == span.begin:
                return first
        self._opened.raise_stopped()
        raise InexactSeekError(f"{self.name}: seeking misses the frame at {span.begin}")

    def _reopen(self) -> None:
        self._opened = self._opened.reopen()
        self._set_stream()
        if self.tracks is not None:
            # Packets know the container that they are of.
            self.tracks, _ = self._make_copier()
        self._restart()

    def _hand_on(self, end: Fraction | None) -> None:
        """Copy the packets of tracks that begin before `end` (seconds on the clock of the file)."""
        self._waiting.copy(self.tracks, self.shift * self.tick, end, self._start <= 0)

    def copy_tracks(self, end: Fraction | None) -> None:
        """Hand on packets of tracks that begin before `end` (seconds on the clock of the file; None
        = all), without decoding. No frames can be read after that."""
        streams = list(self.tracks.streams) if self.tracks else []
        if self._only_tracks is None:
            if streams and not self._container.format.name.startswith("mov"):
                # The clock of the video is that of all, and may jump.
                streams.insert(0, self._stream)
            else:
                self._stream.discard = cast("av.stream.Discard", DISCARD_ALL)
            self._only_tracks = self._read(streams) if streams else iter(())
        # With sound, subtitles are not waited for: they are rare, and that would read all.
        kinds = {s.type for s in streams} & {"audio"} or {"subtitle"}
        behind = {stream.index for stream in streams if stream.type in kinds}
        while behind or end is None:
            packet = next(self._only_tracks, None)
            if packet is None:
                break
            if packet.stream.index == self._stream.index:
                self._timeline.move(packet)
            elif packet.pts is not None:
                seconds = self._waiting.take(packet)
                if end is not None and seconds is not None and seconds >= end:
                    behind.discard(packet.stream.index)
        self._hand_on(end)

    def measure_tracks(self) -> int:
        """Bytes of the tracks, about, without decoding. No frames can be read after that."""
        if self.tracks is None:
            return 0
        self.copy_tracks(self._last_end())
        self.tracks.finish()
        return len(self.tracks.take())

    def _finish_notes(self, frames: int, ended: bool) -> None:
        note, damaged = self.notes.append, self._undecodable
        if jumps := self._timeline.jumps:
            more = _and(len(jumps) - 1, "more time")
            after = f"{float(jumps[0] - self.shift * self.tick):.2f} s{more}"
            note(f"timestamps begin anew after {after}: what follows goes on without a gap")
        if ended and ends_before_another(self._container, self._stream, self._last_packet):
            note(f"the video ends after {self._length:.2f} s; one that begins there is left out")
        # FFmpeg shows the first of several pictures in some kinds of files, in others all.
        paths = self.pictures or []
        if not paths and ended and frames == 1 and self._start <= 0:
            paths = [self.name]
        if several := [path for path in paths if holds_more(path)]:
            more = _and(len(several) - 1, "other file", " and of ")
            note(f"only the first picture of {several[0]}{more} is coded")
        if moving := [path for path in self.pictures or [self.name] if video_behind(path)]:
            more = _and(len(moving) - 1, "other file", " and of ")
            note(f"the video behind the picture of {moving[0]}{more} is left out (a motion photo)")
        if early := self._count_early():
            note(
                f"{count_noun(early, 'frame')} before the first picture that can be decoded left "
                "out: the recording begins between keyframes"
            )
            damaged = max(0, damaged - early)
        losses = self._count_damaged_pictures()
        if self._cut_off:
            more = _and(len(dict.fromkeys(self._cut_off)) - 1, "other")
            note(f"{self._cut_off[0]}{more}: the picture is cut off")
        if ended and self._is_cut_off():
            total = self._stream.frames if self._container.format.name.startswith("mov") else 0
            of = f" of {total}" if self._start <= 0 and total > frames else ""
            note(f"the file is cut off: it has {count_noun(frames, 'frame')}{of}")
            if self._last_packet is not None and damaged:
                damaged -= 1
            losses.append(self._missing(frames) or "its end is missing")
        elif ended and self._stopped:
            note(f"reading stopped after {self._length:.2f} s: {self._stopped}")
            losses.append(self._missing(frames) or "its end could not be read")
        elif ended and self._opened.has_gap():
            note("a part of the file cannot be read")
            losses.append(self._missing(frames) or "a part of it cannot be read")
        elif damaged or self._concealed:
            missing = self._missing(frames) if ended else ""
            if not missing and damaged:
                missing = f"{count_noun(damaged, 'frame')} could not be decoded"
            losses.append(missing)
        files = self._opened.files
        absent = [file for file in files if not os.path.isfile(file)]
        if ended and absent:
            lost = f"{len(absent)} of {count_noun(len(files), 'file')} of the playlist missing"
            note(lost)
            losses.append(lost)
        if self._concealed:
            concealed = count_noun(self._concealed, "frame is", "frames are")
            note(f"{concealed} damaged in the source")
            losses.append(f"{concealed} damaged")
        if damaged:
            note(f"{count_noun(damaged, 'damaged packet')} of the source left out")
        if self.tracks is not None and self.tracks.damaged:
            lost = count_noun(self.tracks.damaged, "damaged packet")
            note(f"{lost} of sound in the source left out")
        if self.tracks is not None and self.tracks.placed:
            cues = count_noun(self.tracks.placed, "cue")
            note(f"settings and names of {cues} of subtitles left out: text alone is kept")
        if self.tracks is not None and self.tracks.changed is not None:
            when = f"{float(self.tracks.changed):.2f} s"
            note(
                f"the sound changes its channels or its rate after {when}, which files "
                "like .mp4 and .mkv cannot say: --sound opus codes it with one form"
            )
        self.incomplete = ", ".join(filter(None, losses))

    def _count_damaged_pictures(self) -> list[str]:
        names = dict.fromkeys(self._cut_off)
        return [f"{len(names)} of {len(self.pictures or ())} pictures cut off"] if names else []

    def _missing(self, frames: int) -> str:
        """How many frames are missing where there are `frames`; "" where that is not known."""
        exact = bool(self._stream.frames)
        # Of a screen recording duration and frame rate do not tell the number of frames.
        sparse = not exact and 2 * frames < self.format.frame_rate * Fraction(self._length)
        if self.expected_frames is None or self.expected_frames <= frames or sparse:
            return ""
        about = "" if exact else "about "
        missing, total = self.expected_frames - frames, self.expected_frames
        return f"{about}{missing} of {about}{total} frames are missing"

    def _count_early(self) -> int:
        """Frames of a file before the first one that could be decoded."""
        if self._start > 0 or self._span is not None or self._times.by_packet or self._untimed:
            return 0
        return sum(pts < self.shift for pts in self._opening)

    def _is_cut_off(self) -> bool:
        last = self._last_packet
        if self.pictures or last is None or self._span is not None:
            return False
        return self._opened.ends_early(last, self._packets if self._start <= 0 else None)

    def _has_read_all(self) -> bool:
        """Whether nothing but a mark of the end is left: FFmpeg takes the last boundary of
        multipart JPEG for a broken picture."""
        last, size = self._last_packet, self._opened.size
        if last is None or last.pos is None or size is None:
            return False
        return last.pos + last.size + _MOST_OF_A_MARK >= size

    @property
    def size(self) -> int | None:
        """Bytes of the source, None where it is not known; of a pipe: those read so far."""
        if self.pictures:
            return sum(map(os.path.getsize, self.pictures))
        return self._opened.size

    @property
    def has_times(self) -> bool:
        """Whether timestamps are the source's own; else they follow from its frame rate."""
        own = has_timestamps(self._container)
        return own and not (self._untimed or self.pictures)

    @property
    def _container(self) -> av.container.InputContainer:
        return self._opened.container
