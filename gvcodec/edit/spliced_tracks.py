"""Copies tracks of sound and subtitles from streams into a new one.

At a join, packets that begin after it, or before it in the second stream, are dropped. A packet
that reaches into the next stream is shortened, or dropped if less than half of it would be heard.
So sound stays synchronous, and a gap or an overlap lasts at most half a packet."""

from dataclasses import replace
from fractions import Fraction

from gvcodec.codec.gops import Gop, Splicer
from gvcodec.errors import UsageError
from gvcodec.limits import Limits
from gvcodec.tracks.packets import TrackPacket, TrackReader, without_hidden
from gvcodec.tracks.sound_clock import is_pcm

_OTHER_TRACKS = "the streams have different tracks of sound or subtitles"


class SplicedTracks:
    """Packets of copied tracks between streams and a splicer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reader: TrackReader | None = None
        #: The last packet of each track, which the next stream may shorten.
        self._last: dict[int, TrackPacket] = {}
        #: Tracks whose next packet is the first of another stream.
        self._joined_tracks: set[int] = set()

    def next_stream(self) -> None:
        """Later packets belong to the next stream."""
        self._reader = None
        self._joined_tracks = set(self._last)

    def read(self, gop: Gop) -> None:
        for payload in gop.tracks:
            if self._reader is None:
                self._reader = TrackReader(payload, self._limits)
            else:
                self._reader.send(payload)

    def drop_before(self, seconds: Fraction) -> None:
        if self._reader is not None:
            self._reader.drop(before=seconds)

    def hand_on(
        self,
        splicer: Splicer,
        begin: Fraction | None,
        end: Fraction | None,
        shift: Fraction,
        is_joined: bool = False,
    ) -> None:
        """Pass on packets of these seconds, `shift` seconds later; drop earlier ones. `is_joined`:
        another stream may follow."""
        reader = self._reader
        if reader is None:
            if splicer.tracks is not None:
                raise UsageError(_OTHER_TRACKS, code="streams-differ")
            return
        if splicer.tracks is None and not splicer.writer.frames:
            splicer.add_tracks(reader)
        if splicer.track_layout is None or not splicer.track_layout.has_same_layout(reader):
            raise UsageError(_OTHER_TRACKS, code="streams-differ")
        if begin is not None:
            reader.drop(before=begin)
        later = []
        for packet in reader.waiting:
            seconds = packet.pts * reader.ticks[packet.track]
            if end is not None and seconds >= end:
                later.append(packet)
            elif visible_packet := packet if begin is None else reader.shown_from(packet, begin):
                self._send(splicer, reader, visible_packet, shift)
        reader.waiting.clear()
        reader.waiting.extend(later)
        if not is_joined:
            self.finish(splicer)

    def finish(self, splicer: Splicer) -> None:
        """No other stream follows."""
        for packet in sorted(self._last.values(), key=lambda packet: packet.track):
            splicer.send_track_packet(packet)
        self._last.clear()

    def _send(
        self, splicer: Splicer, reader: TrackReader, packet: TrackPacket, shift: Fraction
    ) -> None:
        number = packet.track
        if number in self._joined_tracks and packet.audible is None:
            # A decoder's pre-roll would be heard in the middle.
            return
        packet = splicer.shift_packet(packet, reader.ticks[number], shift)
        last = self._last.pop(number, None)
        if last is not None and number in self._joined_tracks:
            last = _shorten(last, packet.pts, is_pcm(reader.streams[number]))
        self._joined_tracks.discard(number)
        if last is not None:
            splicer.send_track_packet(last)
        self._last[number] = packet


def _shorten(packet: TrackPacket, end: int, cuts: bool) -> TrackPacket | None:
    """A packet up to `end`, None if less than half remains; `cuts`: at every sample."""
    excess = packet.pts + packet.duration - end
    if excess <= 0:
        return packet
    remaining = packet.duration - excess
    begin, hidden = packet.hidden
    if remaining <= begin or (2 * remaining < packet.duration and not cuts):
        return None
    shorter = replace(packet, duration=remaining, hidden=(begin, hidden + excess))
    return without_hidden(shorter) if cuts else shorter
