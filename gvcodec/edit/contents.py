"""What a video holds besides the pictures of its main track, and what of it a coded file lacks.

    original, frames, seconds = read_source("film.mkv", options)
    copy, frames, seconds = read_copy("film.gvc")
    lost = losses(original, copy, options)

Both files are read in full: the source by FFmpeg's demuxer and decoder, the coded file as `decode`
reads it. Times are in seconds since the first frame. Raises `MediaError`, `DamagedStreamError`."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import av
from av.sidedata.sidedata import Type
from av.stream import AttachmentStream, Disposition, Stream

from gvcodec.base.standard.captions import captions_in
from gvcodec.bitstream import Kind, PtsDecoder
from gvcodec.bitstream.attachments import AttachmentReader
from gvcodec.bitstream.metadata import MICROSECOND, Chapter, Metadata, printable
from gvcodec.errors import MediaError
from gvcodec.input_options import COPY, NONE, InputOptions, opus_rate
from gvcodec.limits import NO_LIMITS
from gvcodec.opening import open_reader
from gvcodec.source.conversion import read_stored
from gvcodec.source.copying import is_chapter_track
from gvcodec.source.opening import InputFile, Source, video_of
from gvcodec.source.reader import VideoReader
from gvcodec.source.side_data import CAPTIONS, LOSSES, STEREO, number_of, side_data
from gvcodec.source.source_metadata import chapters_of, kept_texts, labels_of
from gvcodec.tracks.copier import CUE
from gvcodec.tracks.packets import FLAGS, TrackPacket, TrackReader, without_hidden
from gvcodec.tracks.sound_clock import LAYERS, SoundClock, adts_header, is_adts, is_frame, is_pcm

#: Names of losses, for `--allow-loss`.
NAMES = (
    *("video", "sound", "subtitle", "attachment", "cover", "data", "timecode", "tags"),
    *("chapters", "alpha", "interlacing", "stereo", "styles"),
)
_KINDS = {"audio": "sound", "subtitle": "subtitle"}
#: Names of losses in side data of frames (29: further views); others are "data".
_OF_FRAMES = {STEREO: "stereo", number_of(Type.SPHERICAL): "stereo", 29: "stereo"}
_OF_FRAMES[number_of(Type.S12M_TIMECODE)] = "timecode"
#: Seconds by which times may be off: of text and chapters; of copied sound, because containers
#: round to milliseconds; of re-encoded sound, because Opus has packets of 20 ms.
_TEXT_OFF, _SOUND_OFF, _CODED_OFF = 0.0101, 0.003, 0.05
#: Captions that FFmpeg draws letter by letter: they are compared as packets.
_DRAWN = "eia_608"


class Loss(NamedTuple):
    """One of `NAMES`, and the lost part in words."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Part:
    """One of `NAMES`, and words. A copy has the same `key`, the same `times` within `off` seconds,
    as many seconds of `sound` (negative: as few hidden ones) and the same `labels`, which may be
    lost without their part."""

    name: str
    what: str
    key: object = None
    codec: str = ""
    times: Sequence[float] = ()
    off: float = 0.0
    sound: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)
    #: Sound as it counts if its codec is another one in the copy.
    coded: Part | None = None

    def is_in(self, copy: Part, is_coded: bool = False) -> bool:
        if self.coded and copy.coded and (is_coded or self.codec != copy.codec):
            return self.coded.is_in(copy.coded)
        if (self.name, self.key, len(self.times)) != (copy.name, copy.key, len(copy.times)):
            return False
        pairs = zip(self.times, copy.times, strict=True)
        # Not all containers can hide the filling of the last packet, and lengths of packets in
        # milliseconds may be off by 1 %.
        is_whole = copy.sound >= 0.99 * self.sound - self.off
        return is_whole and all(a == b or abs(a - b) <= self.off for a, b in pairs)

    def lost_labels(self, copy: Part) -> list[Loss]:
        return [
            Loss("styles" if name == "styles" else "tags", f"{name} of {self.what}")
            for name, text in self.labels.items()
            if copy.labels.get(name) != text
        ]


