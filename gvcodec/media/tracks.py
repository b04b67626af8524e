"""Packets of sound and subtitles on their way through a gvcodec file: copied, never decoded.

They travel in `tracks` packets (specified in `gvcodec.bitstream`): codec parameters as the head of
a Matroska or MP4 file, packets with their exact timestamps in a form of our own. Each payload holds
whole packets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.stream import Stream

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.decoding_limits import DEFAULT, OBJECT_BYTES, Limits
from gvcodec.errors import DamagedStreamError, LimitError
from gvcodec.media.heads import KINDS, make_head, open_head

#: Every `tracks` packet begins anew, so packets are handed on in pieces of at least so many bytes.
CHUNK = 1 << 14
_MAX_TRACKS = 64
_MAX_RATIO = 1 << 31
_MAX_TIME = 1 << 62


@dataclass(frozen=True, slots=True)
class TrackPacket:
    """A copied packet: number of its track, time and duration in ticks of the track."""

    track: int
    pts: int
    duration: int
    data: bytes


class TrackWriter:
    """Payloads of `tracks` packets: `send` packets, `take` what came since the last call. The first
    begins with the head."""

    def __init__(self, ticks: Sequence[Fraction], head: bytes) -> None:
        self.ticks = list(ticks)
        self.head = head
        self._last = [0] * len(ticks)
        self._data = bytearray(encode_var(len(ticks)))
        for tick in ticks:
            self._data += encode_var(tick.numerator) + encode_var(tick.denominator)
        self._data += encode_var(len(head)) + head
        #: Packets sent so far.
        self.packets = 0

    def send(self, packet: TrackPacket) -> None:
        if not self._data:
            self._data += encode_var(len(self._last))
            self._last = [0] * len(self._last)
        last = self._last[packet.track]
        self._data += (
            encode_var(packet.track) + encode_svar(packet.pts - last) + encode_var(packet.duration)
        )
        self._data += encode_var(len(packet.data)) + packet.data
        self._last[packet.track] = packet.pts
        self.packets += 1

    @property
    def waiting(self) -> int:
        """Bytes that `take` would give."""
        return len(self._data)

    def take(self, least: int = 0) -> bytes:
        """What waits; nothing where that is less than `least` bytes."""
        if len(self._data) < least:
            return b""
        data = bytes(self._data)
        self._data.clear()
        return data


class TrackCopier(TrackWriter):
    """Copies packets of the streams of a file. `left_out`: those whose codec no head can hold."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        kept: list[Stream] = []
        head = b""
        for kind in KINDS:
            fitting = [stream for stream in streams if make_head(kind, [stream])]
            if len(fitting) > len(kept):
                kept, head = fitting, make_head(kind, fitting)
        super().__init__([stream.time_base or Fraction(1, 1000) for stream in kept], head)
        self.streams = kept
        self.left_out = [stream for stream in streams if stream not in kept]
        self._numbers = {stream.index: number for number, stream in enumerate(kept)}

    def copy(self, packet: av.Packet, shift: Fraction) -> None:
        """Copy a packet that has a timestamp, `shift` seconds earlier."""
        track = self._numbers[packet.stream.index]
        pts = (packet.pts or 0) - round(shift / self.ticks[track])
        self.send(TrackPacket(track, pts, packet.duration or 0, bytes(packet)))


class TrackReader:
    """Packets from the payloads of `tracks` packets, of which the first is given. Raises
    `DamagedStreamError`, `LimitError` when too much waits.

    Attributes: `ticks` (of each track), `head`, `streams` (templates for output streams), `waiting`
    (packets to take out).
    """

    def __init__(self, payload: bytes, limits: Limits = DEFAULT) -> None:
        cursor = Cursor(payload, "tracks")
        count = cursor.var(_MAX_TRACKS)
        self.ticks: list[Fraction] = []
        for _ in range(count):
            numerator, denominator = cursor.var(_MAX_RATIO), cursor.var(_MAX_RATIO)
            if not numerator or not denominator:
                raise DamagedStreamError("tracks: time base of 0")
            self.ticks.append(Fraction(numerator, denominator))
        self.head = cursor.take(cursor.var())
        self._container = open_head(self.head)
        self.streams = list(self._container.streams)
        if len(self.streams) != count:
            raise DamagedStreamError("tracks: codec parameters of another number of tracks")
        self._last = [0] * count
        self._begin: Fraction | None = None
        self._end: Fraction | None = None
        self.waiting: deque[TrackPacket] = deque()
        self._most = limits.side_memory
        self._held = 0
        self._read(cursor)

    def send(self, payload: bytes) -> None:
        """Take the payload of the next `tracks` packet. Raises `DamagedStreamError`."""
        self._read(Cursor(payload, "tracks"))

    def keep(self, begin: Fraction | None, end: Fraction | None) -> None:
        """From now on only packets count that begin between these times (seconds, None = no bound),
        and time begins at `begin`."""
        self._begin, self._end = begin, end
        found, self.waiting = self.waiting, deque()
        for packet in found:
            self._add(packet)

    def drop(self, before: Fraction | None = None, since: Fraction | None = None) -> None:
        """Waiting packets go that begin before a time (seconds), or then and later."""
        times = ((packet, packet.pts * self.ticks[packet.track]) for packet in self.waiting)
        self.waiting = deque(
            packet
            for packet, time in times
            if (before is None or time >= before) and (since is None or time < since)
        )

    def av_packet(self, packet: TrackPacket) -> av.Packet:
        """The packet for a muxer."""
        copy = av.Packet(packet.data)
        copy.time_base = self.ticks[packet.track]
        copy.pts = copy.dts = packet.pts
        copy.duration = packet.duration
        copy.is_keyframe = True
        return copy

    def _read(self, cursor: Cursor) -> None:
        count = len(self.ticks)
        while len(cursor):
            track = cursor.var(count)
            if track == count:
                self._last = [0] * count
                continue
            self._last[track] += cursor.svar()
            duration = cursor.var()
            if abs(self._last[track]) > _MAX_TIME or duration > _MAX_TIME:
                raise DamagedStreamError("tracks: a timestamp is out of range")
            self._add(TrackPacket(track, self._last[track], duration, cursor.take(cursor.var())))

    def _add(self, packet: TrackPacket) -> None:
        tick = self.ticks[packet.track]
        if self._end is not None and packet.pts * tick >= self._end:
            return
        if self._begin is not None:
            if packet.pts * tick < self._begin:
                return
            packet = replace(packet, pts=packet.pts - round(self._begin / tick))
        self._check_room(_cost(packet))
        self.waiting.append(packet)

    def _check_room(self, cost: int) -> None:
        """Raises `LimitError` when what waits takes too much memory. Whoever takes packets out does
        not tell: then they are counted anew."""
        self._held = cost + self._held * bool(self.waiting)
        if self._held > self._most:
            self._held = cost + sum(map(_cost, self.waiting))
        if self._held > self._most:
            raise LimitError(
                f"sound and subtitles take more than {self._most >> 20} MiB (--max-memory)"
            )


def _cost(packet: TrackPacket) -> int:
    """Bytes of memory, about."""
    return len(packet.data) + OBJECT_BYTES
