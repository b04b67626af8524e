"""Writes decoded frames with sound and subtitles: to files by one process of ffmpeg, which codes
the pictures and takes the tracks as they are, and to pipes as Matroska.

    with FileWriter(pending, fmt, crf, tracks, metadata, threads) as writer:
        writer.write(planes, pts)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import av
from av.container import OutputContainer
from av.stream import Disposition

from gvcodec.bitstream.attachments import Attachment, name_all
from gvcodec.bitstream.metadata import Metadata
from gvcodec.errors import MediaError, UsageError
from gvcodec.planes import frame_from_planes, tag_colour
from gvcodec.sink.feed import MOV_TEXT, FedTrack, Feed, display_size, write_display_size
from gvcodec.sink.track_muxing import MUXERS, OTHER_CODES, Labels, labels_in_file, lost_of
from gvcodec.tracks.attached_files import as_fed, choose_held
from gvcodec.tracks.packets import TrackReader
from gvcodec.tracks.tags import lost_metadata, needs_tag_list
from gvcodec.types import UNSPECIFIED_COLOUR, Planes, VideoFormat
from gvcodec.util.file_io import PendingFile

if TYPE_CHECKING:
    from gvcodec.util.ffmpeg import Process

#: Kinds of files by their extensions, as FFmpeg calls them.
FILES = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mkv": "matroska",
    ".mov": "mov",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
    ".flv": "flv",
    ".gif": "gif",
    ".apng": "apng",
}
PIPE = "matroska"
#: Smaller pictures are coded without x265's pool of threads, in which it crashes on them now and
#: then.
POOL_PIXELS = 640 * 360
#: Kinds of files without VP9, the only codec here for odd sizes.
_EVEN = ("mpegts", "flv")
#: Kinds of files in which players do not find H.265.
_EIGHT_BITS = ("avi", "flv")
#: Kinds of files in which Apple's players know H.265 by one name only.
_APPLE = ("mp4", "mov")
#: Ticks a second that leave room for a pause of an hour; the usual rate where finer ones have no
#: whole part of that size.
_FINEST, _USUAL = (1 << 31) // 3600, 90_000
#: FFmpeg's tags of samples of 4:2:0 by their bits: Matroska has none for ten.
_TAGS = {8: "I420", 10: "0x0A0B3359"}
_FFV1 = {"level": "3", "slicecrc": "1"}
#: Encoders of sound and subtitles for files that cannot hold them unchanged.
_SOUND = {
    "mp4": "aac",
    "mov": "aac",
    "matroska": "libopus",
    "webm": "libopus",
    "avi": "ac3",
    "mpegts": "ac3",
    "flv": "aac",
}
_TEXT = {"mp4": MOV_TEXT, "mov": MOV_TEXT, "matroska": "subrip", "webm": "webvtt"}
#: Subtitles that are text. Others are pictures, which no text comes from.
_TEXTS = ("subrip", "srt", "ass", "ssa", "webvtt", "text")
#: Other PCM becomes this where a kind of file has it: of G.711 (cameras) nothing is lost.
_PCM, _HOLD_PCM = "pcm_s16le", ("mp4", "mov", "matroska", "avi")
#: Its decoder wants to know the length of the track, which a stream does not say.
_NEEDS_LENGTH = ("tta",)
#: Bits a second of a channel of sound that is coded again.
_BITRATE = 96_000
#: In H.273: the matrix of RGB, which 4:2:0 does not have, and an unspecified one.
_RGB = 0
#: How x265 and ffmpeg call chroma siting, by its code.
_SITINGS = {0: "left", 1: "center", 2: "topleft", 3: "top", 4: "bottomleft", 5: "bottom"}


class VideoWriter:
    """Result of `open_writer`. `notes`: losses, complete at the end."""

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


class PipeWriter(VideoWriter):
    """Matroska with lossless FFV1 and the tracks, each frame as soon as it comes."""

    def __init__(
        self,
        stream: BinaryIO,
        fmt: VideoFormat,
        tracks: TrackReader | None,
        metadata: Metadata,
        attachments: Sequence[Attachment],
        threads: int,
    ) -> None:
        super().__init__()
        self._fmt = fmt
        if metadata.mastering or metadata.light:
            self.notes.append("HDR metadata left out, ffv1 has none here")
        size = display_size(fmt.width, fmt.height, fmt.sar) if fmt.sar != 1 else None
        with name_errors("standard output"):
            self._feed = Feed(
                stream, tracks, metadata, choose=self._choose, size=size, attachments=attachments
            )
            self._video = _add_video(self._feed, fmt, "ffv1", _FFV1)
            self._video.metadata.update(metadata.names_of(0))
            self._video.codec_context.thread_count = threads

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        if value is not None:
            self._feed.abandon()
            return
        with name_errors("standard output"):
            self._send(None)
            self._feed.finish()
            self._feed.flush()
        self.notes += self._feed.notes

    def write(self, planes: Planes, pts: int) -> None:
        frame = frame_from_planes(planes, self._fmt.bit_depth)
        frame.pts, frame.time_base = pts, self._fmt.time_base
        tag_colour(frame, self._fmt.colour)
        with name_errors("standard output"):
            self._send(frame)
            # Whoever reads a pipe wants the frame now.
            self._feed.flush()

    def _choose(self, feed_track: FedTrack) -> bool:
        if fits("matroska", feed_track) is not None:
            return True
        self.notes.append(
            f"{feed_track.kind} track ({feed_track.source}) does not fit matroska and is left out"
        )
        return False

    def _send(self, frame: av.VideoFrame | None) -> None:
        for packet in self._video.encode(frame):
            packet.duration = 0
            self._feed.send(packet)


class FileWriter(VideoWriter):
    """A file of any kind in `FILES`. Without `crf` samples are exact."""

    def __init__(
        self,
        pending: PendingFile,
        fmt: VideoFormat,
        crf: float | None,
        tracks: TrackReader | None,
        metadata: Metadata,
        attachments: Sequence[Attachment],
        threads: int,
    ) -> None:
        super().__init__()
        # Other outputs need no program.
        from gvcodec.util.ffmpeg import Process, find_ffmpeg

        self._make_process = Process
        self._pending, self._fmt, self._metadata = pending, fmt, metadata
        self._suffix = pending.path.suffix.lower()
        self._kind = FILES[self._suffix]
        # AVI counts frames.
        finest = 1 / fmt.frame_rate if self._kind == "avi" else fmt.time_base
        self._threads, self._tick = threads, tick_of(finest)
        #: Words for each track of the file.
        self._tracks: list[list[str]] = []
        self._encoder, self._words = choose_encoder(pending.path, self._kind, fmt, crf, metadata)
        self._program = find_ffmpeg(self._encoder)
        self._sink = _Sink()
        self._attachments, left_out = choose_held(attachments, self._kind)
        self._feed = Feed(
            self._sink,
            tracks,
            metadata,
            choose=self._choose,
            on_start=self._begin,
            attachments=[as_fed(attachment, self._kind) for attachment in self._attachments],
        )
        self._video = _add_video(self._feed, fmt, "rawvideo", {})
        self._video.metadata.update(metadata.names_of(0))
        #: The newest frame, whose end is not known yet, and when it ends, in ticks of the file.
        self._newest: av.Packet | None = None
        self._end: int | None = None
        has_light = self._encoder in ("libx264", "libx265")
        if (metadata.mastering or metadata.light) and not has_light:
            self.notes.append(f"HDR metadata left out, {self._encoder} has none here")
        lost = lost_metadata(metadata, self._kind, bool(self._attachments))
        if lost := [*lost, *([name_all(left_out)] if left_out else [])]:
            self.notes.append(f"{', '.join(lost)} left out, {self._suffix} has no place")

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        with self._pending:
            try:
                if value is not None:
                    raise value
                if self._newest is not None:
                    assert self._newest.pts is not None
                    usual = self._newest.pts + round(1 / self._fmt.frame_rate / self._tick)
                    self._send(self._newest, usual if self._end is None else self._end)
                self._feed.finish()
                if self._sink.process is not None:
                    message = self._sink.process.finish()
                    if message:
                        self.notes.append(f"ffmpeg says: {message}")
                self.notes += self._feed.notes
                if self._kind == "webm" and self._fmt.sar != 1:
                    # FFmpeg's muxer rounds the size at which pictures are shown.
                    size = display_size(self._fmt.width, self._fmt.height, self._fmt.sar)
                    write_display_size(self._pending.temporary, size)
            except MediaError as error:
                raise MediaError(f"{self._pending.path}: cannot be written: {error}") from error
            finally:
                self._feed.abandon()
                if self._sink.process is not None:
                    self._sink.process.kill()

    def write(self, planes: Planes, pts: int) -> None:
        (packet,) = self._video.encode(frame_from_planes(planes, self._fmt.bit_depth))
        begin = self._place(pts)
        earlier, self._newest = self._newest, packet
        if earlier is not None:
            assert earlier.pts is not None
            # In a coarser clock too each frame is later than the previous one.
            begin = max(begin, earlier.pts + 1)
            self._send(earlier, begin)
        packet.pts = packet.dts = begin
        packet.time_base = self._tick

    def end(self, pts: int) -> None:
        self._end = self._place(pts)

    def _place(self, pts: int) -> int:
        return round(pts * self._fmt.time_base / self._tick)

    def _send(self, packet: av.Packet, end: int) -> None:
        assert packet.pts is not None
        packet.duration = max(1, end - packet.pts)
        self._feed.send(packet)
        self._feed.flush()

    def _choose(self, feed_track: FedTrack) -> bool:
        """Whether the file gets a track, as it is or coded again, and the words for it."""
        number, track = len(self._tracks) + 1, feed_track.track
        name = f"{feed_track.kind} track ({feed_track.source})"
        labels = fits(self._kind, feed_track)
        encoder = self._encoder_for(feed_track, labels is not None)
        if encoder is None:
            self.notes.append(f"{name} does not fit {self._suffix} and is left out")
            return False
        words = [f"-c:{number}", encoder]
        if encoder not in ("copy", feed_track.codec, feed_track.source):
            self.notes.append(f"{name} is coded as {encoder}: {self._suffix} does not take it")
            if feed_track.kind == "audio" and encoder != _PCM:
                words += [f"-b:{number}", str(_BITRATE * feed_track.channels)]
        if labels is not None:
            self.notes += lost_of(track, *labels, self._suffix)
        flags = (Disposition(track.flags).name or "0").replace("|", "+")
        words += [f"-disposition:{number}", flags]
        words += self._language(number, track.language)
        self._tracks.append(words)
        return True

    def _language(self, number: int, code: str) -> list[str]:
        """Words for a language that QuickTime calls otherwise; the feed says others."""
        other = OTHER_CODES.get(code) if self._kind == "mov" else None
        return [f"-metadata:s:{number}", f"language={other}"] if other else []

    def _encoder_for(self, feed_track: FedTrack, fits: bool) -> str | None:
        """FFmpeg's encoder for a track, "copy" = unchanged; None if there is none."""
        if feed_track.decodes and "pcm_" not in feed_track.source:
            return _SOUND.get(self._kind)
        if fits:
            # ffmpeg gives PCM the usual channels, which MP4 wants and Matroska does not know.
            return feed_track.codec if feed_track.codec.startswith("pcm_") else "copy"
        if feed_track.kind == "subtitle":
            return _TEXT.get(self._kind) if feed_track.codec in _TEXTS else None
        if feed_track.codec.startswith("pcm_") and self._kind in _HOLD_PCM:
            return _PCM
        if feed_track.codec in _NEEDS_LENGTH:
            return None
        return _SOUND.get(self._kind)

    def _begin(self) -> None:
        """The tracks are known: start the process."""
        fmt, colour = self._fmt, self._fmt.colour
        matrix = colour.matrix
        if self._kind == "webm" and matrix == _RGB:
            matrix = UNSPECIFIED_COLOUR
            self.notes.append("the matrix (RGB) left out: VP9 and AV1 do not have it with 4:2:0")
        options = MUXERS.get(self._kind, {}).items()
        flags = [word for name, text in options for word in (f"-{name}", text)]
        if needs_tag_list(self._metadata, self._kind, bool(self._attachments)):
            flags[-1] += "+use_metadata_tags"
        tags = {"title": self._metadata.title} | dict(self._metadata.tags)
        metadata = [f"{name}={text}" for name, text in tags.items() if text]
        words = [
            # Damaged sound is no reason to write no pictures.
            *("-y", "-max_error_rate", "1", "-copyts", "-f", "matroska"),
            # Tags of the input: as tags of the output they would make ffmpeg convert.
            *("-color_range", "2" if colour.full_range else "1", "-colorspace", str(matrix)),
            *("-color_primaries", str(colour.primaries), "-color_trc", str(colour.transfer)),
            *("-chroma_sample_location", _SITINGS.get(colour.chroma_location, "left")),
            *("-tag:v", _TAGS[fmt.bit_depth], "-i", "pipe:0"),
            *("-map", "0"),
            *("-c:0", self._encoder, *self._words, "-disposition:0", "default"),
            *self._language(0, self._metadata.names_of(0).get("language", "")),
            *("-fps_mode:0", "passthrough", "-threads:0", str(self._threads)),
            *("-enc_time_base:0", f"{self._tick.numerator}:{self._tick.denominator}"),
            *(word for words in self._tracks for word in words),
            *(word for words in self._attaching() for word in words),
            *(word for text in metadata for word in ("-metadata", text)),
            *(*flags, "-f", self._kind, f"file:{self._pending.temporary}"),
        ]
        self._sink.process = self._make_process(self._program, words, self._encoder)

    def _attaching(self) -> Iterator[list[str]]:
        """Words for each attachment, which ffmpeg's demuxer counts after the tracks."""
        for number, attachment in enumerate(self._attachments, len(self._tracks) + 1):
            yield [f"-c:{number}", "copy"]
            if self._kind == "mp4":
                yield [f"-disposition:{number}", "attached_pic"]
            else:
                yield [f"-metadata:s:{number}", f"mimetype={attachment.media_type}"]


