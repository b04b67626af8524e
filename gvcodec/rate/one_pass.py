"""One encode of a video for rate control: `encode_pass` writes a file in memory and measures it;
`measure_video` reads a video without coding it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from gvcodec.base import BaseEncoder
from gvcodec.bitstream import Reader
from gvcodec.codec.encode_stream import VideoSource, count_tracks, encode_source
from gvcodec.codec.encoder import Encoder, Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.source.reader import Frame
from gvcodec.tracks.opus import SoundCoder
from gvcodec.tracks.packets import CHUNK
from gvcodec.types import VideoFormat
from gvcodec.util.messages import MOST_AMOUNT


@dataclass(frozen=True, slots=True)
class Budget:
    """One of four: `size` bytes or `bitrate` bits a second for the whole file with its sound,
    `bpp` bits a luma pixel or `video_bitrate` bits a second for the file without it."""

    size: float | None = None
    bitrate: float | None = None
    bpp: float | None = None
    video_bitrate: float | None = None

    @property
    def bounds_file(self) -> bool:
        """Whether it limits the bytes of the file, with sound, subtitles and container."""
        return self.bpp is None and self.video_bitrate is None

    @property
    def is_global(self) -> bool:
        """Whether it holds for the whole file, not for each part of it."""
        return True

    def __post_init__(self) -> None:
        values = (self.size, self.bitrate, self.bpp, self.video_bitrate)
        amounts = [value for value in values if value is not None]
        if len(amounts) != 1 or not 0 < amounts[0] <= MOST_AMOUNT:
            raise UsageError(
                "a budget is one of size, bitrate, bpp and video_bitrate, above 0 and at most 1e18",
                code="target",
            )

    def file_bytes(
        self, fmt: VideoFormat, frames: int, track_bytes: int, seconds: float | None = None
    ) -> int:
        """Largest size of a file of `frames` frames, with `track_bytes` of sound and subtitles.
        `seconds`: its duration, None = by the frame rate."""
        seconds = frames / float(fmt.frame_rate) if seconds is None else seconds
        video_bytes = self.bytes_allowed(frames * fmt.width * fmt.height, seconds)
        return video_bytes if self.bounds_file else video_bytes + track_bytes

    def bytes_allowed(self, samples: int, seconds: float) -> int:
        """Bytes allowed for `samples` luma samples in `seconds`; with `bpp` and `video_bitrate`
        without sound."""
        if self.size is not None:
            return int(self.size)
        bitrate = self.video_bitrate if self.bitrate is None else self.bitrate
        if bitrate is not None:
            return int(bitrate * seconds / 8)
        assert self.bpp is not None
        return int(self.bpp * samples / 8)


#: Opens the same video again for every pass.
SourceFactory = Callable[[], AbstractContextManager[VideoSource]]


#: Bytes of the file that holds a stream, and of the sound and subtitles in it.
ContainerSize = Callable[[bytes], tuple[int, int]]


#: Wraps an iterator of frames to report progress: frames, title, total.
ProgressWrapper = Callable[[Iterable[Frame], str, int | None], Iterable[Frame]]


@dataclass(frozen=True, slots=True)
class VideoStats:
    """Figures that all passes share: number of frames, approximate bytes of sound, subtitles and
    attachments, duration of the video in seconds (None: by its frame rate)."""

    format: VideoFormat
    frames: int
    track_bytes: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EncodePass:
    """An encoded video: the stream, bytes of its frame packets in coding order, and the rest of the
    file. `base_q`: the index of base layer `base`. `incomplete`: missing parts of the source."""

    format: VideoFormat
    data: bytes
    frame_bytes: list[int]
    track_bytes: int
    track_packets: int
    psnr_y: float
    fit_payloads: Mapping[int, bytes]
    notes: list[str]
    base_q: float
    base: str
    #: As from `kinds_of`.
    track_kinds: str = ""
    #: Whether sound is the source's own, not re-encoded.
    copies_sound: bool = False
    seconds: float = 0.0
    incomplete: str = ""
    #: Bytes by which the file is larger than the stream; below 0 if it leaves tracks out.
    container_bytes: int = 0

    @property
    def file_bytes(self) -> int:
        return len(self.data) + self.container_bytes

    @property
    def other_bytes(self) -> int:
        """Everything in the file but frame packets."""
        return self.file_bytes - sum(self.frame_bytes)


def measure_video(open_source: SourceFactory, watch: ProgressWrapper) -> VideoStats:
    """Read the video once without coding it."""
    with open_source() as source:
        # In the pieces of `encode_pass`, since every piece has a header.
        tracks = source.tracks
        track_bytes = sum(len(attachment.data) for attachment in source.attachments)
        frames, track_bytes = 0, track_bytes + (len(tracks.pop()) if tracks else 0)
        last = 0
        for frame in watch(source, "count", None):
            frames, last = frames + 1, frame.pts
            track_bytes += len(tracks.pop(CHUNK)) if tracks else 0
        track_bytes += len(tracks.pop()) if tracks else 0
        fmt = source.format
        seconds = (last - source.start_pts) * fmt.time_base + 1 / fmt.frame_rate
        if source.end is not None:
            seconds = (source.end - source.start_pts) * fmt.time_base
        return VideoStats(fmt, frames, track_bytes, float(seconds))


def encode_pass(
    open_source: SourceFactory,
    config: EncoderConfig,
    stage: str,
    watch: ProgressWrapper,
    frames: int,
    base_encoder: BaseEncoder | None = None,
    fit_payloads: Mapping[int, bytes] | None = None,
    progress: Progress | None = None,
    writes_painted_hash: bool = True,
) -> EncodePass:
    """Encode the first `frames` frames. `base_encoder` and `fit_payloads` as for `Encoder`,
    `writes_painted_hash` as for `encode_stream`. Raises the encoder's errors."""
    stream = io.BytesIO()
    with open_source() as source:
        encoder = Encoder(
            source.format, config, source.start_pts, progress, base_encoder, fit_payloads
        )
        watched = watch(_first(source, frames), stage, frames)
        writer = encode_source(source, watched, encoder, stream, writes_painted_hash)
        data = stream.getvalue()
        reader = Reader(io.BytesIO(data))
        track_packets, kinds = count_tracks(source)
        sizes = [reader.packet_size for packet in reader.packets() if packet.is_frame]
        return EncodePass(
            source.format,
            data,
            sizes,
            writer.track_size,
            track_packets,
            encoder.psnr_y,
            encoder.fit_payloads,
            [*source.notes, *encoder.notes],
            encoder.config.base_q,
            encoder.config.base,
            kinds,
            "audio" in kinds and not isinstance(source.tracks, SoundCoder),
            encoder.seconds,
            source.incomplete,
        )


def _first(source: VideoSource, count: int) -> Iterator[Frame]:
    """The first `count` frames; if these are all, the source is read to its end."""
    for number, frame in enumerate(source):
        if number == count:
            return
        yield frame
