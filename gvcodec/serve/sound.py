"""The sound of HLS segments: AAC and Opus are copied, other codecs are coded as AAC.

Of several tracks the default one plays, or else the first. Times are seconds after the first
picture. Raises `DamagedStreamError`, `LimitError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Disposition

from gvcodec.errors import DamagedStreamError
from gvcodec.limits import Limits
from gvcodec.media.aac_segments import PREROLL, add_aac, code_part
from gvcodec.media.feed import FedTrack
from gvcodec.media.tracks import TrackReader, TrackWriter

_COPIED = ("aac", "opus")


class SegmentSound:
    """Track `number` of the stream whose first `tracks` packet has this payload. `zero`: time of
    the first picture in the stream, seconds. `reader` takes later payloads while times are read."""

    def __init__(self, payload: bytes, number: int, zero: Fraction, limits: Limits) -> None:
        self.reader = TrackReader(payload, limits)
        self._payload, self._number, self._limits = payload, number, limits
        self._head = TrackWriter(self.reader.tracks).take()
        track, self._tick = self.reader.tracks[number], self.reader.tracks[number].tick
        self._zero = round(zero / self._tick)
        first = [packet for packet in self.reader.waiting if packet.track == number]
        self._fed = FedTrack(track, self.reader.streams[number], first)
        self._copies = self._fed.codec in _COPIED

    def add_to(self, container: OutputContainer) -> Any:
        """Its stream in a segment."""
        return self._fed.add(container) if self._copies else add_aac(container, self._fed.channels)

    def take_span(self) -> tuple[Fraction, Fraction] | None:
        """Times of the first packet in `reader` and the end of the last one, which are dropped."""
        packets = [packet for packet in self.reader.waiting if packet.track == self._number]
        self.reader.waiting.clear()
        if not packets:
            return None
        ends = (packets[0].pts, packets[-1].pts + packets[-1].duration)
        return (ends[0] - self._zero) * self._tick, (ends[1] - self._zero) * self._tick

    def packets(
        self, stream: Any, payloads: Sequence[bytes], begin: Fraction, end: Fraction
    ) -> list[Any]:
        """Packets for `stream` that begin within [`begin`, `end`). `payloads` hold them and those
        `PREROLL` before. The first part of the film also has the packet that reaches into it."""
        has_head = payloads[:1] == [self._payload]
        reader = TrackReader(self._payload if has_head else self._head, self._limits)
        for payload in payloads[has_head:]:
            reader.send(payload)
        before = Fraction(0) if self._copies else PREROLL
        packets = []
        for packet in reader.waiting:
            pts = packet.pts - self._zero
            starts, ends = pts * self._tick, (pts + packet.duration) * self._tick
            late = ends > begin if not begin else starts >= begin - before
            if packet.track == self._number and late and starts < end + before:
                data = self._fed.data_of(packet) if self._copies else packet.data
                packets.append(reader.av_packet(replace(packet, pts=pts, data=data)))
        if self._copies:
            return packets
        decoder = reader.streams[self._number].codec_context
        return code_part(stream, decoder, packets, begin, end)


def sound_of(payload: bytes, zero: Fraction, limits: Limits) -> SegmentSound | None:
    """The track that plays; None without sound, or where nothing decodes it."""
    reader = TrackReader(payload, limits)
    numbers = [n for n, stream in enumerate(reader.streams) if stream.type == "audio"]
    for n in sorted(numbers, key=lambda n: not reader.tracks[n].flags & Disposition.default):
        try:
            return SegmentSound(payload, n, zero, limits)
        except (av.FFmpegError, ValueError, KeyError, DamagedStreamError):
            continue
    return None
