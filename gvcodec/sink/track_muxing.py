"""Muxes copied tracks into a video file: which of them it can hold, which of their samples stay
hidden, and when the pictures begin.

Hidden sound: Matroska has a delay for each track, MP4 shows nothing before time 0. What neither can
hide is left out by whole packets.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import cast

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from gvcodec.bitstream.attachments import Attachment
from gvcodec.bitstream.metadata import Metadata
from gvcodec.errors import DamagedStreamError
from gvcodec.tracks.attached_files import attach
from gvcodec.tracks.codec_parameters import delayed_head, make_head, open_head
from gvcodec.tracks.packets import Track, TrackPacket, TrackReader
from gvcodec.tracks.sound_clock import is_frame, silence
from gvcodec.tracks.tags import lost_metadata, title_of, write_metadata
from gvcodec.util.messages import count_noun

#: G.711 sound of telephones and cameras, which PyAV lets into QuickTime alone: elsewhere it becomes
#: 16-bit PCM. Each of its 256 values is one sample: nothing is lost.
_CODECS = ("pcm_alaw", "pcm_mulaw")


def _expand(codec: str, data: bytes) -> bytes:
    decoder = cast(av.AudioCodecContext, av.CodecContext.create(codec, "r"))
    decoder.sample_rate, decoder.layout = 8000, "mono"  # type: ignore[assignment]
    samples = [frame.to_ndarray().astype("<i2") for frame in decoder.decode(av.Packet(data))]
    return b"".join(part.tobytes() for part in samples)


#: Options of the muxers. Matroska's would make the first track the default one where none is. The
#: index of the others goes before the frames, so that a player can begin while the file comes.
MUXERS = {
    "matroska": {"default_mode": "passthrough"},
    "webm": {"default_mode": "passthrough"},
    "mp4": {"movflags": "+faststart"},
    "mov": {"movflags": "+faststart"},
}
#: Coded frames wait for the first packets of the tracks: at most 2 s and 32 MiB of them.
_PATIENCE, _ROOM = 2, 32 << 20
#: Seconds of hidden sound that a decoder gets before the audible part (Opus needs 80 ms).
_PREROLL = Fraction(1, 10)
#: Languages that QuickTime calls by the other one of their two codes, in FFmpeg's list.
_PAIRS = "deu ger, nld dut, ell gre, isl ice, zho chi, sqi alb, fre fra, rum ron, cze ces, slo slk"
OTHER_CODES = {pair[:3]: pair[4:] for pair in _PAIRS.split(", ")}
#: The usual channels, by their number.
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}
#: Seconds without sound that are a hole.
_HOLE = Fraction(1, 50)
#: Kinds of files whose tables count the ticks from frame to frame in 31 bits.
COUNTS = ("mp4", "mov")
#: Packets of a track in a trial file: muxers look at the first ones.
_TRIAL = 8
#: Language, title and flags of a track.
Labels = tuple[str, str, int]


class Muxing:
    """Video packets and the tracks of `reader` into a container; `zero`: when the first picture is
    shown, seconds. `offset`: seconds by which all comes later, so that sound before the first
    picture is heard; `notes`: losses. Methods for subclasses are marked."""

    #: Whether hidden sound can be said to be a track's delay; it is before time 0 otherwise.
    delays = True
    #: Whether holes of PCM are filled, for files that only count samples.
    fills = True

    def __init__(
        self,
        container: OutputContainer,
        tracks: TrackReader | None,
        metadata: Metadata,
        zero: Fraction = Fraction(0),
        attachments: Sequence[Attachment] = (),
    ) -> None:
        self.container = container
        self._metadata, self._zero, self._attachments = metadata, zero, attachments
        #: Coded frames, until the header is written.
        self._waiting_frames: list[av.Packet] | None = []
        self._reader = tracks or TrackReader(b"\0")
        self._reader.tracks = [
            replace(track, title=metadata.names_of(number).get("title", track.title))
            for number, track in enumerate(self._reader.tracks, 1)
        ]
        self._outputs: dict[int, Stream] = {}
        self._containers: list[InputContainer] = []
        #: When each track of sound begins to be heard, in its ticks, and seconds hidden before.
        self._heard: dict[int, int] = {}
        self._delays: dict[int, Fraction] = {}
        #: Where each track ends so far, in its ticks.
        self._ends: dict[int, int] = {}
        #: Packets of each track that the file does not take.
        self._refused: dict[int, int] = {}
        self.offset = Fraction(0)
        self.notes: list[str] = []

    def send(self, packet: av.Packet) -> None:
        """Write the next coded frame, once it is known how the tracks begin."""
        if self._waiting_frames is None:
            self._mux_frame(packet)
            return
        self._waiting_frames.append(packet)
        first, size = self._waiting_frames[0], sum(frame.size for frame in self._waiting_frames)
        assert packet.dts is not None and first.dts is not None
        seconds = (packet.dts - first.dts) * packet.time_base
        if self._is_ready() or seconds > _PATIENCE or size > _ROOM:
            self._begin()

    def finish(self) -> None:
        """All frames have come: write the rest of the tracks."""
        self._begin()
        self._mux_until(None)
        for track, count in self._refused.items():
            damaged = count_noun(count, "damaged packet")
            self._leave_out(self._reader.streams[track], f"has {damaged}, left out")
        self._refused.clear()

    def _add_track(self, number: int, template: Stream, first: list[TrackPacket]) -> None:
        """By a subclass: give the container a track that begins with the packets `first`, or say
        why not."""
        raise NotImplementedError

    def _start(self) -> None:
        """By a subclass: write the header."""
        raise NotImplementedError

    def _frame(self, packet: av.Packet) -> None:
        """By a subclass: write a coded frame."""
        raise NotImplementedError

    def _packet(self, packet: TrackPacket) -> av.Packet | None:
        """By a subclass: the packet for the container; None if nothing is to be written."""
        raise NotImplementedError

    def _is_ready(self) -> bool:
        """Whether it is known how each track of sound begins."""
        streams = enumerate(self._reader.streams)
        sound = {number for number, stream in streams if stream.type == "audio"}
        timed = {p.track for p in self._reader.waiting if p.audible is not None}
        return sound <= timed

    def _begin(self) -> None:
        """Add the tracks, and write the header and the waiting packets."""
        if self._waiting_frames is None:
            return
        frames, self._waiting_frames = self._waiting_frames, None
        reader = self._reader
        for packet in reader.waiting:
            if packet.audible is not None and reader.streams[packet.track].type == "audio":
                self._heard.setdefault(packet.track, packet.audible)
        begins = [begin * reader.ticks[number] for number, begin in self._heard.items()]
        self.offset = -min([self._zero, *begins])
        for number in range(len(reader.streams)):
            first = [p for p in reader.waiting if p.track == number and self._is_kept(p)][:_TRIAL]
            self._add_track(number, self._template(number, first), first)
        has_cover = bool(self._attachments)
        write_metadata(self._metadata.during(None, None, self.offset), self.container, has_cover)
        covers = [attach(self.container, attachment) for attachment in self._attachments]
        self._start()
        for cover in filter(None, covers):
            self.container.mux(cover)
        for frame in frames:
            self._mux_frame(frame)

    def _mux_frame(self, packet: av.Packet) -> None:
        """A coded frame after the tracks before it, which FFmpeg would hold without bound."""
        assert packet.dts is not None
        self._mux_until(packet.dts * packet.time_base)
        self._frame(packet)

    def _mux_until(self, time: Fraction | None) -> None:
        """Write packets up to a time in seconds of the stream; None = all."""
        reader = self._reader
        while reader.waiting:
            first = reader.waiting[0]
            if time is not None and first.pts * reader.ticks[first.track] > time:
                return
            reader.waiting.popleft()
            if first.track not in self._outputs or not self._is_kept(first):
                continue
            for packet in (*self._silence_before(first), first):
                self._mux(packet)

    def _mux(self, packet: TrackPacket) -> None:
        # Packets that a muxer's queue refuses later would end the file.
        fits = is_frame(self._reader.streams[packet.track], packet.data)
        try:
            muxed = self._packet(packet) if fits else None
            if muxed is not None:
                self.container.mux(muxed)
        except av.FFmpegError:
            fits = False
        if not fits:
            self._refused[packet.track] = self._refused.get(packet.track, 0) + 1

    def _silence_before(self, packet: TrackPacket) -> Iterator[TrackPacket]:
        """Silence that fills a gap before a packet of PCM."""
        number, tick = packet.track, self._reader.ticks[packet.track]
        begin, self._ends[number] = self._ends.get(number), packet.pts + packet.duration
        silent = silence(self._reader.streams[number])
        if begin is None or not silent or not self.fills:
            return
        if (packet.pts - begin) * tick < _HOLE:
            # Clocks of containers are coarse: samples come one after the other.
            self._ends[number] = begin + packet.duration
            return
        while begin < packet.pts:
            length = min(packet.pts - begin, round(1 / tick))
            yield TrackPacket(number, begin, length, silent * length)
            begin += length

    def _is_kept(self, packet: TrackPacket) -> bool:
        """Whether a packet is heard, or hidden sound that the file can hide."""
        if packet.audible is not None:
            return True
        tick, end = self._reader.ticks[packet.track], packet.pts + packet.duration
        if not self.delays:
            return end * tick + self.offset <= 0
        heard = self._heard.get(packet.track)
        return heard is not None and heard - _PREROLL / tick < end <= heard

    def _template(self, number: int, first: list[TrackPacket]) -> Stream:
        """The template of the output stream. In Matroska it says how long hidden sound lasts."""
        stream, tick = self._reader.streams[number], self._reader.ticks[number]
        if not self.delays or number not in self._heard or not first:
            return stream
        head = make_head("matroska", [stream])
        delay = (self._heard[number] - first[0].pts) * tick
        try:
            container = open_head(delayed_head(head, round(delay * 10**9)))
        except DamagedStreamError:
            return stream
        self._containers.append(container)
        self._delays[number] = delay
        return container.streams[0]

    def _leave_out(self, stream: Stream, what: str) -> None:
        self.notes.append(f"{stream.type} track ({codec_name(stream)}) {what}")


class TrackMuxer(Muxing):
    """Muxes into a file of FFmpeg's `kind`; packets are copied from the stream."""

    def __init__(
        self,
        container: OutputContainer,
        kind: str,
        suffix: str,
        tracks: TrackReader | None,
        metadata: Metadata,
        zero: Fraction = Fraction(0),
        attachments: Sequence[Attachment] = (),
    ) -> None:
        super().__init__(container, tracks, metadata, zero, attachments)
        self._kind, self._suffix = kind, suffix
        self.delays, self.fills = kind in ("matroska", "webm"), kind in COUNTS
        #: Tracks of G.711 that become PCM.
        self._plain: set[int] = set()
        #: Time of the packet before of each output, in ticks of its track.
        self._latest: dict[Stream, int] = {}

    def _start(self) -> None:
        if lost := lost_metadata(self._metadata, self._kind, bool(self._attachments)):
            self.notes.append(f"{', '.join(lost)} left out, {self._suffix} has no place")
        self.container.start_encoding()

    def _frame(self, packet: av.Packet) -> None:
        assert packet.dts is not None and packet.pts is not None
        later = round(self.offset / packet.time_base)
        packet.pts, packet.dts = packet.pts + later, packet.dts + later
        self.container.mux(packet)

    def _add_track(self, number: int, template: Stream, first: list[TrackPacket]) -> None:
        stream = self._reader.streams[number]
        labels = self._try(number, template, first)
        if labels is None and codec_name(stream) in _CODECS:
            self._plain.add(number)
            labels = self._try(number, template, first)
        if labels is None:
            self._leave_out(stream, f"does not fit {self._suffix} and is left out")
            return
        self._outputs[number] = self._add(self.container, number, template)
        self.notes += lost_of(self._reader.tracks[number], *labels, self._suffix)

    def _add(self, container: OutputContainer, number: int, template: Stream) -> Stream:
        track = self._reader.tracks[number]
        return describe(_add_stream(container, template, number in self._plain), track)

    def _try(self, number: int, template: Stream, first: list[TrackPacket]) -> Labels | None:
        """`labels_in_file` of a track that begins with the packets `first`."""

        def write(trial: OutputContainer) -> None:
            output = self._add(trial, number, template)
            trial.start_encoding()
            for packet in first:
                trial.mux(self._muxable(packet, output))
            self._latest.pop(output, None)

        # The muxer reopens the file to put the index first.
        options = MUXERS[self._kind] if self.delays else {}
        medium, track = self._reader.streams[number].type, self._reader.tracks[number]
        return labels_in_file(self._kind, medium, track, write, options)

    def _packet(self, packet: TrackPacket) -> av.Packet:
        return self._muxable(packet, self._outputs[packet.track])

    def _muxable(self, packet: TrackPacket, output: Stream) -> av.Packet:
        if packet.track in self._plain:
            codec = codec_name(self._reader.streams[packet.track])
            packet = replace(packet, data=_expand(codec, packet.data))
        muxed = self._reader.av_packet(packet)
        pts, before = packet.pts + round(self.offset / muxed.time_base), self._latest.get(output)
        if before is not None and pts <= before and self._kind in COUNTS:
            # Recorders' clocks stand still or step back; MP4 takes rising times only.
            unit = Fraction(output.time_base or muxed.time_base)
            pts = before + max(1, math.ceil(unit / muxed.time_base))
        muxed.pts = muxed.dts = self._latest[output] = pts
        muxed.stream = output
        return muxed