def read_source(path: str, options: InputOptions) -> tuple[list[Part], int, float]:
    """Decode the main video of a file, and read all others of its tracks: its parts, the number of
    frames, and when the last one ends. `options`: of its encode."""
    parts: list[Part] = []
    frames = captions = last = 0
    with VideoReader(path, input_options=InputOptions(rate=options.rate)) as reader:
        reader.tracks = None
        for frame, last, _ in reader.raw_frames():
            frames += 1
            captions += _read_frame(frame, parts)
        if reader.incomplete:
            raise MediaError(f"{path}: {reader.incomplete}")
        usual = last - reader.shift + 1 / reader.format.frame_rate / reader.tick
        end = usual if reader.end is None else reader.end
    parts += _captions(captions)
    with Source.open(path) as source:
        file = InputFile(source)
        try:
            found = _read_container(file.container, reader)
            parts += [part for part in found if part not in parts or part.name in _KINDS.values()]
        finally:
            file.close()
    return parts, frames, float(end * reader.tick)


def read_copy(path: str) -> tuple[list[Part], int, float]:
    """The same of a coded file, as the decoder gives it back."""
    metadata, frames, captions = Metadata(), 0, 0
    reading: TrackReader | None = None
    attachments = AttachmentReader()
    tracks: list[_Track] = []
    with open_reader(path) as reader:
        header, fmt = reader.header, reader.header.format
        times = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, NO_LIMITS)
        for packet in attachments.watch(reader.packets()):
            if packet.kind is Kind.TRACKS:
                if reading is None:
                    reading = TrackReader(packet.payload, NO_LIMITS)
                    tracks = [_Track(stream) for stream in reading.streams]
                else:
                    reading.send(packet.payload)
                while reading.waiting:
                    copied = reading.waiting.popleft()
                    tracks[copied.track].add(copied, reading.ticks[copied.track])
            elif packet.kind is Kind.METADATA and packet.payload:
                metadata = Metadata.unpack(packet.payload)
            elif packet.kind is Kind.TIMING:
                times.send(packet.payload)
            elif packet.is_frame:
                times.receive()
                frames += 1
                captions += len(captions_in(packet.payload)) if header.base == "av1" else 0
        # The time after the last frame is its end.
        seconds = float((times.receive() - header.start_pts) * fmt.time_base)
    parts = list(_captions(captions))
    for attachment in attachments.finish():
        name = "cover" if attachment.is_cover else "attachment"
        parts.append(Part(name, "", hashlib.sha256(attachment.data).digest()))
    for number, track in enumerate(tracks, 1):
        assert reading is not None
        kept = reading.tracks[number - 1]
        labels = {"title": kept.title, "language": kept.language} | _marks(kept.flags)
        labels |= metadata.names_of(number)
        parts.append(track.part("", labels))
    texts = {"title": metadata.title} | {name.lower(): text for name, text in metadata.tags}
    parts += _texts(texts, metadata.names_of(0), metadata.chapters)
    return parts, frames, seconds


def losses(original: list[Part], copy: list[Part], options: InputOptions) -> list[Loss]:
    """What a copy lacks, except for what the options of its encode leave out."""
    asked = {"sound": options.sound == NONE, "subtitle": options.no_subtitles}
    asked["interlacing"] = options.deinterlace
    asked["attachment"] = asked["cover"] = options.no_attachments
    lost, copies = [], list(copy)
    is_coded = opus_rate(options.sound or COPY) is not None
    for part in original:
        if asked.get(part.name):
            continue
        equal = [other for other in copies if part.is_in(other, is_coded)]
        found = [(part.lost_labels(other), other) for other in equal]
        if not found:
            lost.append(Loss(part.name, part.what))
            continue
        labels, best = min(found, key=lambda pair: len(pair[0]))
        copies.remove(best)
        lost += labels
    return lost


