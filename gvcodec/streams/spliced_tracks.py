"""Copied tracks of sound and subtitles on their way from streams into a new one."""

from __future__ import annotations

from fractions import Fraction

from gvcodec.decoding_limits import Limits
from gvcodec.errors import UsageError
from gvcodec.media.tracks import TrackReader
from gvcodec.streams.gops import Gop, Splicer

_OTHER_TRACKS = "the streams have different tracks of sound or subtitles"


class SplicedTracks:
    """Packets of copied tracks between a stream and a splicer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reader: TrackReader | None = None

    def read(self, gop: Gop) -> None:
        for payload in gop.tracks:
            if self._reader is None:
                self._reader = TrackReader(payload, self._limits)
            else:
                self._reader.send(payload)

    def drop_before(self, seconds: Fraction) -> None:
        reader = self._reader
        while reader is not None and reader.waiting:
            if reader.waiting[0].pts * reader.ticks[reader.waiting[0].track] >= seconds:
                return
            reader.waiting.popleft()

    def hand_on(
        self, splicer: Splicer, begin: Fraction | None, end: Fraction | None, shift: Fraction
    ) -> None:
        """Packets met so far that begin within these seconds go on, `shift` seconds later; earlier
        ones are dropped."""
        reader = self._reader
        if reader is None:
            if splicer.tracks is not None:
                raise UsageError(_OTHER_TRACKS)
            return
        if splicer.tracks is None and not splicer.writer.frames:
            splicer.add_tracks(reader)
        if splicer.tracks is None or (splicer.tracks.head, splicer.tracks.ticks) != (
            reader.head,
            reader.ticks,
        ):
            raise UsageError(_OTHER_TRACKS)
        later = []
        for packet in reader.waiting:
            seconds = packet.pts * reader.ticks[packet.track]
            if end is not None and seconds >= end:
                later.append(packet)
            elif begin is None or seconds >= begin:
                splicer.send_track_packet(packet, shift)
        reader.waiting.clear()
        reader.waiting.extend(later)