def describe(output: Stream, track: Track) -> Stream:
    """Give an output stream language, title and flags of a track."""
    output.disposition = cast(Disposition, track.flags)
    texts = {"language": track.language, "title": track.title}
    output.metadata.update({name: text for name, text in texts.items() if text})
    return output


def labels_in_file(
    kind: str,
    medium: str,
    track: Track,
    write: Callable[[OutputContainer], None],
    options: dict[str, str] | None = None,
) -> Labels | None:
    """Language, title and flags that come back from a file of this kind with one track, an `audio`
    or `subtitle` that `write` adds; None if it cannot be written: muxers refuse codecs when they
    are added, with the header, at the first packets or at the end."""
    data = io.BytesIO()
    try:
        with av.open(data, "w", format=kind, options=options or {}) as trial:
            write(trial)
    except (av.FFmpegError, ValueError):
        return None
    try:
        with av.open(io.BytesIO(data.getvalue())) as written:
            stream = written.streams[0]
            # MPEG-TS takes packets of any codec.
            labels = stream.language or "", title_of(stream), int(stream.disposition)
            return labels if stream.type == medium else None
    except (av.FFmpegError, IndexError):
        return None if kind == "mpegts" else (track.language, track.title, track.flags)


def lost_of(track: Track, language: str, title: str, flags: int, suffix: str) -> list[str]:
    """A line for language, title and flags of a track that do not come back from a file."""
    notes = []
    if track.title and not title:
        notes.append(f"the name of a track left out, {suffix} has no place")
    if track.language and language not in (track.language, OTHER_CODES.get(track.language)):
        notes.append(f"language {track.language} left out, {suffix} has no code")
    if lost := Disposition(track.flags & ~flags & ~Disposition.default):
        names = (lost.name or "").replace("|", ", ").replace("_", " ")
        notes.append(f"flags of a track ({names}) left out, {suffix} has none")
    return notes


def codec_name(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context else "unknown"


def _add_stream(container: OutputContainer, template: Stream, plain: bool) -> Stream:
    """An output stream, `plain`: of 16-bit PCM. MP4 wants a layout, which Matroska lacks."""
    sound = template.codec_context
    if plain and isinstance(sound, av.AudioCodecContext):
        output: Stream = container.add_stream("pcm_s16le", rate=sound.sample_rate)
        cast(av.AudioStream, output).codec_context.layout = sound.layout
    else:
        output = container.add_stream_from_template(template)
    context = output.codec_context
    if isinstance(context, av.AudioCodecContext) and context.name.startswith("pcm_"):
        context.layout = usual_layout(context)  # type: ignore[assignment]
    return output


def usual_layout(context: av.AudioCodecContext) -> str:
    """The layout of sound; the usual one of so many channels where only their number is known."""
    layout = context.layout
    if layout.name in LAYOUTS.values():
        return layout.name
    return LAYOUTS.get(layout.nb_channels, layout.name)
