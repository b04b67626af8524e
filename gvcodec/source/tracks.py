"""Tracks of sound and subtitles inside a gvcodec file: their packets are copied, never decoded.

They travel in `tracks` packets (docs/spec/tracks.md): codec parameters as the head of
a Matroska or MP4 file for each track, whole packets with exact timestamps. Of sound, a tick is one
sample. Samples may be hidden: those that an encoder puts first, that an edit list leaves out, or
that fill the last packet."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import PktSideDataT
from av.stream import Stream

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError, LimitError
from gvcodec.limits import DEFAULT, OBJECT_BYTES, Limits
from gvcodec.source.codec_parameters import MAX_HEAD, alike, fitting_head, open_head
from gvcodec.source.container_tags import title_of
from gvcodec.source.sound_clock import SoundClock, form_of, hide_end, is_frame
from gvcodec.types import time_in_part

#: Least bytes of packets in one `tracks` packet: each one restarts its delta coding.
CHUNK = 1 << 14
_MAX_TRACKS = 64
_MAX_RATIO = 1 << 31
_MAX_TIME = 1 << 62
#: Bytes of a language or a title.
_MAX_TEXT = 256
#: FFmpeg's dispositions that are kept: default, dub, original, comment, lyrics, karaoke, forced,
#: hearing and visual impaired, clean effects; captions and descriptions.
_FLAGS = 0x303FF
#: Codecs whose last packet alone may be shorter than the others.
_NEVER_JOINED = ("tta",)
_DURATION, _HIDDEN, _NO_KEYFRAME, _FLAG_BITS = 1, 2, 4, 3
#: Side data of subtitles: position and name.
_CUE: tuple[PktSideDataT, ...] = ("webvtt_settings", "webvtt_identifier")


@dataclass(frozen=True, slots=True)
class Track:
    """`tick`: seconds. `flags`: FFmpeg's dispositions. `language`: "" = unknown."""

    tick: Fraction
    head: bytes
    flags: int = 0
    language: str = ""
    title: str = ""

    def pack(self) -> bytes:
        texts = (text.encode() for text in (self.language, self.title))
        fields = [
            *map(encode_var, (self.tick.numerator, self.tick.denominator, self.flags)),
            *(encode_var(len(data)) + data for data in (*texts, self.head)),
        ]
        return b"".join(fields)

    @staticmethod
    def unpack(cursor: Cursor) -> Track:
        """Raises `DamagedStreamError`."""
        numerator, denominator = cursor.var(_MAX_RATIO), cursor.var(_MAX_RATIO)
        if not numerator or not denominator:
            raise DamagedStreamError("tracks: time base of 0")
        flags = cursor.var(_FLAGS) & _FLAGS
        try:
            language, title = (cursor.take(cursor.var(_MAX_TEXT)).decode() for _ in range(2))
        except UnicodeDecodeError as error:
            raise DamagedStreamError("tracks: a text is no UTF-8") from error
        if not (language + title).isprintable():
            raise DamagedStreamError("tracks: a text has control characters")
        head = cursor.take(cursor.var())
        return Track(Fraction(numerator, denominator), head, flags, language, title)


@dataclass(frozen=True, slots=True)
class TrackPacket:
    """A copied packet: number of its track; time, duration, and what is hidden at the start and at
    the end of it, in ticks of the track. What is hidden at the start counts in the duration, what
    is hidden at the end does not. `key`: decoding can begin here."""

    track: int
    pts: int
    duration: int
    data: bytes
    hidden: tuple[int, int] = (0, 0)
    key: bool = True

    @property
    def audible(self) -> int | None:
        """When its sound begins, None if all of it is hidden."""
        begin = self.pts + self.hidden[0]
        return None if self.hidden[0] and begin >= self.pts + self.duration else begin


