"""Reads any video that PyAV reads, from a file or a pipe, as frames of `Planes` with timestamps.

    with VideoReader("in.mp4") as reader:
        for frame in reader:
            frame.planes, frame.pts

Rotation is applied, frame size has to stay the same, other pixel formats are converted
(`gvcodec.media.planes`). Everything that is changed or left out stands in `reader.notes`, one line
each. Raises `MediaError`."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Self

import av

from gvcodec.errors import MediaError
from gvcodec.media.metadata import Metadata, metadata_of
from gvcodec.media.pipes import HEAD, Pipe, Stream
from gvcodec.media.planes import is_rgb, planes_from_frame, rgb_matrix
from gvcodec.media.siting import CENTRE, LEFT, Rotation
from gvcodec.media.tracks import TrackCopier
from gvcodec.messages import counted
from gvcodec.types import Colour, Planes, VideoFormat

_FULL_RANGE = 2
_Y4M_LOCATIONS = {b"jpeg": CENTRE, b"mpeg2": LEFT, b"paldv": 2}
_MAX_RATE = 1000
#: FFmpeg's mark of tracks that nothing is to be read from.
_DISCARD_ALL = 48


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in display order; `pts` in ticks of the video's time base."""

    planes: Planes
    pts: int


@dataclass(frozen=True, slots=True)
class Span:
    """Frames from timestamp `begin` up to, but without, `end` (None = the last), in ticks of the
    file; `shift` goes from all timestamps."""

    begin: int
    end: int | None
    shift: int = 0


