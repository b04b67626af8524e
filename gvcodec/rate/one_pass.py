"""One encode of a video, to a file in memory, with the figures that rate control needs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gvcodec.base import BaseEncoder
from gvcodec.bitstream import Reader
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder, Progress
from gvcodec.config import EncoderConfig
from gvcodec.media.metadata import Metadata
from gvcodec.media.reader import Frame
from gvcodec.media.tracks import CHUNK, TrackCopier
from gvcodec.types import Planes, VideoFormat


class Source(Protocol):
    """A video that can be read once; `VideoReader` is one."""

    format: VideoFormat
    start_pts: int
    end: int | None
    notes: list[str]
    tracks: TrackCopier | None
    metadata: Metadata

    def __iter__(self) -> Iterator[Frame]: ...


#: Opens the same video anew for every pass.
Open = Callable[[], AbstractContextManager[Source]]


class Watch(Protocol):
    """Shows that frames go by: gives back the frames it gets. `total` is their number."""

    def __call__(
        self, frames: Iterable[Frame], what: str, total: int | None
    ) -> Iterable[Frame]: ...


@dataclass(frozen=True, slots=True)
class Extent:
    """What all passes share: number of frames, bytes of the sound and subtitles, roughly, and how
    long the video lasts (None: by its frame rate)."""

    format: VideoFormat
    frames: int
    track_bytes: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """An encoded video: the file, bytes of its frame packets in coding order, and the rest of the
    file. `base_q`: the index of base layer `base`."""

    format: VideoFormat
    data: bytes
    frame_bytes: list[int]
    track_bytes: int
    track_packets: int
    psnr_y: float
    fitted: Mapping[int, bytes]
    notes: list[str]
    base_q: float
    base: str
    #: "audio", "subtitles" or both.
    track_kinds: str = ""
    seconds: float = 0.0

    @property
    def other_bytes(self) -> int:
        """Everything but frame packets."""
        return len(self.data) - sum(self.frame_bytes)


def measure(open_source: Open, watch: Watch) -> Extent:
    """Read the video once without coding it."""
    with open_source() as source:
        # In the pieces in which `run` sends them, since every piece costs something.
        tracks = source.tracks
        frames, track_bytes = 0, len(tracks.take()) if tracks else 0
        last = 0
        for frame in watch(source, "count", None):
            frames, last = frames + 1, frame.pts
            track_bytes += len(tracks.take(CHUNK)) if tracks else 0
        track_bytes += len(tracks.take()) if tracks else 0
        fmt = source.format
        seconds = (last - source.start_pts) * fmt.time_base + 1 / fmt.frame_rate
        if source.end is not None:
            seconds = (source.end - source.start_pts) * fmt.time_base
        return Extent(fmt, frames, track_bytes, float(seconds))


def run(
    open_source: Open,
    config: EncoderConfig,
    what: str,
    watch: Watch,
    frames: int,
    base_encoder: BaseEncoder | None = None,
    fitted: Mapping[int, bytes] | None = None,
    progress: Progress | None = None,
    paints: bool = True,
) -> Pass:
    """Encode the first `frames` frames. `base_encoder` and `fitted` as for `Encoder`, `paints` as
    for `encode_stream`. Raises what the encoder raises."""
    stream = io.BytesIO()
    with open_source() as source:
        encoder = Encoder(source.format, config, source.start_pts, progress, base_encoder, fitted)

        def pieces() -> Iterator[tuple[Planes, int, bool]]:
            for frame in watch(_first(source, frames), what, frames):
                yield frame.planes, frame.pts, frame.new_size
            encoder.send_end(source.end)

        writer = encode_stream(
            encoder,
            stream,
            pieces(),
            source.metadata.pack(),
            source.tracks,
            CHUNK,
            paints=paints,
        )
        data = stream.getvalue()
        reader = Reader(io.BytesIO(data))
        sizes = [reader.packet_size for packet in reader.packets() if packet.is_frame]
        return Pass(
            source.format,
            data,
            sizes,
            writer.track_size,
            source.tracks.packets if source.tracks else 0,
            encoder.psnr_y,
            encoder.fitted,
            [*source.notes, *encoder.notes],
            encoder.config.base_q,
            encoder.config.base,
            source.tracks.kinds if source.tracks else "",
            encoder.seconds,
        )


def _first(source: Source, count: int) -> Iterator[Frame]:
    """The first `count` frames; where these are all the source comes to its end."""
    for number, frame in enumerate(source):
        if number == count:
            return
        yield frame
