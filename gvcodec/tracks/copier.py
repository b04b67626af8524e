"""Copies sound and subtitles of a source: packets that FFmpeg demuxes become packets of `tracks`,
with times in ticks of one sample of their sound.

    copier = TrackCopier(streams)
    copier.copy(packet, shift)          # an `av.Packet`, `shift` seconds earlier
    copier.pop()                        # the payload of a `tracks` packet
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
from av.packet import PktSideDataT
from av.stream import Stream

from gvcodec.tracks.codec_parameters import fitting_head
from gvcodec.tracks.packets import (
    FLAGS,
    MAX_TEXT,
    MAX_TRACKS,
    Track,
    TrackPacket,
    TrackReader,
    TrackWriter,
    joins,
    kinds_of,
    without_hidden,
)
from gvcodec.tracks.sound_clock import SoundClock, form_of, is_frame
from gvcodec.tracks.tags import title_of
from gvcodec.tracks.vobsub import vobsub_shown_for

#: Side data of subtitles: position and name.
CUE: tuple[PktSideDataT, ...] = ("webvtt_settings", "webvtt_identifier")


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
        tracks = {stream.index: self.describe(stream) for stream in streams[:MAX_TRACKS]}
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
            joins(ours, theirs)
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
        self.styled_cues += any(map(packet.has_sidedata, CUE))
        if data:
            number, key = self._numbers[index], packet.is_keyframe
            copied = TrackPacket(number, pts, duration, data, hidden, key)
            if self._clocks[index].is_pcm:
                copied = without_hidden(copied)
            if copied.data:
                self.send(copied)


def track_of(stream: Stream, tick: Fraction, head: bytes) -> Track:
    """The track with the name, language and dispositions of a stream of a file."""
    flags, title = int(stream.disposition) & FLAGS, _text(title_of(stream))
    language = _text(stream.metadata.get("language", ""))
    return Track(tick, head, flags, "" if language == "und" else language, title)


def _text(text: str) -> str:
    """A text that the format allows: printable in Unicode, and short."""
    text = "".join(character if character.isprintable() else " " for character in text).strip()
    return text.encode()[:MAX_TEXT].decode(errors="ignore").strip()
