"""Verifies a stream: checksums, decoding, hashes of base and painted frames, and PSNR against the
source."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.fidelity import MeanPsnr, psnr
from gvcodec.errors import (
    DamagedStreamError,
    IncompleteSourceError,
    UsageError,
    incomplete_source,
)
from gvcodec.input_options import InputOptions
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.one_file.write import one_file_suffix
from gvcodec.opening import PathName, Source, open_reader
from gvcodec.planes import Scaler
from gvcodec.source.reader import Frame, VideoReader
from gvcodec.types import Planes
from gvcodec.util.deprecation import renamed_keywords
from gvcodec.util.file_io import as_name
from gvcodec.util.kinds import checked_keywords
from gvcodec.util.messages import count_noun
from gvcodec.util.progress import Mode, ProgressBar

#: Tolerance of times, in frame durations: clocks of containers are coarse.
_OFF = Fraction(1, 4)
#: Tolerance of a smaller stream's aspect ratio, since its sides are even.
_OTHER_SHAPE = Fraction(1, 20)


class Originals:
    """Frames of `source` (planes) by time, since a stream may be a piece and have a lower frame
    rate; in display order of a stream with this header. Raises `UsageError` if the stream's
    pictures have another aspect ratio or are larger."""

    def __init__(self, source: VideoReader, header: SequenceHeader) -> None:
        fmt, source_format = header.format, source.format
        #: Size to which smaller pictures are enlarged, None = they are not.
        self.enlarged_to: tuple[int, int] | None = None
        if (source_format.width, source_format.height) != (fmt.width, fmt.height):
            self.enlarged_to = source_format.width, source_format.height
            self._scaler = Scaler(fmt, self.enlarged_to)
        shape = Fraction(fmt.width * source_format.height, fmt.height * source_format.width)
        if self.enlarged_to and (abs(shape - 1) > _OTHER_SHAPE or fmt.width >= source_format.width):
            raise UsageError(
                f"{source.name} has {source_format.width}×{source_format.height} samples, "
                f"the stream {fmt.width}×{fmt.height}",
                code="streams-differ",
            )
        self._source, self._header = source, header
        #: Times of all frames: of the source, in its ticks, and of the stream.
        self._times: list[int] = []
        self._stream_times: list[int] = []
        self._frames = self._read()
        self._next = next(self._frames, None)
        # Without times in the source, the frame rate of the encode gives them.
        self._tick = source_format.time_base if source.has_times else 1 / fmt.frame_rate
        #: Seconds of the source before the stream.
        self._offset: Fraction | None = None

    def _read(self) -> Iterator[Frame]:
        for frame in self._source:
            self._times.append(frame.pts)
            yield frame

    def differences(self) -> Iterator[str]:
        """How the source differs from the stream, once all frames of this went through `at`."""
        for _ in self._frames:
            pass
        fmt, stream_count, count = self._header.format, len(self._stream_times), len(self._times)
        if stream_count != count:
            yield f"{count_noun(count, 'frame')}, the stream has {stream_count}"
        if self.enlarged_to is not None:
            width, height = self.enlarged_to
            yield f"{width}×{height} samples, the stream has {fmt.width}×{fmt.height}"
        least = max(self._tick, fmt.time_base)
        pairs = zip(self._times, self._stream_times, strict=False)
        for number, (pts, stream_pts) in enumerate(pairs):
            time = (pts - self._times[0]) * self._tick
            stream_time = (stream_pts - self._header.start_pts) * fmt.time_base
            if abs(time - stream_time) > least:
                times = f"{float(time):.3f} s, the stream's at {float(stream_time):.3f} s"
                yield f"frame {number} at {times}"
                return

    def as_large(self, planes: Planes) -> Planes:
        """Enlarge a picture of the stream to the source's size."""
        return self._scaler.apply(planes) if self.enlarged_to else planes

    def at(self, pts: int, metadata: bytes) -> Planes | None:
        """The source's frame at a time of the stream, if any; call after its `metadata` packet."""
        fmt = self._header.format
        self._stream_times.append(pts)
        if self._offset is None:
            start = Metadata.unpack(metadata).source_start if metadata else 0
            # Streams of the library may keep the clock of their source.
            first = Fraction(start, 1_000_000) or self._header.start_pts * fmt.time_base
            begun = self._source.shift * self._source.format.time_base
            self._offset = max(Fraction(0), first - begun)
        begin = (pts - self._header.start_pts) * fmt.time_base + self._offset
        begin -= min(1 / fmt.frame_rate, 1 / self._source.format.frame_rate) * _OFF
        while self._next is not None and self._next.pts * self._tick < begin:
            self._next = next(self._frames, None)
        if self._next is None or self._next.pts * self._tick >= begin + 1 / fmt.frame_rate:
            return None
        frame, self._next = self._next, next(self._frames, None)
        return frame.planes


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """PSNR: dB of Y, U, V, mean over the `compared` frames with the same time in the source, of
    base frames and painted ones (None: not painted). Hashes: verified, hexadecimal; of painted
    frames None without one. `worst`: seconds and dB of Y of the output frame with the lowest PSNR.
    `enlarged_to`: size of the source to which a smaller stream was enlarged. `incomplete`: missing
    parts of the source, in words. `differences`: the source's number of frames, size, and first
    time that differs by more than a tick, in words."""

    frames: int
    base_hash: str
    painted_hash: str | None = None
    source: str | None = None
    compared: int = 0
    base_psnr: tuple[float, ...] | None = None
    painted_psnr: tuple[float, ...] | None = None
    worst: tuple[float, float] | None = None
    enlarged_to: tuple[int, int] | None = None
    incomplete: str = ""
    differences: tuple[str, ...] = ()