class VideoReader:
    """Frames of the first video stream, from `start` seconds on, at most `frames` of them, or those
    of a `span`, without tracks. "-" reads standard input, an open binary file that can seek is read
    as one.

    Attributes: `format` (`VideoFormat`), `expected` (number of frames, estimated, None when
    unknown), `notes`, `tracks` (`TrackCopier` of sound and subtitles or None), `metadata`,
    `start_pts` (timestamp of the first frame), `shift` (what went from all timestamps)."""

    def __init__(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        start: float = 0.0,
        frames: int | None = None,
        span: Span | None = None,
    ) -> None:
        name = str(path if isinstance(path, str | os.PathLike) else getattr(path, "name", "input"))
        self.name = "standard input" if name == "-" else name
        self.notes: list[str] = []
        self.tracks: TrackCopier | None = None
        # A time in decimal digits, not the binary number just above it: a frame at exactly this
        # time counts.
        self._start = Fraction(start).limit_denominator(1_000_000)
        self._limit = frames
        self._span = span
        self._undecodable = 0
        #: Packets of copied tracks that were met, but whose time has not come.
        self._waiting: list[av.Packet] = []
        #: First bytes of the file.
        self._head = b""
        self._pipe: Pipe | None = None
        self._only_tracks: Iterator[av.Packet] | None = None
        try:
            self._container = self._open(path)
        finally:
            self._raise_stopped()
        try:
            self._stream = self._container.streams.video[0]
            self._stream.thread_type = "AUTO"
            self._origin = self._stream.start_time or 0
            self._tick = self._stream.time_base or Fraction(1, 90000)
            self._rate = self._frame_rate()
            if span is None:
                self._open_tracks()
            if start > 0:
                # A pipe cannot seek; frames before the start are then decoded and dropped.
                with contextlib.suppress(av.FFmpegError):
                    self._container.seek(
                        self._origin + int(self._start / self._tick), stream=self._stream
                    )
            self._decoded = self._decode()
            self._first = next(self._decoded, None) if span is None else self._first_of(path, span)
            if self._first is None:
                when = f" after {start:g} s" if start > 0 else ""
                raise MediaError(f"{self.name}: no video frame could be decoded{when}")
            pts = self._pts_of(self._first, None)
            #: Ticks that go from all timestamps: after a cut, time begins anew.
            self.shift = pts if start > 0 else span.shift if span else 0
            self.start_pts = pts - self.shift
            self.format = self._format_of(self._first)
            self.metadata = self._metadata_of(self._first)
            self.expected = self._estimate()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        first, self._first = self._first, None
        if first is None:
            raise MediaError(f"{self.name}: the frames have been read already")
        size = (first.width, first.height)
        frame: av.VideoFrame | None = first
        last: int | None = None
        count = 0
        while frame is not None and (self._limit is None or count < self._limit):
            if (frame.width, frame.height) != size:
                raise MediaError(
                    f"{self.name}: frame {count} is {frame.width}×{frame.height}, the video began "
                    f"as {size[0]}×{size[1]}"
                )
            last = self._pts_of(frame, last)
            self._copy_tracks((last + 1 / self._rate / self._tick) * self._tick)
            yield Frame(self._rotation.apply(planes_from_frame(frame)), last - self.shift)
            count += 1
            frame = next(self._decoded, None)
        if frame is None:
            self._copy_tracks(None)
        elif self.tracks is not None and last is not None:
            self._read_tracks((last + 1 / self._rate / self._tick) * self._tick)
        if self._undecodable:
            self.notes.append(
                f"{counted(self._undecodable, 'damaged packet')} of the source left out"
            )

    def _open(self, path: str | os.PathLike[str] | BinaryIO) -> av.container.InputContainer:
        try:
            if isinstance(path, str | os.PathLike) and str(path) != "-":
                container = self._open_file(path)
            else:
                self._pipe = (
                    Pipe(sys.stdin.buffer.read1)
                    if isinstance(path, str | os.PathLike)
                    else Stream(path)
                )
                container = av.open(self._pipe, metadata_errors="replace")
                self._head = self._pipe.head
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"{self.name}: {_reason(error)}") from error
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            container.close()
            raise MediaError(f"{self.name}: holds no video ({kinds} only)")
        return container

    def _open_file(self, path: str | os.PathLike[str]) -> av.container.InputContainer:
        if os.path.isdir(path):
            raise MediaError(f"{self.name}: is a folder, not a video")
        if os.path.isfile(path) and os.path.getsize(path) == 0:
            raise MediaError(f"{self.name}: the file is empty")
        if os.path.isfile(path):
            with open(path, "rb") as file:
                self._head = file.read(HEAD)
        # As an absolute path a name with a colon is no protocol to FFmpeg.
        return av.open(os.path.abspath(path), metadata_errors="replace")

    def _raise_stopped(self) -> None:
        if self._pipe is not None and self._pipe.stopped is not None:
            raise self._pipe.stopped

    def _frame_rate(self) -> Fraction:
        for rate in (self._stream.guessed_rate, self._stream.average_rate, self._stream.base_rate):
            if rate and 0 < rate <= _MAX_RATE:
                return Fraction(rate)
        return Fraction(25)

    def _open_tracks(self) -> None:
        others = [
            stream for stream in self._container.streams if stream.index != self._stream.index
        ]
        if self._container.chapters():
            # QuickTime keeps the titles of chapters in a track of their own.
            others = [
                stream
                for stream in others
                if stream.type != "data" or stream.discard != _DISCARD_ALL
            ]
        copied = [stream for stream in others if stream.type in ("audio", "subtitle")]
        if len(others) > len(copied):
            kinds = ", ".join(sorted({stream.type for stream in others if stream not in copied}))
            self.notes.append(
                f"{counted(len(others) - len(copied), 'other track')} ({kinds}) left out"
            )
        if not copied:
            return
        tracks = TrackCopier(copied)
        if tracks.left_out:
            names = ", ".join(
                stream.codec_context.name if stream.codec_context else stream.type
                for stream in tracks.left_out
            )
            self.notes.append(
                f"{counted(len(tracks.left_out), 'track')} ({names}) left out: cannot be copied"
            )
        if tracks.streams:
            self.tracks = tracks

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Frames from the start time on, or of the span."""
        end = None if self._span is None else self._span.end
        for packet in self._demux():
            try:
                for frame in packet.decode():
                    if end is not None and frame.pts is not None and frame.pts >= end:
                        return
                    if self._begun(frame):
                        yield frame
            except av.FFmpegError:
                self._undecodable += 1

    def _begun(self, frame: av.VideoFrame) -> bool:
        if frame.pts is None:
            return True
        if self._span is not None:
            return bool(frame.pts >= self._span.begin)
        return self._start <= 0 or (frame.pts - self._origin) * self._tick >= self._start

    def _first_of(
        self, path: str | os.PathLike[str] | BinaryIO, span: Span
    ) -> av.VideoFrame | None:
        """The first frame of a span, which begins with a keyframe as a rule. Where seeking misses
        it, or where it cannot be decoded by itself, decoding begins with the file."""
        if span.begin > self._origin:
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(span.begin, stream=self._stream)
        first = next(self._decoded, None)
        if first is None or first.pts != span.begin:
            self._container.close()
            if not isinstance(path, str | os.PathLike):
                path.seek(0)
            self._container = self._open(path)
            self._stream = self._container.streams.video[0]
            self._stream.thread_type = "AUTO"
            self._decoded, self._undecodable = self._decode(), 0
            first = next(self._decoded, None)
        return first

    def _demux(self) -> Iterator[av.Packet]:
        """Packets of the video; those of copied tracks met on the way wait."""
        streams = [self._stream, *self.tracks.streams] if self.tracks else [self._stream]
        packets = self._container.demux(streams)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self._raise_stopped()
                raise MediaError(f"{self.name}: reading stopped: {_reason(error)}") from error
            self._raise_stopped()
            if packet is None:
                return
            if packet.stream.index == self._stream.index:
                yield packet
            elif packet.pts is not None:
                self._waiting.append(packet)

    def _copy_tracks(self, end: Fraction | None) -> None:
        """Hand on the packets of copied tracks that were met and begin before `end` (seconds in the
        file; None = all)."""
        begin = self.shift * self._tick
        kept: list[av.Packet] = []
        for packet in self._waiting:
            seconds = packet.pts * packet.time_base
            if end is not None and seconds >= end:
                kept.append(packet)
            elif self.tracks is not None and (self._start <= 0 or seconds >= begin):
                self.tracks.copy(packet, begin)
        self._waiting = kept

    def _read_tracks(self, end: Fraction) -> None:
        """The frames ended before the file: read on for the sound and subtitles that belong to
        them."""
        streams = self.tracks.streams if self.tracks else []
        # Subtitles are rare: waiting for one after the end would mean to read all of the file.
        pending = {stream.index for stream in streams if stream.type == "audio"}
        for packet in self._container.demux(streams):
            if packet.pts is not None and packet.pts * packet.time_base < end:
                self._waiting.append(packet)
            else:
                pending.discard(packet.stream.index)
                if not pending:
                    break
        self._copy_tracks(end)

    def copy_tracks(self, end: Fraction | None) -> None:
        """Hand on the packets of copied tracks that begin before `end` (seconds in the file; None =
        all of those that belong to the frames), without decoding. No frames can be read after
        that."""
        streams = self.tracks.streams if self.tracks else []
        if self._only_tracks is None:
            self._stream.discard = _DISCARD_ALL
            self._only_tracks = self._container.demux(streams) if streams else iter(())
        behind = {stream.index for stream in streams if stream.type == "audio"}
        while behind or end is None:
            try:
                packet = next(self._only_tracks, None)
            except (av.FFmpegError, OSError) as error:
                self._raise_stopped()
                raise MediaError(f"{self.name}: reading stopped: {_reason(error)}") from error
            self._raise_stopped()
            if packet is None:
                break
            if packet.pts is not None:
                self._waiting.append(packet)
                if end is not None and packet.pts * packet.time_base >= end:
                    behind.discard(packet.stream.index)
        self._copy_tracks(end)

    def _pts_of(self, frame: av.VideoFrame, last: int | None) -> int:
        """Timestamp of a frame; strictly increasing, made up from the frame rate where the file has
        none."""
        step = max(1, round(1 / self._rate / self._tick))
        pts = frame.pts if frame.pts is not None else (last + step if last is not None else 0)
        return pts if last is None or pts > last else last + 1

    def _format_of(self, frame: av.VideoFrame) -> VideoFormat:
        width, height = frame.width, frame.height
        sar = Fraction(self._stream.sample_aspect_ratio or 1)
        self._rotation = Rotation(frame.rotation, width, height, self._chroma_location(frame))
        if self._rotation.swaps:
            width, height = height, width
            sar = 1 / sar
        if frame.rotation:
            self.notes.append(f"rotated by {frame.rotation % 360}° as the file asks")
        if frame.interlaced_frame:
            self.notes.append("interlaced video is coded as progressive frames")
        if any(component.is_alpha for component in frame.format.components):
            self.notes.append("alpha is left out")
        depth = max(component.bits for component in frame.format.components)
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        matrix = int(frame.colorspace)
        if is_rgb(frame):
            full, matrix = False, rgb_matrix(frame.height)
            self.notes.append(
                f"RGB is converted to BT.{709 if matrix == 1 else 601} 4:2:0, limited range"
            )
        elif "420" not in frame.format.name and frame.format.name not in ("nv12", "p010le"):
            self.notes.append(f"{frame.format.name} is converted to 4:2:0")
        if depth > 10:
            self.notes.append(f"{depth} bits a sample are reduced to 10")
        location = self._rotation.location
        colour = Colour(int(frame.color_primaries), int(frame.color_trc), matrix, full, location)
        return VideoFormat(
            width, height, self._rate, self._tick, 8 if depth <= 8 else 10, colour, sar
        )

    def _chroma_location(self, frame: av.VideoFrame) -> int:
        """Where chroma samples of `Planes` stand. PyAV does not tell it of the source: JPEG and
        some y4m have them between four luma samples, and so has what swscale makes of full
        chroma."""
        if (
            self._stream.codec_context.name == "mjpeg"
            or is_rgb(frame)
            or frame.format.chroma_width(2) == 2
        ):
            return CENTRE
        if self._container.format.name != "yuv4mpegpipe":
            return LEFT
        kind = re.search(rb" C420(\w+)", self._head)
        return _Y4M_LOCATIONS.get(kind[1], LEFT) if kind else CENTRE

    def _metadata_of(self, frame: av.VideoFrame) -> Metadata:
        """For the frames that are read."""
        found, notes = metadata_of(self._container, frame)
        self.notes += notes
        begin = self.shift * self._tick
        end = (
            None
            if self._limit is None
            else (self.shift + self.start_pts) * self._tick + self._limit / self._rate
        )
        return found.during(begin if self.shift else None, end, -begin)

    def _estimate(self) -> int | None:
        total = self._stream.frames or None
        if total is None and self._stream.duration:
            total = round(self._stream.duration * self._tick * self._rate)
        if total is None and self._container.duration:
            total = round(Fraction(self._container.duration, av.time_base) * self._rate)
        if total is not None:
            total = max(1, total - int(self._start * self._rate))
        return total if self._limit is None else min(self._limit, total or self._limit)


def _reason(error: Exception) -> str:
    """What went wrong in a few words."""
    if isinstance(error, av.InvalidDataError | av.EOFError):
        return "not a video that can be read"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
