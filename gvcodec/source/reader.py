"""Reads any video that PyAV reads, from a file, a URI or a pipe, or numbered pictures, as frames of
`Planes` with timestamps.

    with VideoReader("in.mp4") as reader:
        for frame in reader:
            frame.planes, frame.pts

    Source ─► InputFile ─► Demuxer ─► FrameReader ─► FrameRange ─► Conversion ─► Frame
                              └─► packets of sound and subtitles ─► TrackCopier

Time begins with the first frame. Orientation is applied, frames of another size are scaled to that
of the first, other pixel formats are converted. `reader.notes` has changes and omissions, a
line each. Raises `MediaError`, `UsageError`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

import av

from gvcodec.bitstream.attachments import NO_ROOM, Attachment, choose_fitting, name_all
from gvcodec.bitstream.metadata import Metadata
from gvcodec.input_options import InputOptions
from gvcodec.planes import checksum
from gvcodec.source.conversion import Conversion, location_of, read_stored
from gvcodec.source.deinterlacing import deinterlace
from gvcodec.source.demuxer import Demuxer
from gvcodec.source.frame_range import FrameRange
from gvcodec.source.frame_reader import FrameReader, Span
from gvcodec.source.opening import AnySource, InputFile, PictureFiles, Source
from gvcodec.source.side_data import CAPTIONS, side_data
from gvcodec.source.source_check import SourceCheck
from gvcodec.source.source_metadata import metadata_of
from gvcodec.source.timeline import has_timestamps
from gvcodec.tracks.copier import TrackCopier
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.messages import parse_time


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


class VideoReader:
    """Frames of the video of `source` (`Source.open`), from `start` seconds on, at most `frames` of
    them, or of these a `span`, without tracks. `input_options`: properties that the input
    does not state, and changes of it.

    Attributes: `format`, `expected_frames` (estimated, None when unknown), `pictures` (paths of
    numbered ones), `notes`, `tracks` (of sound and subtitles), `metadata`, `attachments`,
    `start_pts` (of the first frame: 0, except for a later span), `shift` (subtracted from all
    timestamps), `tick` (seconds, of the file), `end` (once all were read: when the last one ends;
    None = by the frame rate), `incomplete` (once all were read: missing frames, in words)."""

    def __init__(
        self,
        source: AnySource | Source,
        start: float = 0.0,
        frames: int | None = None,
        span: Span | None = None,
        input_options: InputOptions | None = None,
    ) -> None:
        self._source = Source.open(source)
        self._owns_source = self._source is not source
        self.name, self.pictures = self._source.name, self._source.pictures
        self.notes: list[str] = []
        self.incomplete = ""
        self._options, self._span = input_options or InputOptions(), span
        self._file: InputFile | None = None
        try:
            self._begin(start, frames)
        except BaseException:
            self.close()
            raise

    def _begin(self, start: float, limit: int | None) -> None:
        # A time in decimal digits, not the binary number just above it: a frame at exactly this
        # time counts.
        begin = Fraction(start).limit_denominator(1_000_000)
        paths, options = self.pictures, self._options
        self._picture_files = None if paths is None else PictureFiles(paths)
        self._file = InputFile(self._source if paths is None else Source.open(paths[0]))
        has_tracks = self._span is None and paths is None
        demuxer = Demuxer(self._file, self.name, options, paths is not None, has_tracks)
        self._demuxer = demuxer
        self.notes += demuxer.notes
        self._reader = FrameReader(demuxer, self._picture_files)
        self._frames = FrameRange(self._reader, demuxer, begin, limit, self._span, options)
        self.start_pts, self.shift = self._frames.start_pts, self._frames.shift
        self.tick = demuxer.tick
        if demuxer.is_painted:
            self.notes.append("painting of a gvcodec file left out: decode it first to keep it")
        self._set_format(self._frames.opening, demuxer)
        self.metadata = self._read_metadata(self._frames.opening, demuxer)
        self.attachments: Sequence[Attachment]
        self.attachments, left_out = choose_fitting(demuxer.attachments())
        if left_out:
            self.notes.append(f"{name_all(left_out)} left out: {NO_ROOM}")
        self.expected_frames = self._estimate(demuxer)

    def _set_format(self, frame: av.VideoFrame, demuxer: Demuxer) -> None:
        """Size, colours and frame rate, by the first frame: others are converted to them."""
        y4m = demuxer.file.head if demuxer.kind == "yuv4mpegpipe" else None
        stream, stored = demuxer.stream, read_stored(demuxer.stream)
        location = location_of(stream, frame, stored.chroma_location, y4m)
        self._conversion = Conversion(
            frame, stream, location, stored, demuxer.rate, demuxer.tick, self._options
        )
        self.notes += self._conversion.notes
        self._conversion.notes = self.notes
        frames = self._frames
        self.format: VideoFormat = replace(
            self._conversion.format, frame_rate=frames.rate, time_base=frames.tick
        )
        if frames.drops:
            self.notes.append(f"{frames.rate} of {demuxer.rate} frames a second kept")

    def _read_metadata(self, frame: av.VideoFrame, demuxer: Demuxer) -> Metadata:
        copied = demuxer.tracks.streams if demuxer.tracks else []
        metadata, notes = metadata_of(demuxer.container, frame, [demuxer.stream, *copied])
        self.notes += notes
        if metadata.tags:
            self.notes.append(f"kept as metadata: {', '.join(name for name, _ in metadata.tags)}")
        return metadata.during(demuxer.zero, self._frames.last_end(), -demuxer.zero)

    def _estimate(self, demuxer: Demuxer) -> int | None:
        stream, rate = demuxer.stream, demuxer.rate
        total = len(self.pictures) if self.pictures else stream.frames or None
        if total is None and stream.duration and stream.time_base:
            total = round(stream.duration * stream.time_base * rate)
        if total is None and demuxer.container.duration:
            length = demuxer.container.duration
            if demuxer.kind.startswith("matroska"):
                # Its end is that of the longest track, the tag says when this one ends.
                end = parse_time(stream.metadata.get("DURATION", ""))
                length = min(length, round(end * av.time_base) if end else length)
                # A recording need not begin at 0.
                length -= max(0, demuxer.container.start_time or 0)
            total = round(Fraction(length, av.time_base) * rate)
        if total is not None and self._options.until is not None:
            total = min(total, math.ceil(self._options.until * rate))
        if total is not None:
            total = max(1, total - int(self._frames.start * rate))
            total = math.ceil(total * min(Fraction(1), self._frames.rate / rate))
        limit = self._frames.limit
        return total if limit is None else min(limit, total or limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        self.close()

    def close(self) -> None:
        file = self._demuxer.file if hasattr(self, "_demuxer") else self._file
        if file is not None:
            file.close()
            if self.pictures is not None:
                file.source.close()
        if self._owns_source:
            self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        frames: Iterator[tuple[av.VideoFrame, tuple[int, bytes]]] = (
            (frame, (pts, self._frames.take_captions())) for frame, _, pts in self.raw_frames()
        )
        if self._options.deinterlace:
            frames = deinterlace(frames, self.name, self.notes)
        for frame, (pts, earlier) in frames:
            planes, new_size, captions = self._conversion.apply(frame)
            has_captions = not self._options.no_subtitles
            yield Frame(planes, pts, new_size, has_captions * (earlier + captions))

    def marks(self) -> Iterator[FrameMark]:
        """The frames that iterating gives, decoded only. No frames can be read after that."""
        for frame, time, _ in self.raw_frames():
            captions = side_data(frame).get(CAPTIONS, b"")
            yield FrameMark(time, bool(frame.key_frame), checksum(frame), len(captions))

    def copy_tracks(self, end: Fraction | None) -> None:
        """Hand on packets of tracks that begin before `end` (seconds on the clock of the file; None
        = all), without decoding. No frames can be read after that."""
        self._demuxer.copy_tracks(end)

    def measure_tracks(self) -> int:
        """Bytes of tracks and attachments, about, without decoding. No frames can be read after
        that."""
        size = sum(len(attachment.data) for attachment in self.attachments)
        if self.tracks is None:
            return size
        self.copy_tracks(self._frames.last_end())
        self.tracks.finish()
        return size + len(self.tracks.pop())

    @property
    def tracks(self) -> TrackCopier | None:
        """None if there are none, or where they are not wanted."""
        return self._demuxer.tracks

    @tracks.setter
    def tracks(self, tracks: TrackCopier | None) -> None:
        self._demuxer.tracks = tracks

    @property
    def end(self) -> int | None:
        return self._frames.end

    @property
    def size(self) -> int | None:
        """Bytes of the source, None if it is not known; of a pipe: those read so far."""
        if self.pictures:
            return sum(map(os.path.getsize, self.pictures))
        return self._demuxer.file.size

    @property
    def has_times(self) -> bool:
        """Whether timestamps are the source's own; else they follow from its frame rate."""
        demuxer = self._demuxer
        return has_timestamps(demuxer.container) and not demuxer.counts_frames

    @property
    def has_jumps(self) -> bool:
        """Once all were read: whether the clock of the file restarts in it."""
        return bool(self._demuxer.timeline.jumps)

    def raw_frames(self) -> Iterator[tuple[av.VideoFrame, int, int]]:
        """The frames of the range as decoded, with their times in the file and in the video
        (ticks); notes about the source are complete after the last one."""
        yield from self._frames
        check = SourceCheck(
            self._demuxer,
            self._reader,
            self._frames,
            self._picture_files,
            self.expected_frames,
            self._span is not None,
        )
        findings = list(check.findings())
        self.notes += [finding.note for finding in findings if finding.note]
        self.incomplete = ", ".join(finding.loss for finding in findings if finding.loss)