class TrackWriter:
    """Payloads of `tracks` packets, of packets sent since the last `take`."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = list(tracks)
        self._reset()
        self._data = bytearray(encode_var(len(tracks)))
        for track in tracks:
            self._data += track.pack()
        #: Tracks of which no packet has come.
        self._silent = set(range(len(tracks)))
        self._urgent = True
        self._latest: dict[int, int] = {}
        #: Packets sent so far.
        self.packets = 0

    @property
    def ticks(self) -> list[Fraction]:
        return [track.tick for track in self.tracks]

    def send(self, packet: TrackPacket) -> None:
        """Packets of a track come in order: one that is too early is moved."""
        if not self._data:
            self._data += encode_var(len(self.tracks) << _FLAG_BITS)
            self._reset()
        number = packet.track
        pts = max(packet.pts, self._latest.get(number, packet.pts))
        flags, values = 0, []
        if packet.duration != self._durations[number]:
            flags |= _DURATION
            values.append(packet.duration)
        if any(packet.hidden):
            flags |= _HIDDEN
            values += packet.hidden
        if not packet.key:
            flags |= _NO_KEYFRAME
        self._data += encode_var(number << _FLAG_BITS | flags)
        self._data += encode_svar(pts - self._ends[number])
        for value in values:
            self._data += encode_var(value)
        self._data += encode_var(len(packet.data)) + packet.data
        self._latest[number] = pts
        self._ends[number], self._durations[number] = pts + packet.duration, packet.duration
        # Who writes a video file needs to know how each track begins.
        self._urgent = self._urgent or number in self._silent
        self._silent.discard(number)
        self.packets += 1

    @property
    def waiting(self) -> int:
        """Bytes that `pop` returns."""
        return len(self._data)

    def pop(self, least: int = 0) -> bytes:
        """The waiting bytes; none if fewer than `least` wait, unless a track begins."""
        if len(self._data) < least and not self._urgent:
            return b""
        data = bytes(self._data)
        self._data.clear()
        self._urgent = False
        return data

    def _reset(self) -> None:
        self._ends, self._durations = [0] * len(self.tracks), [0] * len(self.tracks)


class TrackCopier(TrackWriter):
    """Copies packets of streams. `left_out`: streams that no head can hold; `damaged_packets`:
    number of packets left out because they are not frames of their codec; `form_changes_at`:
    seconds after which AAC has other channels or another rate than at its beginning, None if it
    keeps them."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        #: `styled_cues`: subtitles with a place on screen or a name, which are lost.
        self.damaged_packets = self.styled_cues = 0
        self.form_changes_at: Fraction | None = None
        #: Channels and rate of each AAC stream, from its first frame.
        self._forms: dict[int, int] = {}
        self._clocks: dict[int, SoundClock] = {}
        tracks = {stream.index: self.describe(stream) for stream in streams[:_MAX_TRACKS]}
        self.streams = [stream for stream in streams if tracks.get(stream.index)]
        self.left_out = [stream for stream in streams if stream not in self.streams]
        self.kinds = kinds_of(self.streams)
        self._numbers = {stream.index: number for number, stream in enumerate(self.streams)}
        super().__init__([track for track in tracks.values() if track is not None])

    def describe(self, stream: Stream) -> Track | None:
        """The track description of a stream; None if no container head holds its codec."""
        clock = self._clocks[stream.index] = SoundClock(stream)
        head = fitting_head(stream)
        return track_of(stream, clock.tick, head) if head else None

    def finish(self) -> None:
        """The last packet has been copied."""

    def adopt(self, like: TrackReader) -> None:
        """Before the first packet: describe the same tracks as another stream does."""
        pairs = list(zip(self.streams, like.streams, like.tracks, strict=False))
        if len(self.streams) != len(like.streams) or not all(
            _joins(ours, theirs)
            and (ours.type != "audio" or self._clocks[ours.index].tick == track.tick)
            for ours, theirs, track in pairs
        ):
            return
        super().__init__(like.tracks)
        for stream, _, track in pairs:
            self._clocks[stream.index].tick = track.tick

    def copy(self, packet: av.Packet, shift: Fraction) -> None:
        """Copy a packet that has a timestamp, `shift` seconds earlier."""
        index = packet.stream.index
        data = bytes(packet)
        if data and not is_frame(packet.stream, data):
            self.damaged_packets += 1
            return
        pts, duration, hidden = self._clocks[index].place(packet, shift)
        if not duration and packet.stream.codec_context.name == "dvdsub":
            duration = round(vobsub_shown_for(data) / self._clocks[index].tick)
        form = form_of(packet.stream, data)
        if form != self._forms.setdefault(index, form) and self.form_changes_at is None:
            self.form_changes_at = pts * self._clocks[index].tick
        self.styled_cues += any(map(packet.has_sidedata, _CUE))
        if data:
            number, key = self._numbers[index], packet.is_keyframe
            copied = TrackPacket(number, pts, duration, data, hidden, key)
            if self._clocks[index].is_pcm:
                copied = without_hidden(copied)
            if copied.data:
                self.send(copied)


