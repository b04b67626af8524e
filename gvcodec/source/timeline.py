"""A file's clock: whether it has timestamps, its frame rate, when it ends. Makes one rising clock
of timestamps that restart where recordings were joined, jump, follow decoding order, or are
missing.

FFmpeg's stream copy was measured on 24 such files: 8 come the same, which need nothing of this.
Joined MPEG-TS comes a frame early at each join, MPEG-PS loses 17 and 19 of 20 frames, MXF is wrong
from the ninth on, FLV keeps its jumps, AVI, ASF and raw streams are not copied.

Works on packets before they are decoded, so that frames and copied tracks go by the same clock:
shared times are in seconds, timestamps of packets in ticks of their stream."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av

from gvcodec.input_options import DEFAULT_RATE

#: Seconds. A track that steps back by more begins again (the video: by half a frame), one that
#: steps forward by more too where the kind of file has timestamps that jump (MPEG-TS, MPEG-PS); as
#: in FFmpeg.
_BACK, _FORWARD = Fraction(1, 10), 10
#: Seconds by which FFmpeg's guess of a decoding time may be wrong.
_GUESS = Fraction(1, 2)
#: Packets that leap ahead at most, where the clock comes back.
_LEAP = 32
_TS_DISCONT = 512
_MAX_RATE = 1000
#: FFmpeg's mark of kinds of files without timestamps, and names of more of them.
_NO_TIMESTAMPS = 128
_UNTIMED = ("h264", "hevc", "vvc", "obu", "m4v", "mpegvideo", "mjpeg", "image2", "yuv4mpegpipe")
#: Packets that a decoder holds at most: 16 reference frames and its threads.
_MOST_DELAY = 96
#: Most frame periods that a frame with a repeated field lasts, with rounding.
_REPEATED = 1.6
#: Frames that wait for a timestamp after them.
MOST_BETWEEN = 32


@dataclass(frozen=True, slots=True)
class Segment:
    """A part with one clock: its `begin` in the file, `offset` for all times; both in seconds."""

    begin: Fraction
    offset: Fraction


def may_jump(container: av.container.InputContainer) -> bool:
    """Whether timestamps of this kind of file may jump forward without a picture that long."""
    return bool(int(container.format.flags) & _TS_DISCONT)


def has_timestamps(container: av.container.InputContainer) -> bool:
    """Whether files of this kind have timestamps."""
    return (
        not int(container.format.flags) & _NO_TIMESTAMPS and container.format.name not in _UNTIMED
    )


def rate_of_stream(stream: av.VideoStream) -> Fraction:
    """Frames a second, nominally."""
    for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate):
        if rate and 0 < rate <= _MAX_RATE:
            return Fraction(rate)
    # A clock may pass for a rate, but not where frames are counted: a high-speed camera.
    counted = stream.average_rate if stream.frames > 1 else None
    return Fraction(counted) if counted and counted > 0 else DEFAULT_RATE


def end_of_track(stream: av.VideoStream, last: av.Packet | None, step: Fraction) -> int:
    """When an MP4 track ends, in ticks, if its last packet stays longer than `step`; else 0."""
    length = stream.duration
    is_mp4 = stream.container.format.name.startswith("mov")
    if last is None or not is_mp4 or length is None or (last.duration or 0) <= step * 3 / 2:
        return 0
    return (stream.start_time or 0) + length


def ends_before_another(
    container: av.container.InputContainer, stream: av.VideoStream, last: av.Packet | None
) -> bool:
    """Whether another video of a transport stream begins where this one ends with packet `last`:
    its number may change within a recording."""
    if last is None or last.pts is None or not may_jump(container):
        return False
    others = [other for other in container.streams.video if other is not stream]
    # Where a stream begins may be a time of decoding.
    begins = [(s.start_time, s.time_base) for s in others if s.start_time is not None]
    return any(begin * (tick or 0) >= last.pts * last.time_base for begin, tick in begins)


class Timeline:
    """`move` puts the video's packets on the clock, `seconds` gives the time of a track's packet;
    `jumps`: seconds where another clock began."""

    def __init__(self, container: av.container.InputContainer, step: Fraction) -> None:
        self._jumping, self._step = may_jump(container), step
        #: By how much decoding times that are no guesses step back within a recording.
        self._back = step / 2 if container.format.name == "flv" else _GUESS
        self.segments: list[Segment] = []
        self.jumps: list[Fraction] = []
        #: Last decoding time, and end of the shown frames on the new clock.
        self._last: Fraction | None = None
        self._end: Fraction | None = None
        self._tracks: dict[int, _Track] = {}

    def move(self, packet: av.Packet) -> None:
        """Put a packet of the video on the new clock. One that an edit list hides has none."""
        if packet.is_discard:
            return
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or not packet.time_base:
            return
        tick = packet.time_base
        begin = time * tick
        if not self.segments:
            self.segments.append(Segment(begin, Fraction(0)))
        elif self._end is not None and self._detect_jump(packet):
            offset = self._end - begin
            if not packet.is_keyframe and self._last is not None and packet.dts is not None:
                # Frames shown before it may follow.
                offset = self._last + self.segments[-1].offset + self._step - packet.dts * tick
            self.segments.append(Segment(begin, offset))
            self.jumps.append(self._end)
        if packet.dts is not None:
            decoded = packet.dts * tick
            # The rate of a file is a guess where its clock jumps: a frame lasts as long as one did.
            if self._last is not None and 0 < decoded - self._last <= 1:
                self._step = decoded - self._last
            self._last = decoded
        offset = self.segments[-1].offset
        if offset:
            _shift(packet, offset)
        end = begin + offset + self._step
        self._end = end if self._end is None else max(self._end, end)

    def straighten(
        self, packets: Iterable[av.Packet], video: av.VideoStream
    ) -> Iterator[av.Packet]:
        """The same packets; where the video's clock leaps ahead for a few, they go on instead."""
        leaping: list[av.Packet] = []
        for packet in packets:
            if packet.stream.index != video.index or (packet.size and packet.dts is None):
                yield packet
                continue
            leap = self._ahead(packet)
            if leaping and packet.size and self._ahead(leaping[0]) - leap > _FORWARD:
                back = self._ahead(leaping[0]) - self._step
                for early in leaping:
                    _shift(early, -back)
                self.jumps.append(self._end or Fraction(0))
                yield from leaping
                leaping.clear()
            if leap > _FORWARD and len(leaping) < _LEAP:
                leaping.append(packet)
                continue
            yield from leaping
            leaping.clear()
            yield packet
        yield from leaping

    def _ahead(self, packet: av.Packet) -> Fraction:
        """Seconds of decoding after the last packet that was moved."""
        if self._last is None or self._jumping or packet.dts is None:
            return Fraction(0)
        return packet.dts * Fraction(packet.time_base) - self._last

    def _detect_jump(self, packet: av.Packet) -> bool:
        if self._last is None or packet.dts is None:
            return False
        ahead = packet.dts * packet.time_base - self._last
        if self._jumping:
            return ahead <= -self._step / 2 or ahead > _FORWARD
        # Recordings begin with a keyframe.
        return ahead <= -(self._step / 2 if packet.is_keyframe else self._back)

    def add_packet(self, packet: av.Packet) -> int:
        """Note a packet of a track, in file order. Gives the part of its track."""
        track = self._tracks.setdefault(packet.stream.index, _Track())
        assert packet.pts is not None
        seconds = packet.pts * packet.time_base
        ahead = seconds - track.last if track.last is not None else Fraction(0)
        # Subtitles may be far apart.
        leaps = self._jumping and packet.stream.type == "audio" and ahead > _FORWARD
        if ahead < -_BACK or leaps:
            track.parts += 1
            track.begins.append(seconds)
            track.ends.append(track.last or Fraction(0))
        track.last = seconds
        return track.parts

    def seconds(self, packet: av.Packet, part: int, last: bool = False) -> Fraction | None:
        """When a track's packet begins; None while unknown. `last`: the file has ended."""
        assert packet.pts is not None
        seconds = packet.pts * packet.time_base
        track = self._tracks[packet.stream.index]
        offset = track.offset(part, self.segments, last)
        return None if offset is None else seconds + offset


