"""Tracks of sound and subtitles inside a gvcodec file: their packets are copied, never decoded.

They travel in `tracks` packets (docs/spec/tracks.md): codec parameters as the head of
a Matroska or MP4 file for each track, whole packets with exact timestamps. Of sound, a tick is one
sample. Samples may be hidden: samples that an encoder adds at the start, that an edit list leaves
out, or that fill the last packet."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Stream

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError, LimitError
from gvcodec.limits import DEFAULT, OBJECT_BYTES, Limits
from gvcodec.tracks.codec_parameters import MAX_HEAD, alike, open_head
from gvcodec.tracks.sound_clock import hide_end
from gvcodec.types import time_in_part

#: Least bytes of packets in one `tracks` packet: each one restarts its delta coding.
CHUNK = 1 << 14
MAX_TRACKS = 64
_MAX_RATIO = 1 << 31
_MAX_TIME = 1 << 62
#: Bytes of a language or a title.
MAX_TEXT = 256
#: FFmpeg's dispositions that are kept: default, dub, original, comment, lyrics, karaoke, forced,
#: hearing and visual impaired, clean effects; captions and descriptions.
FLAGS = 0x303FF
#: Codecs whose last packet alone may be shorter than the others.
_NEVER_JOINED = ("tta",)
_DURATION, _HIDDEN, _NO_KEYFRAME, _FLAG_BITS = 1, 2, 4, 3


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
        flags = cursor.var(FLAGS) & FLAGS
        try:
            language, title = (cursor.take(cursor.var(MAX_TEXT)).decode() for _ in range(2))
        except UnicodeDecodeError as error:
            raise DamagedStreamError("tracks: a text is no UTF-8") from error
        if not (language + title).isprintable():
            raise DamagedStreamError("tracks: a text has control characters")
        head = cursor.take(cursor.var())
        return Track(Fraction(numerator, denominator), head, flags, language, title)


@dataclass(frozen=True, slots=True)
class TrackPacket:
    """A copied packet: number of its track; time, duration, and the lengths hidden at its start and
    at its end, in ticks of the track. The duration includes the part hidden at the start, but not
    the part hidden at the end. `key`: decoding can begin here."""

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
        # A writer of video files needs the beginning of each track.
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


class TrackReader:
    """Packets from the payloads of `tracks` packets: `waiting` gets them, `streams` are templates.
    Raises `DamagedStreamError`, `LimitError` when too much waits."""

    def __init__(self, payload: bytes, limits: Limits = DEFAULT) -> None:
        cursor = Cursor(payload, "tracks")
        count = cursor.var(MAX_TRACKS)
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
        #: Places of the stored tracks among `tracks`, None for those that are left out.
        self._places: list[int | None] = [*range(count)]
        self._reset()
        self._latest: dict[int, int] = {}
        self._begin: Fraction | None = None
        self._end: Fraction | None = None
        self.waiting: deque[TrackPacket] = deque()
        self._most = limits.side_memory
        self._waiting_bytes = 0
        self._read(cursor)

    def has_same_layout(self, other: TrackReader) -> bool:
        """Whether packets of the tracks of `other` can follow the packets of these."""
        if self is other:
            return True
        same = len(self.tracks) == len(other.tracks)
        return same and all(map(joins, self.streams, other.streams))

    def leave_out(self, *kinds: str) -> None:
        """Leave tracks of these kinds ("audio", "subtitle") out, with their packets."""
        kept = [n for n, stream in enumerate(self.streams) if stream.type not in kinds]
        self.tracks, self.streams = [self.tracks[n] for n in kept], [self.streams[n] for n in kept]
        self.ticks = [track.tick for track in self.tracks]
        self.kinds = kinds_of(self.streams)
        self._places = [kept.index(n) if n in kept else None for n in range(len(self._places))]
        packets, self.waiting = self.waiting, deque()
        for packet in packets:
            if packet.track in kept:
                self.waiting.append(replace(packet, track=kept.index(packet.track)))

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
        self._ends, self._durations = [0] * len(self._places), [0] * len(self._places)

    def _read(self, cursor: Cursor) -> None:
        count = len(self._places)
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
            if (place := self._places[number]) is not None:
                key = not flags & _NO_KEYFRAME
                self._add(TrackPacket(place, pts, duration, data, hidden, key))

    def _add(self, packet: TrackPacket) -> None:
        tick = self.ticks[packet.track]
        if self._end is not None and packet.pts * tick >= self._end:
            return
        if self._begin is not None:
            if (remainder := self.shown_from(packet, self._begin)) is None:
                return
            packet = replace(remainder, pts=remainder.pts - round(self._begin / tick))
        self._check_room(len(packet.data) + OBJECT_BYTES)
        self._wait(packet, None if self._begin is None else Fraction(0))

    def _wait(self, packet: TrackPacket, begin: Fraction | None) -> None:
        """Queue a packet. Only the latest subtitle without a duration is shown at `begin`."""
        lasts = self.streams[packet.track].type == "subtitle" and not packet.duration
        if begin is not None and lasts and packet.pts * self.ticks[packet.track] <= begin:
            others = (p for p in self.waiting if not (p.track == packet.track and not p.duration))
            self.waiting = deque(others)
        self.waiting.append(packet)

    def _check_room(self, cost: int) -> None:
        """Raises `LimitError`. Taken packets are not reported: then all are counted again."""
        self._waiting_bytes = cost + (self._waiting_bytes if self.waiting else 0)
        if self._waiting_bytes > self._most:
            self._waiting_bytes = cost + sum(
                len(packet.data) + OBJECT_BYTES for packet in self.waiting
            )
        if self._waiting_bytes > self._most:
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


def kinds_of(streams: Sequence[Stream]) -> str:
    """ "audio", "subtitles" or both."""
    kinds = {stream.type for stream in streams}
    names = {"audio": "audio", "subtitle": "subtitles"}
    return " and ".join(name for kind, name in names.items() if kind in kinds)


def with_attachments(kinds: str, has_attachments: bool) -> str:
    """The same with "attachments" if there are any."""
    others = kinds.replace(" and ", ", ")
    return " and ".join(filter(None, [others, "attachments"])) if has_attachments else kinds


def joins(one: Stream, other: Stream) -> bool:
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
