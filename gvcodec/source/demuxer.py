"""Packets of the video of a file, on one clock; packets of copied tracks wait on the way until the
video has come to their time. Times are in ticks of the video's time base, or in seconds.

    demuxer = Demuxer(file, "in.mp4", options, is_picture=False, has_tracks=True)
    for packet in demuxer.video_packets(): ...
    demuxer.hand_on(end)               # tracks get packets that begin before `end` (seconds)

Raises `MediaError`, `UsageError`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import cast

import av

from gvcodec.bitstream.attachments import Attachment
from gvcodec.bitstream.metadata_obu import is_painted
from gvcodec.errors import MediaError, UsageError
from gvcodec.input_options import DEFAULT_RATE, InputOptions
from gvcodec.source.copying import DISCARD_ALL, Waiting, copier_of
from gvcodec.source.opening import InputFile, reason, video_of
from gvcodec.source.timeline import Timeline, has_timestamps, rate_of_stream
from gvcodec.tracks.attached_files import AttachedFiles
from gvcodec.tracks.copier import TrackCopier

#: No time is before it.
NEVER = -(1 << 63)
#: Bytes of a boundary of multipart JPEG.
_MOST_OF_A_MARK = 128
#: Packets among which those before the first keyframe are looked for.
_OPENING = 2000


class Demuxer:
    """`name`: of the source in messages; `is_picture`: the file is one of numbered pictures, of
    which no packets are read here.

    Attributes: `rate` (frames a second), `tick` (seconds), `counts_frames` (whether times follow
    from the frame rate), `tracks`, `notes`, `packets` (how many of the video came), `last_packet`,
    `stop_reason` (why nothing could be read any more before the end), `still_until` (when the last
    packet without data ends), `opening` (timestamps of the first packets), `zero` (seconds at which
    the video begins), `keeps_early` (whether sound before that is kept)."""

    def __init__(
        self, file: InputFile, name: str, options: InputOptions, is_picture: bool, has_tracks: bool
    ) -> None:
        self.file, self.name, self._options = file, name, options
        self.tracks: TrackCopier | None = None
        self.notes: list[str] = []
        self.is_painted = False
        self._attached: AttachedFiles | None = None
        self.zero, self.keeps_early = Fraction(0), True
        self._track_packets: Iterator[av.Packet] | None = None
        self._set_stream()
        if options.rate is not None and not is_picture and has_timestamps(self.container):
            raise UsageError(f"{self.name}: has timestamps, so --rate does not apply")
        self.counts_frames = is_picture or options.rate is not None
        if is_picture:
            self.rate = options.rate or DEFAULT_RATE
        else:
            self.rate = options.rate or rate_of_stream(self.stream)
        self.tick = Fraction(self.stream.time_base or Fraction(1, 90000))
        if self.counts_frames:
            self.tick = 1 / self.rate
        if has_tracks:
            self.tracks, self.notes = copier_of(self.container, self.stream, options)
        if has_tracks and not options.no_attachments:
            self._attached = AttachedFiles(self.container, self.stream)
        self.restart()

    @property
    def container(self) -> av.container.InputContainer:
        return self.file.container

    @property
    def kind(self) -> str:
        """FFmpeg's name of the kind of file."""
        return str(self.container.format.name)

    @property
    def period(self) -> Fraction:
        """Period of frames in ticks."""
        return 1 / self.rate / self.tick

    def attachments(self) -> list[Attachment]:
        """Attachments and covers, after the first packet of the video."""
        return self._attached.attachments() if self._attached else []

    def restart(self) -> None:
        """Packets come from where the file is now, on a clock that begins there."""
        self.timeline = Timeline(self.container, 1 / self.rate)
        self.waiting = Waiting(self.timeline)
        self.packets = 0
        self.stop_reason = ""
        self.last_packet: av.Packet | None = None
        self.still_until = NEVER
        self.opening: list[int] = []

    def seek(self, time: int) -> bool:
        """Go to the keyframe before a time; False if the file stays where it is."""
        with contextlib.suppress(av.FFmpegError):
            self.container.seek(time, stream=self.stream)
            self.restart()
            return True
        return False

    def reopen(self) -> None:
        """Begin again with the file."""
        self.file = self.file.reopen()
        self._set_stream()
        if self.tracks is not None:
            # Packets know the container that they are of.
            self.tracks, _ = copier_of(self.container, self.stream, self._options)
        if self._attached is not None:
            self._attached = AttachedFiles(self.container, self.stream)
        self.restart()

    def video_packets(self) -> Iterator[av.Packet]:
        """Packets of the video, the last one without data, which empties the decoder."""
        streams = [self.stream, *self.tracks.streams] if self.tracks else [self.stream]
        for packet in self._read(streams):
            if packet.stream.index != self.stream.index:
                if packet.pts is not None:
                    self.waiting.add(packet)
                continue
            if packet.size:
                self.packets += 1
                if self.packets == 1:
                    self.is_painted = is_painted(bytes(packet))
                self.last_packet = packet
                self.timeline.move(packet)
                # Frames that an edit list leaves out are decoded, but not shown.
                is_shown = packet.pts is not None and not packet.is_discard
                if is_shown and len(self.opening) < _OPENING:
                    self.opening.append(cast(int, packet.pts))
            elif packet.pts is not None:
                # The picture before it stays: nothing is lost, and nothing to be decoded.
                self.timeline.move(packet)
                self.still_until = packet.pts + (packet.duration or 0)
                continue
            yield packet

    def hand_on(self, end: Fraction | None) -> None:
        """Copy the packets of tracks that begin before `end` (seconds on the clock of the file;
        None = all)."""
        self.waiting.copy(self.tracks, self.zero, end, self.keeps_early)

    def copy_tracks(self, end: Fraction | None) -> None:
        """The same, read without decoding. No frames can be read after that."""
        streams = list(self.tracks.streams) if self.tracks else []
        if self._track_packets is None:
            if streams and not self.kind.startswith("mov"):
                # The clock of the video is that of all, and may jump.
                streams.insert(0, self.stream)
            else:
                self.stream.discard = cast("av.stream.Discard", DISCARD_ALL)
            self._track_packets = self._read(streams) if streams else iter(())
        # With sound, subtitles are not waited for: they are rare, and that would read all.
        kinds = {s.type for s in streams} & {"audio"} or {"subtitle"}
        behind = {stream.index for stream in streams if stream.type in kinds}
        while behind or end is None:
            packet = next(self._track_packets, None)
            if packet is None:
                break
            if packet.stream.index == self.stream.index:
                self.timeline.move(packet)
            elif packet.pts is not None:
                seconds = self.waiting.add(packet)
                if end is not None and seconds is not None and seconds >= end:
                    behind.discard(packet.stream.index)
        self.hand_on(end)

    def is_cut_off(self, is_whole: bool) -> bool:
        """Whether the file ends early, after its last packet; `is_whole`: all packets came."""
        last = self.last_packet
        return last is not None and self.file.ends_early(last, self.packets if is_whole else None)

    def _set_stream(self) -> None:
        self.stream = video_of(self.container)
        # With frame threads a damaged packet also loses good frames before it.
        self.stream.thread_type = "SLICE"

    def _read(self, streams: Sequence[av.stream.Stream]) -> Iterator[av.Packet]:
        covers, attached = self._attached.streams if self._attached else [], self._attached
        demuxed = self.container.demux([*streams, *covers])
        others = (packet for packet in demuxed if attached is None or not attached.take(packet))
        packets = self.timeline.straighten(others, self.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self.file.raise_stopped()
                if not self.packets:
                    why = self.file.why(error)
                    raise MediaError(f"{self.name}: reading stopped: {why}") from error
                # Earlier frames are kept, as in FFmpeg's program.
                self.stop_reason = "" if self._has_read_all() else reason(error)
                packet = av.Packet()
                packet.stream = self.stream
                yield packet  # without data: empties the decoder
                return
            self.file.raise_stopped()
            if packet is None:
                return
            yield packet

    def _has_read_all(self) -> bool:
        """Whether nothing but a mark of the end is left: FFmpeg takes the last boundary of
        multipart JPEG for a broken picture."""
        last, size = self.last_packet, self.file.size
        if last is None or last.pos is None or size is None:
            return False
        return last.pos + last.size + _MOST_OF_A_MARK >= size
