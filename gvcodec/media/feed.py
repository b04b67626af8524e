"""A video and its tracks as one Matroska stream, which ffmpeg or whoever reads a pipe takes apart.

    feed = Feed(sink, tracks, metadata)
    video = feed.container.add_stream("rawvideo", rate=25)
    feed.send(packet)
    feed.finish()

Times are exact to the microsecond: FFmpeg's muxer counts milliseconds, so it gets a thousand times
as many, and the header, which waits until it is whole, says how long a tick is. Sound that is
hidden at the beginning of a track stays so by the track's delay; what begins before the first
picture comes later, together with everything else."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol, cast

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from gvcodec.errors import DamagedStreamError
from gvcodec.media.codec_parameters import delayed_head, make_head, open_head, with_display_size
from gvcodec.media.metadata import Metadata
from gvcodec.media.sound_clock import aac_config, adts_header, is_frame, silence
from gvcodec.media.tracks import Track, TrackPacket, TrackReader, without_hidden
from gvcodec.util.messages import count_noun

#: Ticks of the stream a second.
TICKS = 1_000_000
#: What FFmpeg takes a tick for.
_MILLISECOND = Fraction(1, 1000)
#: `TimestampScale` of a tick in nanoseconds: as FFmpeg writes it, and as it is.
_SCALE, _FINE = b"\x2a\xd7\xb1\x83\x0f\x42\x40", b"\x2a\xd7\xb1\x83\x00\x03\xe8"
#: The header is written without seeking back. The first track would be the default one otherwise.
#: Samples that are not coded have no other place in Matroska.
_MUXING = {"live": "1", "default_mode": "passthrough", "allow_raw_vfw": "1"}
#: Coded frames wait for the first packets of the tracks: at most 2 s and 32 MiB of them.
_PATIENCE, _ROOM = 2, 32 << 20
#: Seconds of hidden sound that a decoder gets before what is heard (Opus wants 80 ms).
_PREROLL = Fraction(1, 10)
#: Seconds without sound that are a hole.
_HOLE = Fraction(1, 50)
#: Packets of a track by which it is tried out whether a kind of file takes it.
_TRIAL = 8
#: Subtitles of MP4: a length in two bytes, the text, boxes with its style. Matroska has no place
#: for them but as plain text.
MOV_TEXT = "mov_text"
#: PCM by FFmpeg's names of samples.
_PCM = {
    "u8": "pcm_u8",
    "s16": "pcm_s16le",
    "s32": "pcm_s32le",
    "flt": "pcm_f32le",
    "dbl": "pcm_f64le",
}
#: The usual channels, by their number.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}


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
        """The channels. Matroska keeps their number; then they are the usual ones."""
        context = self._template.codec_context
        assert isinstance(context, av.AudioCodecContext)
        count = context.layout.nb_channels
        known = context.layout.name in _LAYOUTS.values() or count not in _LAYOUTS
        return context.layout.name if known else _LAYOUTS[count]

    @property
    def decodes(self) -> bool:
        """Whether sound is decoded to PCM."""
        return self._decoder is not None

    @property
    def channels(self) -> int:
        context = self._template.codec_context
        return context.layout.nb_channels if isinstance(context, av.AudioCodecContext) else 0

    def add(self, container: OutputContainer) -> Stream:
        """Its stream in a file. Raises what PyAV raises."""
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
        output.disposition = cast(Disposition, self.track.flags)
        if self.track.language:
            output.metadata["language"] = self.track.language
        if self.track.title:
            output.metadata["title"] = self.track.title
        return output

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
        """What of a packet goes into the stream. Raises `av.FFmpegError`."""
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


class Feed:
    """`tracks`: packets of sound and subtitles, as they come; `zero`: when the first picture is
    shown, seconds. `choose` is called with each track and says whether it goes into the stream;
    `begun` when the header is whole, before it goes to the sink. `offset`: seconds by which all
    comes later. `notes`: what is lost."""

    def __init__(
        self,
        sink: Sink,
        tracks: TrackReader | None,
        metadata: Metadata,
        *,
        zero: Fraction = Fraction(0),
        choose: Callable[[FedTrack], bool] = lambda track: True,
        begun: Callable[[], None] = lambda: None,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._output = _Output(sink)
        self.container = av.open(self._output, "w", format="matroska", options=_MUXING)
        self._choose, self._begun, self._size = choose, begun, size
        self._reader = tracks or TrackReader(b"\0")
        self._metadata, self._zero = metadata, zero
        #: Video packets, until the header is written.
        self._held: list[av.Packet] | None = []
        self._streams: dict[int, Stream] = {}
        self._fed: dict[int, FedTrack] = {}
        self._containers: list[InputContainer] = []
        #: When each track of sound begins to be heard, in its ticks, and how much is hidden then.
        self._heard: dict[int, int] = {}
        self._delays: dict[int, Fraction] = {}
        #: Where each track ends so far, in its ticks.
        self._ends: dict[int, int] = {}
        #: Packets of each track that are refused.
        self._refused: dict[int, int] = {}
        self.offset = Fraction(0)
        self.notes: list[str] = []

    def send(self, packet: av.Packet) -> None:
        """The next packet of the video, in decoding order, with its times in its `time_base`."""
        if self._held is None:
            self._mux_video(packet)
            return
        self._held.append(packet)
        first, size = self._held[0], sum(held.size for held in self._held)
        assert packet.dts is not None and first.dts is not None
        seconds = (packet.dts - first.dts) * packet.time_base
        if self._is_ready() or seconds > _PATIENCE or size > _ROOM:
            self._begin()

    def flush(self) -> None:
        """What was sent arrives. Raises what the sink raised."""
        self._output.flush()

    def finish(self) -> None:
        """All packets of the video have come: write the rest of the tracks."""
        self._begin()
        self._mux_until(None)
        for number, count in self._refused.items():
            name, kind = codec_name(self._reader.streams[number]), self._reader.streams[number].type
            damaged = count_noun(count, "damaged packet")
            self.notes.append(f"{kind} track ({name}) has {damaged}, left out")
        self.container.close()
        self._output.flush()

    def abandon(self) -> None:
        """The stream is not wanted any more."""
        self._output.drop()
        with contextlib.suppress(av.FFmpegError):
            self.container.close()

    def _is_ready(self) -> bool:
        """Whether it is known how each track of sound begins."""
        streams = enumerate(self._reader.streams)
        sound = {number for number, stream in streams if stream.type == "audio"}
        known = {p.track for p in self._reader.waiting if p.audible is not None}
        return sound <= known

    def _begin(self) -> None:
        """Add the tracks and write the header, and the packets that wait for it."""
        if self._held is None:
            return
        held, self._held = self._held, None
        for packet in self._reader.waiting:
            if packet.audible is not None and self._reader.streams[packet.track].type == "audio":
                self._heard.setdefault(packet.track, packet.audible)
        begins = [begin * self._reader.ticks[number] for number, begin in self._heard.items()]
        self.offset = -min([self._zero, *begins])
        for number in range(len(self._reader.streams)):
            self._add_track(number)
        self._metadata.during(None, None, self.offset).describe(self.container)
        self.container.start_encoding()
        self._begun()
        self._output.begin(self._size)
        for frame in held:
            self._mux_video(frame)

    def _add_track(self, number: int) -> None:
        stream, track = self._reader.streams[number], self._reader.tracks[number]
        kept = [p for p in self._reader.waiting if p.track == number and self._is_kept(p)]
        template = self._template(number, kept)
        try:
            fed = FedTrack(track, template, kept[:_TRIAL])
        except (av.FFmpegError, ValueError, KeyError):
            self.notes.append(
                f"{stream.type} track ({codec_name(stream)}) is left out: nothing decodes it"
            )
            return
        if fed.decodes:
            # Of PCM what is hidden is left out.
            self._delays.pop(number, None)
        if self._choose(fed):
            self._streams[number] = fed.add(self.container)
            self._fed[number] = fed

    def _template(self, number: int, kept: list[TrackPacket]) -> Stream:
        """What the track is made like. It says how long hidden sound lasts."""
        stream, tick = self._reader.streams[number], self._reader.ticks[number]
        head = make_head("matroska", [stream])
        if number not in self._heard or not kept or not head:
            return stream
        delay = (self._heard[number] - kept[0].pts) * tick
        try:
            container = open_head(delayed_head(head, round(delay * 10**9)))
        except DamagedStreamError:
            return stream
        self._containers.append(container)
        self._delays[number] = delay
        return container.streams[0]

    def _is_kept(self, packet: TrackPacket) -> bool:
        """Whether a packet is heard, or is hidden sound that a decoder needs."""
        if packet.audible is not None:
            return True
        tick, end = self._reader.ticks[packet.track], packet.pts + packet.duration
        heard = self._heard.get(packet.track)
        return heard is not None and heard - _PREROLL / tick < end <= heard

    def _mux_video(self, packet: av.Packet) -> None:
        """After the tracks before it, which FFmpeg would hold without bound."""
        assert packet.dts is not None and packet.pts is not None
        unit = Fraction(packet.time_base)
        self._mux_until(packet.dts * unit)
        begin = packet.pts * unit + self.offset
        end = begin + packet.duration * unit if packet.duration else begin
        packet.dts = round((packet.dts * unit + self.offset) * TICKS)
        packet.pts = round(begin * TICKS)
        packet.duration = round(end * TICKS) - packet.pts
        packet.time_base = _MILLISECOND
        self.container.mux(packet)

    def _mux_until(self, time: Fraction | None) -> None:
        """Write packets of tracks up to a time (seconds); None = all."""
        reader = self._reader
        while reader.waiting:
            first = reader.waiting[0]
            if time is not None and first.pts * reader.ticks[first.track] > time:
                return
            reader.waiting.popleft()
            if first.track not in self._streams or not self._is_kept(first):
                continue
            for packet in (*self._silence_before(first), first):
                self._mux(packet)

    def _mux(self, packet: TrackPacket) -> None:
        # What is refused later than here, in a muxer's queue, would end the file.
        fits = is_frame(self._reader.streams[packet.track], packet.data)
        try:
            fed = self._fed[packet.track]
            packet = replace(packet, data=fed.data_of(packet) if fits else b"")
            if fed.decodes:
                packet = without_hidden(packet)
            if packet.data:
                self.container.mux(self._packet(packet))
        except av.FFmpegError:
            fits = False
        if not fits:
            self._refused[packet.track] = self._refused.get(packet.track, 0) + 1

    def _packet(self, packet: TrackPacket) -> av.Packet:
        number = packet.track
        tick, delay = self._reader.ticks[number], self._delays.get(number, Fraction(0))
        made = self._reader.av_packet(packet)
        begin = packet.pts * tick + self.offset
        # The muxer adds the delay by its own idea of a tick.
        late = round(delay * TICKS) - round(delay / _MILLISECOND)
        made.time_base = _MILLISECOND
        made.pts = made.dts = round(begin * TICKS) + late
        made.duration = round((begin + packet.duration * tick) * TICKS) - round(begin * TICKS)
        made.stream = self._streams[number]
        return made

    def _silence_before(self, packet: TrackPacket) -> Iterator[TrackPacket]:
        """What fills a hole before a packet of PCM, for files that only count samples."""
        number, tick = packet.track, self._reader.ticks[packet.track]
        begin, self._ends[number] = self._ends.get(number), packet.pts + packet.duration
        silent = silence(self._reader.streams[number])
        if begin is None or not silent:
            return
        if (packet.pts - begin) * tick < _HOLE:
            # Clocks of containers are coarse: samples come one after the other.
            self._ends[number] = begin + packet.duration
            return
        while begin < packet.pts:
            length = min(packet.pts - begin, round(1 / tick))
            yield TrackPacket(number, begin, length, silent * length)
            begin += length


def codec_name(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context else "unknown"


class _Output:
    """What FFmpeg's muxer writes to. The header waits until it is whole. An exception cannot pass
    through FFmpeg: it waits for `flush`."""

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
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (whatever it is)
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
