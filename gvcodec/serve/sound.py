"""The sound of HLS segments: AAC and Opus are copied, other codecs are coded as AAC.

Of several tracks the default one plays, or else the first. Times are seconds after the first
picture. Raises `DamagedStreamError`, `LimitError`.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Disposition

from gvcodec.limits import Limits
from gvcodec.serve.aac_segments import PREROLL, add_aac, code_part
from gvcodec.sink.feed import FedTrack
from gvcodec.tracks.packets import TrackPacket, TrackReader
from gvcodec.video import Video

_COPIED = ("aac", "opus")


class SegmentSound:
    """Track `number` of a stream that has `tracks` packets."""

    def __init__(self, video: Video, number: int, limits: Limits) -> None:
        self._video, self._number, self._limits = video, number, limits
        self._first = video.tracks_of(0)[0]
        reader = TrackReader(self._first, limits)
        self._tick = reader.ticks[number]
        self._zero = round(video.pts_of(0) * video.header.format.time_base / self._tick)
        first = [packet for packet in reader.waiting if packet.track == number]
        self._fed = FedTrack(reader.tracks[number], reader.streams[number], first)
        self._is_copied = self._fed.codec in _COPIED
        #: Of each GOP whose packets hold sound, when that begins and ends; when all of it ends.
        self._spans: dict[int, tuple[Fraction, Fraction]] = {}
        self.end = Fraction(0)
        for gop in range(len(video.key_frames)):
            if packets := self._read_gop(reader, gop):
                self.end = (packets[-1].pts + packets[-1].duration) * self._tick
                self._spans[gop] = packets[0].pts * self._tick, self.end

    def add_to(self, container: OutputContainer) -> Any:
        """Add its stream to a segment."""
        if self._is_copied:
            return self._fed.add(container)
        return add_aac(container, self._fed.channels)

    def packets(self, stream: Any, begin: Fraction, end: Fraction) -> list[Any]:
        """Packets for `stream` that begin within [`begin`, `end`)."""
        around = Fraction(0) if self._is_copied else PREROLL
        reader, packets = TrackReader(self._first, self._limits), list[TrackPacket]()
        for gop, (first, last) in self._spans.items():
            if first < end + around and last > begin - around:
                packets += self._read_gop(reader, gop)
        within = begin - around, end + around
        packets = [packet for packet in packets if within[0] <= packet.pts * self._tick < within[1]]
        if not self._is_copied:
            decoder = reader.streams[self._number].codec_context
            return code_part(stream, decoder, map(reader.av_packet, packets), begin, end)
        copies = [
            reader.av_packet(replace(packet, data=self._fed.data_of(packet))) for packet in packets
        ]
        for copy in copies:
            copy.stream = stream
        return copies

    def _read_gop(self, reader: TrackReader, gop: int) -> list[TrackPacket]:
        """Packets of the track in a GOP, in ticks after the first picture. `reader` has read the
        first payload of the stream."""
        for payload in self._video.tracks_of(gop)[gop == 0 :]:
            reader.send(payload)
        packets = [packet for packet in reader.waiting if packet.track == self._number]
        reader.waiting.clear()
        return [replace(packet, pts=packet.pts - self._zero) for packet in packets]


def open_sound(video: Video, limits: Limits) -> SegmentSound | None:
    """The track that plays; None without sound, or where nothing decodes it."""
    if not (payloads := video.tracks_of(0)):
        return None
    reader = TrackReader(payloads[0], limits)
    numbers = [n for n, stream in enumerate(reader.streams) if stream.type == "audio"]
    for n in sorted(numbers, key=lambda n: not reader.tracks[n].flags & Disposition.default):
        with contextlib.suppress(av.FFmpegError, ValueError, KeyError):
            return SegmentSound(video, n, limits)
    return None
