"""A video and its tracks as one Matroska stream, which ffmpeg or whoever reads a pipe takes apart.

    feed = Feed(sink, tracks, metadata)
    video = feed.container.add_stream("rawvideo", rate=25)
    feed.send(packet)
    feed.finish()

Times are exact to the microsecond: FFmpeg's muxer counts milliseconds, so it gets a thousand times
as many, and the header, which waits until it is whole, states the length of a tick. The delay of a
track hides sound at its beginning; if sound begins before the first picture, everything is later by
that time."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, cast

import av
from av.container import OutputContainer
from av.stream import Stream

from gvcodec.bitstream.attachments import Attachment
from gvcodec.bitstream.metadata import Metadata
from gvcodec.errors import DamagedStreamError
from gvcodec.sink.track_muxing import Muxing, codec_name, describe, usual_layout
from gvcodec.tracks.packets import Track, TrackPacket, TrackReader, without_hidden
from gvcodec.tracks.sound_clock import aac_config, adts_header, is_frame
from gvcodec.util.boxes import (
    CHECKSUM,
    HEAD_BYTES,
    SEGMENT,
    TRACK,
    TRACKS,
    VIDEO,
    VOID,
    element,
    element_head,
    rewrite,
)

#: Ticks of the stream a second.
TICKS = 1_000_000
#: FFmpeg's value for a tick.
_MILLISECOND = Fraction(1, 1000)
#: `TimestampScale` of a tick in nanoseconds: as FFmpeg writes it, and as it is.
_SCALE, _FINE = b"\x2a\xd7\xb1\x83\x0f\x42\x40", b"\x2a\xd7\xb1\x83\x00\x03\xe8"
#: The header is written without seeking back. The first track would be the default one otherwise.
#: Samples that are not coded have no other place in Matroska.
_MUXING = {"live": "1", "default_mode": "passthrough", "allow_raw_vfw": "1"}
#: Subtitles of MP4: a length in two bytes, the text, boxes with its style. Matroska has no place
#: for them but as plain text.
MOV_TEXT = "mov_text"
_STYLES = b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n"
#: PCM by FFmpeg's names of samples.
_PCM = {
    "u8": "pcm_u8",
    "s16": "pcm_s16le",
    "s32": "pcm_s32le",
    "flt": "pcm_f32le",
    "dbl": "pcm_f64le",
}
#: Names the data in errors.
_TRACKS_HEAD = "tracks of a Matroska file"
#: Width and height at which a video is shown, and their unit.
_DISPLAY_FIELDS = (0x54B0, 0x54BA, 0x54B2)
#: Bytes at the beginning of a file that hold the element of its tracks.
_HEADER_BYTES = 1 << 16
_MAX_SIDE = (1 << 16) - 1


class Sink(Protocol):
    """Where the stream goes."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


