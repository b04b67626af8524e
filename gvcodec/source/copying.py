"""Copies sound and subtitles of a file: packets wait until the frames that they go with are
read."""

import math
from fractions import Fraction

import av
from av.stream import Stream

from gvcodec.bitstream.metadata import printable
from gvcodec.input_options import COPY, NONE, InputOptions, opus_rate
from gvcodec.source.opening import of_the_same_programme
from gvcodec.source.timeline import Timeline
from gvcodec.tracks.attached_files import is_attached
from gvcodec.tracks.copier import TrackCopier
from gvcodec.tracks.opus import SoundCoder
from gvcodec.tracks.tags import title_of
from gvcodec.types import time_in_part
from gvcodec.util.messages import count_noun

#: FFmpeg's mark of tracks to skip.
DISCARD_ALL = 48
#: Kinds of tracks that FFmpeg does not decode, so that PyAV does not name their codec.
_NAMELESS = {"subtitle": "a subtitle that nothing decodes, such as teletext"}


def copier_of(
    container: av.container.InputContainer, video: av.VideoStream, options: InputOptions
) -> tuple[TrackCopier | None, list[str]]:
    """The copier of a file's other tracks, if any, and a line for each omission that the
    user did not ask for."""
    notes: list[str] = []
    others = [
        stream
        for stream in container.streams
        if stream.index != video.index
        and not is_attached(stream)
        and not is_chapter_track(stream, container)
    ]
    copied = [
        stream
        for stream in others
        if stream.type in ("audio", "subtitle") and of_the_same_programme(stream, video)
    ]
    pictures = [stream for stream in others if stream.type == "video"]
    if video.frames == 1 and len(pictures) == len(others) > 0:
        # Items of a HEIF file, which has no track.
        notes.append(f"1 of {len(pictures) + 1} pictures of the file is coded")
    elif len(others) > len(copied):
        left_out = {_describe(stream) for stream in others if stream not in copied}
        kinds = ", ".join(sorted(left_out))
        notes.append(f"{count_noun(len(others) - len(copied), 'other track')} ({kinds}) left out")
    sound = options.sound or COPY
    selected = {"audio": sound != NONE, "subtitle": not options.no_subtitles}
    copied = [stream for stream in copied if selected[stream.type]]
    if not copied:
        return None, notes
    rate = opus_rate(sound)
    tracks = TrackCopier(copied) if rate is None else SoundCoder(copied, rate)
    if tracks.left_out:
        names = ", ".join(
            stream.codec_context.name
            if stream.codec_context
            else _NAMELESS.get(stream.type, stream.type)
            for stream in tracks.left_out
        )
        is_sound = any(s.type == "audio" and s.codec_context for s in tracks.left_out)
        way_out = "; --sound opus re-encodes sound" if is_sound and rate is None else ""
        count = count_noun(len(tracks.left_out), "track")
        notes.append(f"{count} ({names}) left out: cannot be copied{way_out}")
    return (tracks if tracks.streams else None), notes


def is_chapter_track(stream: Stream, container: av.container.InputContainer) -> bool:
    """Whether a track has the titles of chapters, which QuickTime keeps so."""
    return stream.type == "data" and stream.discard == DISCARD_ALL and bool(container.chapters())


def _describe(stream: Stream) -> str:
    """The kind of a track; of data, which may be a timecode or telemetry, with its name."""
    name = "timecode" if "timecode" in stream.metadata else title_of(stream)
    name = name or printable(stream.metadata.get("handler_name", ""))
    return f"{stream.type}: {name}" if stream.type == "data" and name else stream.type


class Waiting:
    """Packets that were met, but whose time has not come; they go by the clock of the video."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._packets: list[tuple[av.Packet, int]] = []

    def add(self, packet: av.Packet) -> Fraction | None:
        """Add the next packet of a track. Returns its time (seconds), None if not known yet."""
        part = self._timeline.add_packet(packet)
        self._packets.append((packet, part))
        return self._timeline.seconds(packet, part)

    def forget(self, end: Fraction) -> None:
        """Drop packets that begin before `end` (seconds), except subtitles on screen then."""
        on_screen = self._on_screen(end)
        times = [(self._timeline.seconds(*waiting), waiting) for waiting in self._packets]
        self._packets = [w for t, w in times if t is None or t >= end or id(w[0]) in on_screen]

    def copy(
        self, tracks: TrackCopier | None, zero: Fraction, end: Fraction | None, all_before: bool
    ) -> None:
        """Hand on packets that begin before `end` (seconds; None = all), as times since `zero`. Of
        those before `zero` a subtitle on screen then begins then, others go without
        `all_before`."""
        on_screen = {} if all_before else self._on_screen(zero)
        packets, self._packets = self._packets, []
        for packet, part in packets:
            seconds = self._timeline.seconds(packet, part, end is None)
            if seconds is None or (end is not None and seconds >= end):
                self._packets.append((packet, part))
                continue
            assert packet.pts is not None
            shift = zero - seconds + packet.pts * packet.time_base
            if seconds < zero and not all_before:
                if id(packet) not in on_screen:
                    continue
                late = on_screen[id(packet)] - packet.pts
                packet.pts += late
                packet.duration = packet.duration - late if packet.duration else 0
            if tracks is not None:
                tracks.copy(packet, shift)

    def _on_screen(self, time: Fraction) -> dict[int, int]:
        """Subtitles (by `id`) that begin before a time (seconds) and are on screen then, and when
        they begin in a part that begins there (ticks). One without a duration stays until the next
        one."""
        begins: dict[int, int] = {}
        latest: dict[int, tuple[int, int]] = {}
        for packet, part in self._packets:
            seconds = self._timeline.seconds(packet, part)
            if packet.stream.type != "subtitle" or seconds is None or seconds >= time:
                continue
            assert packet.pts is not None
            moment = packet.pts + (time - seconds) / packet.time_base
            if not packet.duration:
                latest[packet.stream.index] = id(packet), math.ceil(moment)
                continue
            begin = time_in_part(packet.pts, packet.pts + packet.duration, moment)
            if begin is not None:
                begins[id(packet)] = begin
        return begins | dict(latest.values())
