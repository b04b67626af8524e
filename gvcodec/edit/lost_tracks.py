"""Sound and subtitles of a damaged stream: packets that are left, and a line for each part that is
lost, with its track and time.

    finder = TrackSalvage(header, limits, note)
    finder.send(gop.tracks, was_damaged)      # `tracks` payloads of each GOP
    finder.reader.waiting                     # packets that are left
    finder.finish(seconds)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from gvcodec.bitstream import SequenceHeader
from gvcodec.bitstream.backup import descriptions_of
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import Limits
from gvcodec.tracks.packets import TrackPacket, TrackReader
from gvcodec.util.messages import count_noun, format_time

#: Shorter silences between two packets of sound are no loss, in seconds.
_LEAST_GAP = Fraction(1, 100)


class TrackSalvage:
    """`reader`: the tracks that are left, None without their descriptions. `note` gets lines."""

    def __init__(self, header: SequenceHeader, limits: Limits, note: Callable[[str], None]) -> None:
        self.reader: TrackReader | None = None
        self._limits, self._note = limits, note
        self._start = header.start_pts * header.format.time_base
        #: By track: when its last packet ends, in ticks. Tracks that may have lost packets since.
        self._ends: dict[int, int] = {}
        self._suspects: set[int] = set()
        self._unreadable = 0

    def describe(self, payload: bytes) -> None:
        """Descriptions of the tracks whose first packet is lost. Raises `DamagedStreamError`."""
        self.reader = TrackReader(payload, self._limits)
        self._suspects.update(range(len(self.reader.tracks)))

    def send(
        self, payloads: Sequence[bytes], descriptions: Sequence[bytes], was_damaged: bool
    ) -> list[TrackPacket]:
        """The packets in the payloads of a GOP. `descriptions`: those of the backup, and those in
        damaged packets; `was_damaged`: packets between these payloads may be missing."""
        packets: list[TrackPacket] = []
        for payload in payloads:
            if self.reader is None and was_damaged:
                self._describe_anew(payload, descriptions)
            try:
                if self.reader is None:
                    self.reader = TrackReader(payload, self._limits)
                else:
                    self.reader.send(payload)
            except DamagedStreamError as error:
                self._unreadable += self.reader is None
                self._note(str(error))
                was_damaged = True
            while self.reader is not None and self.reader.waiting:
                packets.append(self.reader.waiting.popleft())
        if was_damaged and self.reader is not None:
            self._suspects.update(range(len(self.reader.tracks)))
        for packet in packets:
            if packet.track in self._suspects:
                self._check_gap(packet)
                if not was_damaged:
                    self._suspects.discard(packet.track)
            self._ends[packet.track] = packet.pts + packet.duration
        return packets

    def finish(self, end: Fraction) -> None:
        """Say what is missing up to the end of the video, in seconds on the stream's clock."""
        if self._unreadable:
            packets = count_noun(self._unreadable, "packet")
            self._note(f"sound and subtitles: {packets} lost with the description of their tracks")
        for track in sorted(self._suspects):
            assert self.reader is not None
            begin = self._ends.get(track, 0) * self.reader.ticks[track]
            if self.reader.streams[track].type == "audio" and end - begin > _LEAST_GAP:
                self._note(f"{self._name(track)}: lost from {self._time(begin)} to the end")

    def _describe_anew(self, payload: bytes, descriptions: Sequence[bytes]) -> None:
        """Use descriptions if the first payload that is left does not begin with its own."""
        for description in descriptions:
            if payload.startswith(description):
                return
            try:
                reader = TrackReader(description, self._limits)
                reader.send(payload)
            except DamagedStreamError:
                continue
            self.describe(description)
            return

    def _check_gap(self, packet: TrackPacket) -> None:
        assert self.reader is not None
        track, tick = packet.track, self.reader.ticks[packet.track]
        known = self._ends.get(track)
        begin, end = (known or 0) * tick, packet.pts * tick
        if self.reader.streams[track].type != "audio":
            if known is not None:
                between = f"between {self._time(begin)} and {self._time(end)}"
                self._note(f"{self._name(track)}: lines {between} may be lost")
        elif end - (self._start if known is None else begin) > _LEAST_GAP:
            begin = self._start if known is None else begin
            seconds = float(end - begin)
            self._note(f"{self._name(track)}: {seconds:.2f} s lost at {self._time(begin)}")

    def _name(self, track: int) -> str:
        assert self.reader is not None
        kind = "sound" if self.reader.streams[track].type == "audio" else "subtitles"
        language = self.reader.tracks[track].language
        return f"{kind} (track {track + 1}{f', {language}' if language else ''})"

    def _time(self, seconds: Fraction) -> str:
        return format_time(max(0.0, float(seconds - self._start)))


def description_in(payload: bytes) -> bytes:
    """Descriptions in a damaged `tracks` payload, empty where there are none that can be read."""
    try:
        tracks = descriptions_of(payload)
        TrackReader(tracks)
        return tracks
    except DamagedStreamError:
        return b""
