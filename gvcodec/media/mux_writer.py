"""Writes decoded frames with sound and subtitles to .mp4, .mov and .mkv, and to pipes as Matroska.

with MuxWriter(pending, "matroska", fmt, crf, tracks, metadata, threads) as writer:
    writer.write(planes, pts)
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import av

from gvcodec.errors import MediaError, UsageError
from gvcodec.media.codec_parameters import display_size, with_display_size, write_display_size
from gvcodec.media.decoding_times import COUNTS, DecodingTimes, FileClock
from gvcodec.media.metadata import Metadata
from gvcodec.media.planes import frame_from_planes, tag_colour
from gvcodec.media.track_muxing import MUXERS, TrackMuxer
from gvcodec.media.tracks import TrackReader
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.file_io import PendingFile
from gvcodec.util.process import quiet_svt

#: Kinds of files and of pipes, as FFmpeg calls them.
FILES = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".webm": "webm"}
PIPE = "matroska"
#: Smaller pictures are coded without x265's pool of threads, in which it crashes on them now and
#: then.
POOL_PIXELS = 640 * 360
_FFV1 = {"level": "3", "slicecrc": "1"}


class VideoWriter:
    """What `open_writer` gives. `notes`: what could not be kept, complete at the end."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        """The file is complete, or gone where something was raised."""

    def write(self, planes: Planes, pts: int) -> None:
        """Next frame in display order; `pts` in ticks of the format's time base."""
        raise NotImplementedError

    def end(self, pts: int) -> None:
        """When the last frame ends, in the same ticks, where not by the frame rate."""