class TrackReader:
    """Packets from the payloads of `tracks` packets: `waiting` gets them, `streams` are templates.
    Raises `DamagedStreamError`, `LimitError` when too much waits."""

    def __init__(self, payload: bytes, limits: Limits = DEFAULT) -> None:
        cursor = Cursor(payload, "tracks")
        count = cursor.var(_MAX_TRACKS)
        self.tracks: list[Track] = []
        self._containers: list[InputContainer] = []
        remaining = MAX_HEAD
        for _ in range(count):
            track = Track.unpack(cursor)
            remaining -= len(track.head)
            if remaining < 0:
                raise DamagedStreamError(f"tracks: codec parameters of more than {MAX_HEAD} bytes")
            self.tracks.append(track)
            self._containers.append(open_head(track.head))
            if len(self._containers[-1].streams) != 1:
                raise DamagedStreamError("tracks: codec parameters of another number of tracks")
        self.ticks = [track.tick for track in self.tracks]
        self.streams: list[Stream] = [container.streams[0] for container in self._containers]
        self.kinds = kinds_of(self.streams)
        self._reset()
        self._latest: dict[int, int] = {}
        self._begin: Fraction | None = None
        self._end: Fraction | None = None
        self.waiting: deque[TrackPacket] = deque()
        self._most = limits.side_memory
        self._held = 0
        self._read(cursor)

    def has_same_layout(self, other: TrackReader) -> bool:
        """Whether packets of the tracks of `other` can follow the packets of these."""
        if self is other:
            return True
        same = len(self.tracks) == len(other.tracks)
        return same and all(map(_joins, self.streams, other.streams))

    def send(self, payload: bytes) -> None:
        """Take the payload of the next `tracks` packet. Raises `DamagedStreamError`."""
        self._read(Cursor(payload, "tracks"))

    def keep(self, begin: Fraction | None, end: Fraction | None) -> None:
        """From now on packets count only within (seconds, None = no bound); `begin` becomes 0."""
        self._begin, self._end = begin, end
        packets, self.waiting = self.waiting, deque()
        for packet in packets:
            self._add(packet)

    def drop(self, before: Fraction | None = None, since: Fraction | None = None) -> None:
        """Packets go that are over `before` a time (seconds), or that begin `since` one."""
        packets, self.waiting = self.waiting, deque()
        for packet in packets:
            if since is not None and packet.pts * self.ticks[packet.track] >= since:
                continue
            if before is None or self.shown_from(packet, before) is not None:
                self._wait(packet, before)

    def shown_from(self, packet: TrackPacket, begin: Fraction) -> TrackPacket | None:
        """A packet as heard or seen from a time on (seconds), None if it is over."""
        tick = self.ticks[packet.track]
        if packet.pts * tick >= begin:
            return packet
        if self.streams[packet.track].type != "subtitle":
            return None
        if not packet.duration:
            # Until the next one, as subtitles of Blu-ray.
            return replace(packet, pts=math.ceil(begin / tick))
        end = packet.pts + packet.duration
        time = time_in_part(packet.pts, end, begin / tick)
        return None if time is None else replace(packet, pts=time, duration=end - time)

    def av_packet(self, packet: TrackPacket) -> av.Packet:
        """The packet for a muxer."""
        copy = av.Packet(packet.data)
        copy.time_base = self.ticks[packet.track]
        copy.pts = copy.dts = packet.pts
        copy.duration = packet.duration
        copy.is_keyframe = packet.key
        if packet.hidden[1]:
            hide_end(copy, packet.hidden[1])
        return copy

    def _reset(self) -> None:
        self._ends, self._durations = [0] * len(self.ticks), [0] * len(self.ticks)

    def _read(self, cursor: Cursor) -> None:
        count = len(self.ticks)
        while len(cursor):
            word = cursor.var((count + 1 << _FLAG_BITS) - 1)
            number, flags = word >> _FLAG_BITS, word & ((1 << _FLAG_BITS) - 1)
            if number == count:
                self._reset()
                continue
            pts = self._ends[number] + cursor.svar()
            if flags & _DURATION:
                self._durations[number] = cursor.var(_MAX_TIME)
            duration = self._durations[number]
            hidden = (cursor.var(duration), cursor.var(_MAX_TIME)) if flags & _HIDDEN else (0, 0)
            if abs(pts) > _MAX_TIME:
                raise DamagedStreamError("tracks: a timestamp is out of range")
            if pts < self._latest.get(number, pts):
                raise DamagedStreamError("tracks: packets of a track are out of order")
            self._latest[number], self._ends[number] = pts, pts + duration
            data = cursor.take(cursor.var())
            self._add(TrackPacket(number, pts, duration, data, hidden, not flags & _NO_KEYFRAME))

    def _add(self, packet: TrackPacket) -> None:
        tick = self.ticks[packet.track]
        if self._end is not None and packet.pts * tick >= self._end:
            return
        if self._begin is not None:
            if (shown := self.shown_from(packet, self._begin)) is None:
                return
            packet = replace(shown, pts=shown.pts - round(self._begin / tick))
        self._check_room(len(packet.data) + OBJECT_BYTES)
        self._wait(packet, None if self._begin is None else Fraction(0))

    def _wait(self, packet: TrackPacket, begin: Fraction | None) -> None:
        """Of subtitles that last until the next one, only the latest is shown at `begin`."""
        lasts = self.streams[packet.track].type == "subtitle" and not packet.duration
        if begin is not None and lasts and packet.pts * self.ticks[packet.track] <= begin:
            others = (p for p in self.waiting if not (p.track == packet.track and not p.duration))
            self.waiting = deque(others)
        self.waiting.append(packet)

    def _check_room(self, cost: int) -> None:
        """Raises `LimitError`. Taken packets are not reported: then all are counted again."""
        self._held = cost + (self._held if self.waiting else 0)
        if self._held > self._most:
            self._held = cost + sum(len(packet.data) + OBJECT_BYTES for packet in self.waiting)
        if self._held > self._most:
            raise LimitError(
                f"sound and subtitles take more than {self._most >> 20} MiB (--max-memory)"
            )