class _Sink:
    """The process, once it is started."""

    process: Process | None = None

    def write(self, data: bytes) -> None:
        assert self.process is not None
        self.process.write(data)

    def flush(self) -> None:
        if self.process is not None:
            self.process.flush()


def _add_video(feed: Feed, fmt: VideoFormat, codec: str, options: dict[str, str]) -> av.VideoStream:
    stream = feed.container.add_stream(codec, rate=fmt.frame_rate, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.disposition = Disposition.default
    context = stream.codec_context
    context.width, context.height = fmt.width, fmt.height
    context.pix_fmt = "yuv420p" if fmt.bit_depth == 8 else "yuv420p10le"
    context.time_base = stream.time_base = fmt.time_base
    context.sample_aspect_ratio = fmt.sar
    tag_colour(context, fmt.colour)
    return stream


def tick_of(time_base: Fraction) -> Fraction:
    """The tick of a file, seconds: of MP4 the ticks from frame to frame fit in 31 bits, and those
    of the feed are microseconds."""
    scale = time_base.denominator
    if scale <= _FINEST:
        return time_base
    # Many times stay exact in whole parts of the finer clock.
    least = -(-scale // _FINEST)
    factor = next((n for n in range(least, 16 * least) if scale % n == 0), None)
    return Fraction(1, scale // factor if factor else _USUAL)


def fits(kind: str, feed_track: FedTrack) -> Labels | None:
    """`labels_in_file` of a track as it is."""

    def write(trial: OutputContainer) -> None:
        output = feed_track.add(trial)
        trial.start_encoding()
        for packet in () if feed_track.decodes else feed_track.first:
            muxed = av.Packet(feed_track.data_of(packet))
            muxed.time_base, muxed.duration = feed_track.track.tick, packet.duration
            muxed.pts = muxed.dts = packet.pts - feed_track.first[0].pts
            muxed.is_keyframe, muxed.stream = packet.key, output
            trial.mux(muxed)

    return labels_in_file(kind, feed_track.kind, feed_track.track, write)


def choose_encoder(
    path: Path, kind: str, fmt: VideoFormat, crf: float | None, metadata: Metadata
) -> tuple[str, list[str]]:
    """Encoder and its words: lossless without `crf`. H.264 and H.265 have no odd sizes in 4:2:0;
    VP9, AV1, FFV1 and ProRes do. Raises `UsageError`."""
    layout = "yuv420p" if fmt.bit_depth == 8 else "yuv420p10le"
    words = ["-pix_fmt", layout]
    if fmt.sar != 1:
        words += ["-vf", f"setsar=sar={fmt.sar.numerator}/{fmt.sar.denominator}:max=65535"]
    even = fmt.width % 2 == 0 and fmt.height % 2 == 0
    if not even and kind in _EVEN:
        raise UsageError(f"{path}: {kind} has no pictures of odd size, .mp4 and .mkv do")
    if kind == "gif":
        # A palette for each picture.
        palette = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"
        return "gif", ["-vf", palette]
    if kind == "apng":
        return "apng", ["-pix_fmt", "rgb24"]
    if kind == "webm" or (not even and kind != "mov" and (crf is not None or kind != "matroska")):
        if fmt.bit_depth == 10 and crf is not None and kind == "webm" and codes_av1(fmt):
            return "libsvtav1", [*words, "-crf", f"{crf:g}", "-preset", "8"]
        quality = ["-lossless", "1"] if crf is None else ["-crf", f"{crf:g}", "-b:v", "0"]
        speed = ["-cpu-used", "8", "-deadline", "realtime", "-row-mt", "1"]
        return "libvpx-vp9", [*words, *speed, *quality]
    if not even and crf is not None:
        return "prores_ks", [*words[2:], "-pix_fmt", "yuv422p10le", "-profile:v", "hq"]
    if not even:
        return "ffv1", [*words, "-level", "3", "-slicecrc", "1"]
    siting = f"chromaloc={fmt.colour.chroma_location}"
    if kind in ("avi", "mp4", "mov"):
        # AVI does not store the order of frames. FFmpeg takes an MP4's end from the last packet in
        # coding order, which would lose how long the last picture stays. The filter `setts` can
        # lengthen that packet, but with B-frames it is not the picture shown last: the file ends
        # where it should, and a reader still finds one period for the last picture.
        words += ["-bf", "0"]
    if crf is None:
        words += ["-preset", "veryfast"]
    else:
        words += ["-preset", "medium" if fmt.bit_depth == 8 else "fast", "-crf", f"{crf:g}"]
    if fmt.bit_depth == 8:
        params = [siting, *_hdr(metadata, "mastering-display", "cll")]
        if crf is None:
            params.append("qp=0")
        return "libx264", [*words, "-x264-params", ":".join(params)]
    params = ["log-level=none", siting, *_hdr(metadata, "master-display", "max-cll")]
    if crf is None:
        params.append("lossless=1")
    if fmt.width * fmt.height < POOL_PIXELS:
        params.append("pools=none")
    if kind in _APPLE:
        words += ["-tag:v", "hvc1"]
    if kind in _EIGHT_BITS:
        raise UsageError(f"{path}: {kind} has no 10-bit video, .mp4 and .mkv do")
    return "libx265", [*words, "-x265-params", ":".join(params)]


def codes_av1(fmt: VideoFormat) -> bool:
    """Whether SVT-AV1 takes pictures of this size."""
    return fmt.width % 2 == 0 and fmt.height % 2 == 0 and min(fmt.width, fmt.height) >= 64


def _hdr(metadata: Metadata, mastering: str, light: str) -> list[str]:
    """Options of x264 or x265, which call them so, for HDR metadata in the bitstream."""
    options = []
    if metadata.mastering is not None:
        red, green, blue, white, levels = (metadata.mastering[n : n + 2] for n in range(0, 10, 2))
        pairs = zip(("G", "B", "R", "WP", "L"), (green, blue, red, white, levels), strict=True)
        options.append(f"{mastering}=" + "".join(f"{name}({a},{b})" for name, (a, b) in pairs))
    if metadata.light is not None:
        options.append(f"{light}={metadata.light[0]},{metadata.light[1]}")
    return options


@contextlib.contextmanager
def name_errors(path: Path | str) -> Iterator[None]:
    """Errors of FFmpeg and the file system as one line, except for a reader that has gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
        raise MediaError(
            f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}"
        ) from error