class MuxWriter(VideoWriter):
    """Video file or pipe through PyAV, with the copied packets of `tracks` that it takes."""

    def __init__(
        self,
        target: PendingFile | BinaryIO,
        kind: str,
        fmt: VideoFormat,
        crf: float | None,
        tracks: TrackReader | None,
        metadata: Metadata,
        threads: int,
    ) -> None:
        super().__init__()
        self._fmt, self._kind, self._metadata = fmt, kind, metadata
        self._pending = target if isinstance(target, PendingFile) else None
        self._pipe = None if isinstance(target, PendingFile) else _PipeOutput(target)
        self._name = str(target.path) if isinstance(target, PendingFile) else "standard output"
        self._newest: av.VideoFrame | None = None
        self._clock = FileClock(kind, fmt.time_base)
        self._decoding = DecodingTimes(1 / fmt.frame_rate / self._clock.tick)
        #: When the last frame ends; times of the first packet, for showing and decoding.
        self._end: int | None = None
        self._begun: tuple[int, int] | None = None
        with name_errors(self._name):
            options = {"live": "1"} if self._pipe else {}
            file = self._pipe or str(self._pending and self._pending.temporary)
            self._container = av.open(
                file, "w", format=kind, options=options | MUXERS.get(kind, {})
            )
            try:
                self._video = self._add_video(crf, threads)
                suffix = self._pending.path.suffix if self._pending else kind
                self._tracks = TrackMuxer(
                    self._container, kind, suffix, tracks, metadata, begun=self._begin_pipe
                )
            except BaseException:
                with contextlib.suppress(av.FFmpegError):
                    self._container.close()
                raise

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        with self._pending or contextlib.nullcontext(), name_errors(self._name):
            try:
                if value is None:
                    newest = self._newest
                    packets = self._video.encode(newest) if newest is not None else []
                    self._mux(
                        [*packets, *self._video.encode(None)],
                        newest.pts if newest is not None else None,
                    )
                    self._tracks.finish()
            finally:
                self._container.close()
                self.notes += self._tracks.notes
            if self._pipe and value is None:
                self._pipe.flush()
            if value is not None:
                raise value
            shaped, sar = self._kind in ("matroska", "webm"), self._fmt.sar
            place = self._pending.temporary if self._pending and shaped and sar != 1 else None
            if place and not write_display_size(place, self._display_size):
                ratio = f"{sar.numerator}:{sar.denominator}"
                self.notes.append(f"sample aspect ratio {ratio} left out")

    def end(self, pts: int) -> None:
        self._end = self._clock.place(pts)

    def write(self, planes: Planes, pts: int) -> None:
        frame = frame_from_planes(planes, self._fmt.bit_depth)
        frame.pts, frame.time_base = self._clock.send(pts), self._clock.tick
        self._decoding.send(frame.pts)
        tag_colour(frame, self._fmt.colour)
        with name_errors(self._name):
            # The last frame of a file waits for its end.
            ready, self._newest = (frame, None) if self._pipe else (self._newest, frame)
            if ready is not None:
                self._mux(self._video.encode(ready))
            if self._pipe:
                self._pipe.flush()

    @property
    def _display_size(self) -> tuple[int, int]:
        return display_size(self._fmt.width, self._fmt.height, self._fmt.sar)

    def _add_video(self, crf: float | None, threads: int) -> av.VideoStream:
        fmt, metadata = self._fmt, self._metadata
        if self._pipe:
            codec, options = "ffv1", _FFV1
        else:
            codec, options = _encoder(self._name, self._kind, fmt, crf, metadata)
        if (metadata.mastering or metadata.light) and codec not in ("libx264", "libx265"):
            self.notes.append(f"HDR metadata left out, {codec} has none here")
        stream = self._container.add_stream(codec, rate=fmt.frame_rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.disposition = av.stream.Disposition.default
        context = stream.codec_context
        if codec == "libx265" and self._kind != "matroska":
            # Apple's players know H.265 by this name only.
            context.codec_tag = "hvc1"
        context.width, context.height = fmt.width, fmt.height
        context.pix_fmt = "yuv420p" if fmt.bit_depth == 8 else "yuv420p10le"
        context.time_base = stream.time_base = self._clock.tick
        context.thread_count = threads
        context.sample_aspect_ratio = fmt.sar
        tag_colour(context, fmt.colour)
        return stream

    def _begin_pipe(self) -> None:
        if self._pipe:
            self._pipe.begin(self._display_size if self._fmt.sar != 1 else None)

    def _mux(self, packets: Sequence[av.Packet], last: int | None = None) -> None:
        """`last`: with the last packets, when the frame shown last begins. MP4 ends when the packet
        decoded last does, other files when that frame does."""
        for packet in packets:
            self._decoding.mend(packet)
            assert packet.dts is not None and packet.pts is not None
            pts, dts = self._begun = self._begun or (packet.pts, packet.dts)
            if last is not None and self._end is not None:
                if packet.pts == last:
                    packet.duration = max(1, self._end - packet.pts)
                if packet is packets[-1] and self._kind in COUNTS:
                    packet.duration = max(1, self._end - pts - (packet.dts - dts))
            self._tracks.send(packet)


class _PipeOutput:
    """What FFmpeg writes to. The header waits until it is whole. An exception cannot pass through
    FFmpeg: it waits for `flush`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._head: bytearray | None = bytearray()
        self._stopped: BaseException | None = None

    def write(self, data: bytes) -> int:
        if self._head is not None:
            self._head += data
        elif self._stopped is None:
            try:
                self._stream.write(data)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (whatever it is)
                self._stopped = error
        return len(data)

    def begin(self, size: tuple[int, int] | None) -> None:
        """The header is whole; `size` goes into it."""
        head, self._head = bytes(self._head or b""), None
        self._stream.write((size and with_display_size(head, size)) or head)

    def flush(self) -> None:
        if self._stopped is not None:
            raise self._stopped
        if self._head is None:
            self._stream.flush()


def _encoder(
    name: str, kind: str, fmt: VideoFormat, crf: float | None, metadata: Metadata
) -> tuple[str, dict[str, str]]:
    """Encoder and options: lossless without `crf`. H.264 and H.265 have no odd sizes in 4:2:0, VP9
    (8 bits), AV1 and FFV1 do. WebM is VP9, or AV1 for 10 bits."""
    if kind != "webm" and fmt.width % 2 == 0 and fmt.height % 2 == 0:
        siting = f"chromaloc={fmt.colour.chroma_location}"
        preset = {8: "medium", 10: "fast"}[fmt.bit_depth] if crf is not None else "veryfast"
        quality = {"preset": preset} | ({} if crf is None else {"crf": f"{crf:g}"})
        if fmt.bit_depth == 8:
            params = siting + ":qp=0" * (crf is None) + _hdr(metadata, "mastering-display", "cll")
            return "libx264", {"x264-params": params, **quality}
        params = (
            f"log-level=none:{siting}"
            + ":lossless=1" * (crf is None)
            + ":pools=none" * (fmt.width * fmt.height < POOL_PIXELS)
            + _hdr(metadata, "master-display", "max-cll")
        )
        return "libx265", {"x265-params": params, **quality}
    if kind == "matroska" and crf is None:
        return "ffv1", _FFV1
    if kind == "webm" and fmt.bit_depth == 10 and crf is not None and codes_av1(fmt):
        # The VP9 encoder here has 8 bits only.
        return "libsvtav1", {"crf": f"{crf:g}", "preset": "8"}
    if fmt.bit_depth == 10 or kind == "mov":
        size = f"{fmt.bit_depth}-bit video of size {fmt.width}×{fmt.height}"
        raise UsageError(f"{name}: {size} cannot be written like this, lossless .mkv or .y4m can")
    quality = {"lossless": "1"} if crf is None else {"crf": f"{crf:g}", "b": "0"}
    return "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime", "row-mt": "1"} | quality


def codes_av1(fmt: VideoFormat) -> bool:
    """Whether SVT-AV1 takes pictures of this size; it is kept from writing messages of its own."""
    quiet_svt()
    return fmt.width % 2 == 0 and fmt.height % 2 == 0 and min(fmt.width, fmt.height) >= 64


def _hdr(metadata: Metadata, mastering: str, light: str) -> str:
    """Options of x264 or x265, which call them so, for HDR metadata in the bitstream."""
    options = ""
    if metadata.mastering is not None:
        red, green, blue, white, levels = (metadata.mastering[n : n + 2] for n in range(0, 10, 2))
        named = zip(("G", "B", "R", "WP", "L"), (green, blue, red, white, levels), strict=True)
        options += f":{mastering}=" + "".join(f"{name}({a},{b})" for name, (a, b) in named)
    if metadata.light is not None:
        options += f":{light}={metadata.light[0]},{metadata.light[1]}"
    return options


@contextlib.contextmanager
def name_errors(path: Path | str) -> Iterator[None]:
    """Errors of FFmpeg and the file system as one line, but for a reader that has gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
        raise MediaError(
            f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}"
        ) from error