class FedTrack:
    """A track on its way into a Matroska stream, which has no place for some codecs: subtitles of
    MP4 go as plain text, AAC of broadcasts without the header of each frame, rare sound as PCM.
    `first`: its first packets."""

    def __init__(self, track: Track, template: Stream, first: Sequence[TrackPacket]) -> None:
        self.track, self._template, self.first = track, template, first
        self.kind = template.type
        self.source = self.codec = codec_name(template)
        self._decoder: av.AudioCodecContext | None = None
        #: `AudioSpecificConfig` of AAC whose frames say it one by one.
        self._config = b""
        context = template.codec_context
        if self.source == "aac" and context is not None and not context.extradata:
            frames = (packet.data for packet in first if is_frame(template, packet.data))
            self._config = next(map(aac_config, frames), b"")
        if self.source == MOV_TEXT:
            self.codec = "subrip"
        elif isinstance(context, av.AudioCodecContext) and not self._is_held():
            decoder = cast(av.AudioCodecContext, av.CodecContext.create(self.source, "r"))
            decoder.sample_rate, decoder.layout = context.sample_rate, self.layout
            decoder.extradata = context.extradata
            decoder.open()
            self._decoder = decoder
            self.codec = _PCM[decoder.format.packed.name]

    @property
    def layout(self) -> str:
        """The layout of the channels, of which Matroska keeps the number alone."""
        context = self._template.codec_context
        assert isinstance(context, av.AudioCodecContext)
        return usual_layout(context)

    @property
    def decodes(self) -> bool:
        """Whether sound is decoded to PCM."""
        return self._decoder is not None

    @property
    def channels(self) -> int:
        context = self._template.codec_context
        return context.layout.nb_channels if isinstance(context, av.AudioCodecContext) else 0

    def add(self, container: OutputContainer) -> Stream:
        """Its stream in a file. Raises PyAV's errors."""
        context = self._template.codec_context
        if self.codec == self.source:
            output = container.add_stream_from_template(self._template)
            if self._config:
                output.codec_context.extradata = self._config
            if self.codec.startswith("pcm_") and isinstance(context, av.AudioCodecContext):
                cast(av.AudioStream, output).codec_context.layout = self.layout  # type: ignore[assignment]
        elif isinstance(context, av.AudioCodecContext):
            output = container.add_stream(self.codec, rate=context.sample_rate)
            cast(av.AudioStream, output).codec_context.layout = self.layout  # type: ignore[assignment]
        else:
            output = container.add_stream(self.codec)
            # FFmpeg opens an encoder, which wants a head of styles; none of it is written.
            cast(Any, output.codec_context).subtitle_header = _STYLES
        return describe(output, self.track)

    def _is_held(self) -> bool:
        """Whether Matroska has a place for this codec."""
        if self.source == "aac" and self._template.codec_context.extradata is None:
            return bool(self._config)
        with av.open(io.BytesIO(), "w", format="matroska") as trial:
            try:
                trial.add_stream_from_template(self._template)
            except (av.FFmpegError, ValueError):
                return False
        return True

    def data_of(self, packet: TrackPacket) -> bytes:
        """The bytes of a packet that go into the stream. Raises `av.FFmpegError`."""
        if self.source == MOV_TEXT:
            return packet.data[2 : 2 + int.from_bytes(packet.data[:2])]
        if self._config:
            return packet.data[adts_header(packet.data) :]
        if self._decoder is None:
            return packet.data
        parts = []
        for frame in self._decoder.decode(av.Packet(packet.data)):
            samples = frame.to_ndarray()
            parts.append((samples.T if frame.format.is_planar else samples).tobytes())
        return b"".join(parts)