def without_hidden(packet: TrackPacket) -> TrackPacket:
    """A packet of PCM without the samples that are not heard."""
    begin, samples = packet.hidden[0], packet.duration + packet.hidden[1]
    if not any(packet.hidden) or len(packet.data) % max(1, samples):
        return packet
    size = len(packet.data) // samples
    data = packet.data[begin * size : packet.duration * size]
    heard = packet.duration - begin
    return TrackPacket(packet.track, packet.pts + begin, heard, data, (0, 0), packet.key)


def track_of(stream: Stream, tick: Fraction, head: bytes) -> Track:
    """The track with the name, language and dispositions of a stream of a file."""
    flags, title = int(stream.disposition) & _FLAGS, _text(title_of(stream))
    language = _text(stream.metadata.get("language", ""))
    return Track(tick, head, flags, "" if language == "und" else language, title)


def kinds_of(streams: Sequence[Stream]) -> str:
    """ "audio", "subtitles" or both."""
    kinds = {stream.type for stream in streams}
    names = {"audio": "audio", "subtitle": "subtitles"}
    return " and ".join(name for kind, name in names.items() if kind in kinds)


def _text(text: str) -> str:
    """As the format allows: printable to Unicode, and short."""
    text = "".join(one if one.isprintable() else " " for one in text).strip()
    return text.encode()[:_MAX_TEXT].decode(errors="ignore").strip()


def _joins(one: Stream, other: Stream) -> bool:
    """Whether a decoder set up for one stream decodes packets of the other."""
    if not alike(one, other) or one.codec_context.name in _NEVER_JOINED:
        return False
    name, parts = one.codec_context.name, []
    for stream in (one, other):
        extra = stream.codec_context.extradata or b""
        # FLAC's parameters end with a hash and the length of one file, Opus' and AAC's say how many
        # samples are hidden.
        parts.append({"flac": extra[10:13], "opus": b""}.get(name, extra))
    return parts[0] == parts[1]


#: A unit of the times in control sequences, in seconds.
_UNIT = Fraction(1024, 90_000)
_STOP = 2
#: Bytes of arguments of each command; one of changing colours (7) says its own size.
_ARGUMENTS = {0: 0, 1: 0, _STOP: 0, 3: 2, 4: 2, 5: 6, 6: 4}


def vobsub_shown_for(data: bytes) -> Fraction:
    """Seconds after its begin at which a subtitle of DVD (VobSub) is to go, 0 if nothing says
    it: packets of some files do not, but the picture does."""
    at = int.from_bytes(data[2:4])
    while 4 <= at <= len(data) - 4:
        date, following = int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 4])
        if _stops(data[at + 4 :]):
            return date * _UNIT
        if following <= at:
            break
        at = following
    return Fraction(0)


def _stops(commands: bytes) -> bool:
    """Whether the picture goes by one of these commands."""
    at = 0
    while at < len(commands) and commands[at] in _ARGUMENTS:
        if commands[at] == _STOP:
            return True
        at += 1 + _ARGUMENTS[commands[at]]
    return False
