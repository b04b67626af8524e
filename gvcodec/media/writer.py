"""Writes decoded frames: .mp4, .mkv, .y4m, "-" (y4m on standard output) or numbered .png.

    with open_writer("out.mp4", fmt) as writer:
        writer.write(planes, pts)

Without `crf` video files are lossless: exact samples, in H.264 and H.265 profiles that few players
know. With one they are what plays everywhere (H.264 High as `avc1`, 10 bits as H.265 Main 10,
`hvc1`); at `visually_lossless` it looks the same. 8-bit sources come back with 8 bits. Files appear
under their name only when complete. Raises `MediaError`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import av
import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import MediaError, UsageError
from gvcodec.file_io import PendingFile, refuse_input
from gvcodec.media.metadata import Metadata
from gvcodec.media.planes import frame_from_planes, rgb_from_planes, to_eight_bits
from gvcodec.media.tracks import TrackReader
from gvcodec.types import Planes, VideoFormat

#: Qualities of x264 (8 bits), x265 (10 bits) and VP9 at which the decoded file looks like the
#: frames that were written.
_CRF = {8: 12.0, 10: 13.0}
_CRF_VP9 = 10.0
#: Smaller pictures are coded without x265's pool of threads, in which it crashes on them now and then.
_POOL_PIXELS = 640 * 360
_Y4M_CHROMA = {0: "420mpeg2", 1: "420jpeg", 2: "420paldv"}


class VideoWriter(Protocol):
    """What `open_writer` gives. `notes`: what could not be kept, one line each (complete after the
    `with` block)."""

    notes: list[str]

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def write(self, planes: Planes, pts: int) -> None:
        """Next frame in display order; `pts` in ticks of the format's time base."""
        ...


def takes_tracks(path: str | os.PathLike[str]) -> bool:
    """Whether the output can hold sound and subtitles."""
    return str(path) != "-" and Path(path).suffix.lower() in (".mp4", ".mkv", ".mov")


def visually_lossless(path: str | os.PathLike[str], fmt: VideoFormat) -> float | None:
    """The `crf` that keeps PSNR-Y against the frames given at about 45 dB and more; None for files
    that are lossless anyway."""
    if not takes_tracks(path):
        return None
    if fmt.width % 2 == 0 and fmt.height % 2 == 0:
        return _CRF[fmt.bit_depth]
    # The only encoder here for 10 bits and odd sizes is lossless.
    return _CRF_VP9 if fmt.bit_depth == 8 else None


def open_writer(
    path: str | os.PathLike[str],
    fmt: VideoFormat,
    *,
    crf: float | None = None,
    overwrite: bool = False,
    tracks: TrackReader | None = None,
    metadata: Metadata | None = None,
    threads: int = 0,
) -> VideoWriter:
    """A writer for the kind of file that `path` names. Raises `UsageError` for an unknown kind."""
    suffix = Path(path).suffix.lower()
    if str(path) != "-" and suffix not in (".mp4", ".mov", ".mkv", ".y4m", ".png"):
        raise UsageError(
            f"{path}: write to .mp4, .mkv, .mov, .y4m, .png (like frame%05d.png) or - (y4m)"
        )
    if crf is not None and not takes_tracks(path):
        raise UsageError(f"--crf is for .mp4, .mkv and .mov, {path} is lossless")
    if str(path) == "-":
        refuse_input("-")
        return Y4mWriter(sys.stdout.buffer, fmt, None)
    if suffix == ".png":
        return PngWriter(Path(path), fmt, overwrite)
    pending = PendingFile(path, overwrite)
    try:
        if suffix == ".y4m":
            return Y4mWriter(open(pending.temporary, "wb"), fmt, pending)
        return MuxWriter(pending, fmt, crf, tracks, metadata or Metadata(), threads)
    except BaseException:
        pending.discard()
        raise