class _Track:
    """Reads the packets of a track of sound or subtitles."""

    def __init__(self, stream: Stream) -> None:
        self.kind = _KINDS[stream.type]
        self._context: Any = stream.codec_context
        name = self._context.codec.canonical_name if self._context else ""
        # MP4 calls all layers of MPEG audio so.
        self.codec = "mp3" if name in LAYERS else name
        self._is_pcm = is_pcm(stream)
        self._is_text = self.kind == "subtitle" and bool(
            self._context and self._context.codec.text_sub and self.codec != _DRAWN
        )
        self._digest = hashlib.sha256()
        #: When packets begin, or subtitles begin and end; their texts, also with styles.
        self._times, self._texts, self._styled = array("d"), list[str](), hashlib.sha256()
        self._first, self._last, self._heard, self._hidden = math.inf, 0.0, 0.0, 0.0

    def add(self, packet: TrackPacket, tick: Fraction, place: bytes = b"") -> None:
        """`tick`: seconds; `place`: side data of a subtitle."""
        if self._is_text:
            self._add_text(packet, tick, place)
            return
        data = packet.data[adts_header(packet.data) :] if is_adts(packet.data) else packet.data
        if self._is_pcm:
            # Containers cut it as they like.
            data = without_hidden(packet).data
        else:
            self._digest.update(len(data).to_bytes(8))
            self._times.append(float(packet.pts * tick))
        self._digest.update(data)
        begin, end = packet.pts + packet.hidden[0], packet.pts + packet.duration
        # Containers in milliseconds leave slivers of packets that are hidden.
        if not packet.hidden[0] or (end - begin) * tick > _SOUND_OFF:
            self._first = min(self._first, float(begin * tick))
            self._last = float(end * tick)
            self._heard += float((end - begin) * tick)
        self._hidden += 0 if self._is_pcm else float(sum(packet.hidden) * tick)

    def part(self, what: str, labels: dict[str, str], tick: float = 0.0) -> Part:
        """`tick`: seconds, of the container."""
        if self._is_text:
            labels = labels | {"styles": self._styled.hexdigest()}
            off = max(_TEXT_OFF, 2 * tick)
            key: object = tuple(self._texts)
            return Part(self.kind, what, key, "", self._times, off, 0.0, labels)
        off = max(_SOUND_OFF if self.kind == "sound" else _TEXT_OFF, 2 * tick)
        key, times = (self.codec, self._digest.digest()), [self._first, *self._times]
        if self.kind != "sound":
            return Part(self.kind, what, key, self.codec, times, off, 0.0, labels)
        channels = self._context.layout.nb_channels if self._context else 0
        span = [self._first, self._last]
        coded = Part(self.kind, what, channels, "", span, max(_CODED_OFF, off), self._heard)
        key = key, channels
        return Part(self.kind, what, key, self.codec, times, off, -self._hidden, labels, coded)

    def _add_text(self, packet: TrackPacket, tick: Fraction, place: bytes) -> None:
        copy = av.Packet(packet.data)
        copy.pts, copy.duration, copy.time_base = packet.pts, packet.duration, tick
        for rect in self._context.decode2(copy) or ():
            text = " ".join(rect.dialogue.decode(errors="replace").split())
            if text:
                begin, end = packet.pts * tick, (packet.pts + packet.duration) * tick
                self._times.extend((float(begin), float(end)))
                self._texts.append(text)
                # The first field counts lines.
                self._styled.update(rect.ass.partition(b",")[2] + place)


def _read_frame(frame: av.VideoFrame, parts: list[Part]) -> int:
    """Add what a frame has besides samples, once. Returns bytes of its closed captions."""
    side = side_data(frame)
    kinds = [kind for kind in side if kind in LOSSES]
    found = [Part(_OF_FRAMES.get(k, "data"), LOSSES[k].rstrip(",")) for k in kinds]
    if frame.interlaced_frame:
        found.append(Part("interlacing", "interlacing"))
    alpha = Part("alpha", "alpha")
    has_alpha = alpha not in parts and any(c.is_alpha for c in frame.format.components)
    # Many programs write an alpha channel that is opaque everywhere.
    if has_alpha and frame.reformat(format="rgba").to_ndarray()[..., 3].min() < 255:
        found.append(alpha)
    parts += [part for part in found if part not in parts]
    return len(side.get(CAPTIONS, b""))