class Feed(Muxing):
    """Writes into `sink`. `choose` is called with each track and says whether it goes into the
    stream; `on_start` when the header is whole, before it goes to the sink; `size`: at which
    pictures are shown."""

    def __init__(
        self,
        sink: Sink,
        tracks: TrackReader | None,
        metadata: Metadata,
        *,
        choose: Callable[[FedTrack], bool] = lambda track: True,
        on_start: Callable[[], None] = lambda: None,
        size: tuple[int, int] | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        self._output = _Output(sink)
        container = av.open(self._output, "w", format="matroska", options=_MUXING)
        super().__init__(container, tracks, metadata, attachments=attachments)
        self._choose, self._on_start, self._size = choose, on_start, size
        self._fed: dict[int, FedTrack] = {}

    def flush(self) -> None:
        """Wait until everything sent has arrived. Raises the sink's error."""
        self._output.flush()

    def finish(self) -> None:
        super().finish()
        self.container.close()
        self._output.flush()

    def abandon(self) -> None:
        """The stream is not wanted any more."""
        self._output.drop()
        with contextlib.suppress(av.FFmpegError):
            self.container.close()

    def _start(self) -> None:
        self.container.start_encoding()
        self._on_start()
        self._output.begin(self._size)

    def _add_track(self, number: int, template: Stream, first: list[TrackPacket]) -> None:
        try:
            fed = FedTrack(self._reader.tracks[number], template, first)
        except (av.FFmpegError, ValueError, KeyError):
            self._leave_out(template, "is left out: nothing decodes it")
            return
        if fed.decodes:
            # Hidden samples of PCM are left out.
            self._delays.pop(number, None)
        if self._choose(fed):
            self._outputs[number] = fed.add(self.container)
            self._fed[number] = fed

    def _frame(self, packet: av.Packet) -> None:
        assert packet.dts is not None and packet.pts is not None
        unit = Fraction(packet.time_base)
        begin = packet.pts * unit + self.offset
        end = begin + packet.duration * unit if packet.duration else begin
        packet.dts = round((packet.dts * unit + self.offset) * TICKS)
        packet.pts = round(begin * TICKS)
        packet.duration = round(end * TICKS) - packet.pts
        packet.time_base = _MILLISECOND
        self.container.mux(packet)

    def _packet(self, packet: TrackPacket) -> av.Packet | None:
        number = packet.track
        fed, tick = self._fed[number], self._reader.ticks[number]
        packet = replace(packet, data=fed.data_of(packet))
        if fed.decodes:
            packet = without_hidden(packet)
        if not packet.data:
            return None
        muxed = self._reader.av_packet(packet)
        begin = packet.pts * tick + self.offset
        # The muxer adds the delay by its own idea of a tick.
        delay = self._delays.get(number, Fraction(0))
        late = round(delay * TICKS) - round(delay / _MILLISECOND)
        muxed.time_base = _MILLISECOND
        muxed.pts = muxed.dts = round(begin * TICKS) + late
        muxed.duration = round((begin + packet.duration * tick) * TICKS) - round(begin * TICKS)
        muxed.stream = self._outputs[number]
        return muxed


class _Output:
    """The file that FFmpeg's muxer writes to. The header waits until it is whole. Exceptions cannot
    pass through FFmpeg: `flush` raises them."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._head: bytearray | None = bytearray()
        self._stopped: BaseException | None = None
        self._dropped = False

    def write(self, data: bytes) -> int:
        if self._head is not None:
            self._head += data
        elif self._stopped is None and not self._dropped:
            try:
                self._sink.write(data)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (any error of the sink)
                self._stopped = error
        return len(data)

    def begin(self, size: tuple[int, int] | None) -> None:
        """The header is whole; the `size` at which pictures are shown goes into it."""
        head, self._head = bytes(self._head or b"").replace(_SCALE, _FINE, 1), None
        if size is not None:
            head = with_display_size(head, size) or head
        self._sink.write(head)

    def drop(self) -> None:
        self._dropped = True
        self._head = None

    def flush(self) -> None:
        if self._stopped is not None:
            raise self._stopped
        if self._head is None:
            self._sink.flush()


def display_size(width: int, height: int, sar: Fraction) -> tuple[int, int]:
    """Width and height of the shape in which a picture is shown, not smaller than it."""
    shape = Fraction(width, height) * sar
    times = max(1, math.ceil(Fraction(height, shape.denominator)))
    ratio = shape.numerator * times, shape.denominator * times
    return ratio if max(ratio) <= _MAX_SIDE else (min(_MAX_SIDE, round(width * sar)), height)


def with_display_size(data: bytes, size: tuple[int, int]) -> bytes | None:
    """The beginning of a Matroska file with a display size instead of the checksum of its tracks:
    no byte after it moves. None if it does not fit."""
    at, identity, tracks = 0, 0, b""
    while identity != TRACKS:
        head = element_head(data[at : at + HEAD_BYTES])
        if head is None:
            return None
        identity = head.identity
        at += head.head_bytes
        if identity != SEGMENT:
            if head.body_bytes is None or head.body_bytes > len(data) - at:
                return None
            tracks = data[at : at + head.body_bytes]
            at += head.body_bytes
    try:
        new = _with_size(tracks, size)
    except DamagedStreamError:
        return None
    # An element that means nothing has two bytes at least.
    padding = len(tracks) - len(new)
    if padding < 0 or padding == 1 or padding > 128:
        return None
    new += bytes([VOID, 0x80 | padding - 2]) + bytes(padding - 2) if padding else b""
    return data[: at - len(tracks)] + new + data[at:]


def write_display_size(path: Path, size: tuple[int, int]) -> bool:
    """Write a display size into a Matroska file. False if it does not fit."""
    with open(path, "r+b") as file:
        if (changed := with_display_size(file.read(_HEADER_BYTES), size)) is None:
            return False
        file.seek(0)
        file.write(changed)
    return True


def _with_size(tracks: bytes, size: tuple[int, int]) -> bytes:
    numbers = (side.to_bytes((side.bit_length() + 7) // 8) for side in size)
    fields = b"".join(
        element(name, side) for name, side in zip(_DISPLAY_FIELDS, numbers, strict=False)
    )

    def change(identity: int, body: bytes) -> bytes | None:
        if identity in (TRACK, VIDEO):
            body = rewrite(body, _TRACKS_HEAD, change)
            return body + fields if identity == VIDEO else body
        return None if identity in (CHECKSUM, VOID, *_DISPLAY_FIELDS) else body

    return rewrite(tracks, _TRACKS_HEAD, change)