def _shift(packet: av.Packet, seconds: Fraction) -> None:
    ticks = round(seconds / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


@dataclass(slots=True)
class _Track:
    """How far a track has come: `parts` new beginnings so far, and how each of them begins."""

    last: Fraction | None = None
    parts: int = 0
    begins: list[Fraction] = field(default_factory=list)
    ends: list[Fraction] = field(default_factory=list)
    #: Segment and offset of each part that is known.
    offsets: list[tuple[int, Fraction]] = field(default_factory=lambda: [(0, Fraction(0))])

    def offset(self, part: int, segments: list[Segment], last: bool) -> Fraction | None:
        while len(self.offsets) <= part:
            begin, (before, offset) = self.begins[len(self.offsets) - 1], self.offsets[-1]
            fitting = (
                (number, segment.offset)
                for number, segment in enumerate(segments)
                if number > before and abs(segment.begin - begin) < _FORWARD
            )
            match = next(fitting, None)
            if match is None and last:
                # The video has no such place: keep the previous one.
                match = before, self.ends[len(self.offsets) - 1] + offset - begin
            if match is None:
                return None
            self.offsets.append(match)
        return self.offsets[part][1]


class DisplayTimes:
    """Timestamps of decoded frames. AVI numbers packets as they are decoded, not as they are shown:
    the frame that is shown n-th has the n-th of their times. So do ASF and MXF where timestamps
    rise from packet to packet although the decoder changes their order."""

    def __init__(self, kind: str) -> None:
        self.by_packet = kind == "avi"
        self._rising, self._highest = kind in ("asf", "mxf"), -(1 << 63)
        #: Times that no frame has, in order.
        self._free: list[int] = []
        #: From the decoding time to the presentation time in such files.
        self._delay: int | None = None

    def send(self, packet: av.Packet) -> None:
        """A packet that goes to the decoder next."""
        if packet.pts is not None:
            if self._delay is None and packet.dts is not None:
                self._delay = packet.pts - packet.dts
            self._free.append(self._time_of(packet))
            self._rising = self._rising and packet.pts >= self._highest
            self._highest = packet.pts
        # Some packets never become a frame.
        del self._free[:-_MOST_DELAY]

    def lose(self, packet: av.Packet) -> None:
        """The decoder refused this packet."""
        if (time := self._time_of(packet)) in self._free:
            self._free.remove(time)

    def receive(self, frame: av.VideoFrame, reorders: bool) -> int | None:
        """Timestamp of the next frame, if any. `reorders`: whether the decoder may do so."""
        time = self._free.pop(0) if self._free else frame.pts
        return time if self.by_packet or (self._rising and reorders) else frame.pts

    def _time_of(self, packet: av.Packet) -> int:
        """Presentation time by the order of packets. The packet's own is often another guess."""
        if packet.dts is None or self._delay is None:
            return int(packet.pts or 0)
        return int(packet.dts + self._delay)


def rising(
    frames: Iterable[tuple[av.VideoFrame, int | None]], step: int
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Frames with timestamps that rise strictly, made up where there are none: `step` ticks apart.
    Frames without a timestamp between two that have one are spread evenly."""
    last: int | None = None
    lasts, timed = step, False
    between: list[av.VideoFrame] = []
    for frame, pts in frames:
        if pts is None and timed and len(between) < MOST_BETWEEN:
            between.append(frame)
            continue
        timed = timed or pts is not None
        even = step
        if between and pts is not None and last is not None:
            even = max(1, (pts - last) // (len(between) + 1))
        for earlier in between:
            last = 0 if last is None else last + even
            yield earlier, last
        between.clear()
        if pts is None:
            pts = 0 if last is None else last + lasts
        last = pts if last is None or pts > last else last + max(1, step // 2)
        lasts = _shown_for(frame, step)
        yield frame, last
    for earlier in between:
        last = 0 if last is None else last + lasts
        lasts = _shown_for(earlier, step)
        yield earlier, last


def _shown_for(frame: av.VideoFrame, step: int) -> int:
    """Ticks from a frame to the next where no timestamps say it: half as many again where a field
    is repeated, as films on DVD have it."""
    duration = frame.duration or 0
    return duration if step < duration <= step * _REPEATED else step