def _read_container(container: av.container.InputContainer, reader: VideoReader) -> Iterator[Part]:
    """Tracks, tags, chapters and properties. `reader`: of the video, read to its end."""
    video, zero = video_of(container), reader.shift * reader.tick
    tracks: dict[int, _Track] = {}
    clocks: dict[int, SoundClock] = {}
    others: dict[int, Any] = {}
    for stream in container.streams:
        if stream.type in _KINDS:
            tracks[stream.index], clocks[stream.index] = _Track(stream), SoundClock(stream)
        elif stream.index != video.index and not is_chapter_track(stream, container):
            others[stream.index] = hashlib.sha256()
    for packet in container.demux():
        index, data = packet.stream.index, bytes(packet)
        if index in others:
            others[index].update(data)
        elif index in tracks and data and is_frame(packet.stream, data):
            pts, duration, hidden = clocks[index].place(packet, zero)
            place = b" ".join(bytes(packet.get_sidedata(k)) for k in CUE if packet.has_sidedata(k))
            copied = TrackPacket(0, pts, duration, data, hidden)
            tracks[index].add(copied, clocks[index].tick, place)
    for index, track in tracks.items():
        stream = container.streams[index]
        # Where the clock restarts times of tracks say nothing.
        tick = math.inf if reader.has_jumps else float(stream.time_base or 0)
        what = f"{track.kind} in track {index + 1} ({track.codec or 'unknown'})"
        labels = labels_of(stream) | _marks(int(stream.disposition))
        yield track.part(what, labels, tick)
    for index, digest in others.items():
        yield from _other_track(container.streams[index], digest.digest())
    texts = kept_texts(container, [video, *(container.streams[index] for index in tracks)])
    for source in (container, *container.streams):
        texts |= {"timecode": text} if (text := source.metadata.get("timecode")) else {}
    shifted = Metadata(chapters=chapters_of(container)).during(None, None, -zero)
    yield from _texts(texts, labels_of(video), shifted.chapters)
    tags = {name.lower(): text for name, text in video.metadata.items()}
    if tags.get("alpha_mode") == "1":
        yield Part("alpha", "alpha")
    if tags.get("stereo_mode", "mono") != "mono":
        yield Part("stereo", LOSSES[STEREO])
    if read_stored(video).is_interlaced:
        yield Part("interlacing", "interlacing")


def _other_track(stream: Stream, digest: bytes) -> Iterator[Part]:
    """The part of a track that is neither the main video, nor sound, nor subtitles."""
    title = stream.metadata.get("filename") or stream.metadata.get("handler_name", "")
    place = f"in track {stream.index + 1}" + (f" ({printable(title)})" if title else "")
    if isinstance(stream, AttachmentStream):
        key = hashlib.sha256(stream.data or b"").digest()
        yield Part("attachment", f"attachment {place}", key)
    elif stream.type == "video":
        name = "cover" if stream.disposition & Disposition.attached_pic else "video"
        yield Part(name, f"{name} {place}", digest)
    elif "timecode" not in stream.metadata:
        yield Part("data", f"data {place}", digest)


def _texts(
    texts: dict[str, str], of_video: dict[str, str], chapters: Sequence[Chapter]
) -> Iterator[Part]:
    for name, text in texts.items():
        if text:
            kind = "timecode" if name == "timecode" else "tags"
            yield Part(kind, name if kind == name else f"the tag {name}", (name, text))
    for name, text in of_video.items():
        yield Part("tags", f"{name} of the video", (0, name, text))
    for chapter in chapters:
        times = [float(time * MICROSECOND) for time in (chapter.begin, chapter.end)]
        yield Part("chapters", f"chapter {chapter.title}", chapter.title, "", times, _TEXT_OFF)


def _captions(count: int) -> Iterator[Part]:
    """`count`: bytes."""
    if count:
        yield Part("subtitle", "closed captions", count)


def _marks(flags: int) -> dict[str, str]:
    """FFmpeg's dispositions that a coded file can have, as labels."""
    return {f"mark {mark.name}": "yes" for mark in Disposition(flags & FLAGS)}