class Y4mWriter:
    """YUV4MPEG2 with 4:2:0 samples of 8 or 10 bits. It has no timestamps: frames follow each other
    at the nominal rate."""

    def __init__(self, stream: BinaryIO, fmt: VideoFormat, pending: PendingFile | None) -> None:
        self.notes: list[str] = []
        self._stream = stream
        self._pending = pending
        self._name = pending.path if pending else "standard output"
        self._eight_bits = fmt.bit_depth == 8
        self._pace = Pace(fmt)
        chroma = (
            _Y4M_CHROMA.get(fmt.colour.chroma_location, "420mpeg2")
            if self._eight_bits
            else "420p10 XYSCSS=420P10"
        )
        span = "FULL" if fmt.colour.full_range else "LIMITED"
        rate, sar = fmt.frame_rate, fmt.sar
        head = (
            f"YUV4MPEG2 W{fmt.width} H{fmt.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{sar.numerator}:{sar.denominator} C{chroma} XCOLORRANGE={span}\n"
        )
        with _reported(self._name):
            self._stream.write(head.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pending is None:
            if kind is None:
                with _reported(self._name):
                    self._stream.flush()
            return
        with self._pending, _reported(self._name):
            self._stream.close()
            if value is not None:
                raise value

    def write(self, planes: Planes, pts: int) -> None:
        self.notes = self._pace.notes(pts)
        with _reported(self._name):
            self._stream.write(b"FRAME\n")
            for plane in planes:
                samples = (
                    to_eight_bits(plane) if self._eight_bits else plane.astype("<u2", copy=False)
                )
                self._stream.write(samples.tobytes())
            if self._pending is None:
                # Whoever reads a pipe wants the frame now.
                self._stream.flush()


class Pace:
    """Whether frames come at the nominal rate, for files that have no times."""

    def __init__(self, fmt: VideoFormat) -> None:
        self._step = 1 / (fmt.frame_rate * fmt.time_base)
        self._rate = float(fmt.frame_rate)
        self._count, self._begin = 0, 0
        self._notes: list[str] = []

    def notes(self, pts: int) -> list[str]:
        """Take the timestamp of the next frame; a line once it is another than the rate says."""
        self._begin = pts if not self._count else self._begin
        late = pts - self._begin - self._count * self._step
        self._count += 1
        # Ticks of a coarse clock are rounded.
        if abs(late) > max(2, self._step / 4) and not self._notes:
            self._notes.append(
                f"the times are uneven and .y4m has none: frames come at {self._rate:g} a second"
            )
        return self._notes


class PngWriter:
    """One 8-bit RGB file a frame; the name holds a number like %05d, counted from 0 (without it:
    only one frame fits)."""

    def __init__(self, path: Path, fmt: VideoFormat, overwrite: bool) -> None:
        self.notes: list[str] = []
        self._path = str(path)
        self._colour = fmt.colour
        self._overwrite = overwrite
        self._count = 0
        # A percent sign in the name of a folder is no number.
        if not re.fullmatch(r"[^%]*(%0?\d*d)?[^%]*", path.name):
            raise UsageError(f"{path}: the name of numbered images holds one number like %05d")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def write(self, planes: Planes, pts: int) -> None:
        numbered = "%" in Path(self._path).name
        if self._count and not numbered:
            raise MediaError(
                f"{self._path}: holds one frame only; put a number like %05d into the name"
            )
        folder, last = os.path.split(self._path)
        name = os.path.join(folder, last % self._count) if numbered else self._path
        with PendingFile(name, self._overwrite) as pending, _reported(name):
            pending.temporary.write_bytes(png(rgb_from_planes(planes, self._colour)))
        self._count += 1


def png(rgb: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) as the bytes of a PNG file."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = rgb.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", 1
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


class MuxWriter:
    """Video file through PyAV, with the copied packets of `tracks` if the kind of file takes
    them."""

    def __init__(
        self,
        pending: PendingFile,
        fmt: VideoFormat,
        crf: float | None,
        tracks: TrackReader | None,
        metadata: Metadata,
        threads: int,
    ) -> None:
        self.notes: list[str] = []
        self._pending = pending
        self._fmt = fmt
        kind = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}[pending.path.suffix.lower()]
        with _reported(pending.path):
            # The table of contents goes before the frames, so that a player can begin while the
            # file is still coming.
            options = {} if kind == "matroska" else {"movflags": "+faststart"}
            self._container = av.open(str(pending.temporary), "w", format=kind, options=options)
            try:
                metadata.describe(self._container)
                self._video = self._add_video(crf, metadata, threads)
                self._tracks = tracks
                self._outputs = self._add_tracks()
                self._container.start_encoding()
            except BaseException:
                with contextlib.suppress(av.FFmpegError):
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
        with self._pending, _reported(self._pending.path):
            try:
                if value is None:
                    self._mux(self._video.encode(None))
                    self._mux_tracks(None)
            finally:
                self._container.close()
            if value is not None:
                raise value

    def write(self, planes: Planes, pts: int) -> None:
        frame = frame_from_planes(planes, self._fmt.bit_depth)
        colour = self._fmt.colour
        frame.pts, frame.time_base = pts, self._fmt.time_base
        frame.color_range = 2 if colour.full_range else 1
        frame.colorspace, frame.color_primaries, frame.color_trc = (
            colour.matrix,
            colour.primaries,
            colour.transfer,
        )
        with _reported(self._pending.path):
            self._mux(self._video.encode(frame))

    def _add_video(self, crf: float | None, metadata: Metadata, threads: int) -> av.VideoStream:
        fmt = self._fmt
        codec, options = _encoder(self._pending.path, fmt, crf, metadata)
        if (metadata.mastering or metadata.light) and codec not in ("libx264", "libx265"):
            self.notes.append(f"HDR metadata left out, {codec} has none here")
        if fmt.sar != 1 and codec == "ffv1":
            self.notes.append(
                f"sample aspect ratio {fmt.sar.numerator}:{fmt.sar.denominator} left out, FFV1 "
                f"has none"
            )
        stream = self._container.add_stream(codec, rate=fmt.frame_rate, options=options)
        context = stream.codec_context
        if codec == "libx265" and self._container.format.name != "matroska":
            # Apple's players know H.265 by this name only.
            context.codec_tag = "hvc1"
        context.width, context.height = fmt.width, fmt.height
        context.pix_fmt = "yuv420p" if fmt.bit_depth == 8 else "yuv420p10le"
        context.time_base = fmt.time_base
        stream.time_base = fmt.time_base
        context.thread_count = threads
        context.sample_aspect_ratio = fmt.sar
        colour = fmt.colour
        context.color_range = 2 if colour.full_range else 1
        context.colorspace, context.color_primaries, context.color_trc = (
            colour.matrix,
            colour.primaries,
            colour.transfer,
        )
        return stream

    def _add_tracks(self) -> dict[int, av.stream.Stream]:
        """Output streams by number of the track."""
        outputs: dict[int, av.stream.Stream] = {}
        for number, stream in enumerate(self._tracks.streams if self._tracks else ()):
            try:
                outputs[number] = self._container.add_stream_from_template(stream)
            except (av.FFmpegError, ValueError):
                what = f"{stream.type} track ({stream.codec_context.name if stream.codec_context else 'unknown'})"
                self.notes.append(
                    f"{what} does not fit {self._pending.path.suffix} and is left out"
                )
        return outputs

    def _mux(self, packets: Sequence[av.Packet]) -> None:
        """Coded frames, and before each the tracks up to its time: FFmpeg would keep what is ahead
        of the encoder, without a bound."""
        for packet in packets:
            assert packet.dts is not None
            self._mux_tracks(packet.dts * packet.time_base)
            self._container.mux(packet)

    def _mux_tracks(self, until: Fraction | None) -> None:
        """Packets up to a time in seconds, all of them at the end: keeps the file interleaved."""
        waiting = self._tracks.waiting if self._tracks else deque()
        while self._tracks and waiting:
            first = waiting[0]
            if until is not None and first.pts * self._tracks.ticks[first.track] > until:
                return
            waiting.popleft()
            if first.track in self._outputs:
                packet = self._tracks.av_packet(first)
                packet.stream = self._outputs[first.track]
                self._container.mux(packet)