@renamed_keywords(hold="enforce_rlimit")
@checked_keywords
def verify(
    source: Source,
    original: PathName | BinaryIO | None = None,
    *,
    fidelity: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    progress: Mode = "none",
    enforce_rlimit: bool = False,
    allow_damaged: bool = False,
    start: float = 0.0,
    frames: int | None = None,
    input_options: InputOptions | None = None,
) -> VerifyReport:
    """Check a stream: checksums, decoding, the base hash, and the painted hash unless `fidelity`.
    `original`: the source, for PSNR; from `start` seconds on, at most `frames`, with
    `input_options`, as they were given to `encode_file`. `progress` as for `decode_file`.
    `enforce_rlimit`: the system holds this process to the limit of memory meanwhile. Raises
    `DamagedStreamError`, `VerificationError`, `WrongModelError`, `LimitError`, `MissingFileError`,
    `MediaError`, `UsageError`; `IncompleteSourceError` where all is right, but `original` is
    damaged or cut off, unless `allow_damaged`."""
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(open_reader(source))
        video = None
        if original is not None:
            video = VideoReader(original, start, frames, input_options=input_options)
            stack.enter_context(video)
        painted = reader.header.is_painted and not fidelity
        decoder = Decoder(
            reader.header, not painted, threads, models, limits=limits, verify_only=video is None
        )
        stack.enter_context(memory_limit(reader.header, painted, limits, enforce_rlimit))
        originals = None if video is None else Originals(video, reader.header)
        base_frames, paintings = _Psnr(), _Psnr()
        bar = stack.enter_context(ProgressBar(progress))
        first, tick = reader.header.start_pts, reader.header.format.time_base
        for frame in bar(decoder.frames_of(reader.packets()), "check", _count(source, reader)):
            if decoder.tracks:
                decoder.tracks.waiting.clear()
            source_frame = None if originals is None else originals.at(frame.pts, decoder.metadata)
            if originals is not None and source_frame is not None:
                seconds = float((frame.pts - first) * tick)
                base_frames.send(originals.as_large(frame.base_frame), source_frame, seconds)
                if frame.planes is not frame.base_frame:
                    paintings.send(originals.as_large(frame.planes), source_frame, seconds)
        decoder.verify(reader.base_hash)
        differences = () if originals is None else tuple(originals.differences())
    if reader.is_changed:
        decoded = count_noun(decoder.frames, "frame")
        what = f"{decoded} can be decoded, the file is not as it was written"
        raise DamagedStreamError(f"{reader.name}: {what}", code="changed-file")
    expected_hash = decoder.expected_painted_hash if painted else None
    report = VerifyReport(
        decoder.frames,
        decoder.base_hash.hex(),
        expected_hash.hex() if expected_hash is not None else None,
        None if video is None else video.name,
        base_frames.frames,
        base_frames.mean(),
        paintings.mean(),
        paintings.worst or base_frames.worst,
        None if originals is None else originals.enlarged_to,
        "" if video is None else video.incomplete,
        differences,
    )
    if video is not None and video.incomplete and not allow_damaged:
        raise IncompleteSourceError(incomplete_source(video.name, video.incomplete), report)
    return report


def _count(source: Source, reader: Reader) -> int | None:
    """Number of frames by the index, None for pipes and one-files."""
    name = as_name(source)
    if name is None or not os.path.isfile(name) or one_file_suffix(name):
        return None
    return sum(gop.frames for gop in reader.gops())


class _Psnr:
    def __init__(self) -> None:
        self.frames = 0
        self.worst: tuple[float, float] | None = None
        self._planes = [MeanPsnr() for _ in range(3)]

    def send(self, picture: Planes, source: Planes, seconds: float) -> None:
        self.frames += 1
        values = [psnr(left, right) for left, right in zip(picture, source, strict=True)]
        for mean, value in zip(self._planes, values, strict=True):
            mean.add(value)
        if math.isfinite(values[0]) and (self.worst is None or values[0] < self.worst[1]):
            self.worst = seconds, values[0]

    def mean(self) -> tuple[float, ...] | None:
        return tuple(mean.value for mean in self._planes) if self.frames else None