def _encoder(
    path: Path, fmt: VideoFormat, crf: float | None, metadata: Metadata
) -> tuple[str, dict[str, str]]:
    """Encoder and options: lossless without `crf`. H.264 and H.265 have no odd sizes in 4:2:0, VP9
    (8 bits) and FFV1 do."""
    if fmt.width % 2 == 0 and fmt.height % 2 == 0:
        siting = f"chromaloc={fmt.colour.chroma_location}"
        if fmt.bit_depth == 8:
            quality = (
                {"qp": "0", "preset": "veryfast"}
                if crf is None
                else {"crf": f"{crf:g}", "preset": "medium"}
            )
            return "libx264", {
                "x264-params": siting + _hdr(metadata, "mastering-display", "cll"),
                **quality,
            }
        params = (
            f"log-level=none:{siting}"
            + ":lossless=1" * (crf is None)
            + ":pools=none" * (fmt.width * fmt.height < _POOL_PIXELS)
            + _hdr(metadata, "master-display", "max-cll")
        )
        quality = {"preset": "veryfast"} if crf is None else {"crf": f"{crf:g}", "preset": "fast"}
        return "libx265", {"x265-params": params, **quality}
    if path.suffix.lower() == ".mkv" and crf is None:
        return "ffv1", {"level": "3", "slicecrc": "1"}
    if fmt.bit_depth == 10 or path.suffix.lower() == ".mov":
        size = f"{fmt.bit_depth}-bit video of odd size {fmt.width}×{fmt.height}"
        raise UsageError(f"{path}: {size} cannot be written like this, lossless .mkv or .y4m can")
    speed = {"cpu-used": "8", "deadline": "realtime", "row-mt": "1"}
    return "libvpx-vp9", {**speed, "lossless": "1"} if crf is None else {
        **speed,
        "crf": f"{crf:g}",
        "b": "0",
    }


def _hdr(metadata: Metadata, mastering: str, light: str) -> str:
    """Options of x264 or x265, which call them so, that write the HDR metadata into the
    bitstream."""
    options = ""
    if metadata.mastering is not None:
        red, green, blue, white, levels = (metadata.mastering[n : n + 2] for n in range(0, 10, 2))
        named = zip(("G", "B", "R", "WP", "L"), (green, blue, red, white, levels), strict=True)
        options += f":{mastering}=" + "".join(f"{name}({a},{b})" for name, (a, b) in named)
    if metadata.light is not None:
        options += f":{light}={metadata.light[0]},{metadata.light[1]}"
    return options


@contextlib.contextmanager
def _reported(path: Path | str) -> Iterator[None]:
    """Errors of FFmpeg and the file system as one line. A reader of standard output that has seen
    enough is no such error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
        raise MediaError(
            f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}"
        ) from error
