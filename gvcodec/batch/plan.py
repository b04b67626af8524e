"""Cuts a video into chunks at keyframes of the source, going by its packets alone: nothing is
decoded.

A chunk begins where a decoder can begin, so no frame is decoded for two of them, but for the few
that follow a chunk's last frame in the file. Encoders set keyframes where scenes begin, earlier
than their period asks for: of several the one that comes soonest after another is taken, of equal
ones the last."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import av

from gvcodec.media.inputs import InputOptions
from gvcodec.media.opening import SeekablePipe, video_of
from gvcodec.media.reader import Span, VideoReader
from gvcodec.media.timeline import Timeline, may_jump
from gvcodec.util.uris import absolute_path, is_uri, open_uri

#: Seconds: half of it is how far the clock of a video may step back, however high its rate.
_STEP = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Chunk:
    """`frames` from number `first` on; `begin` and `end` are timestamps (see `Span`)."""

    first: int
    frames: int
    begin: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """`whole`: the timestamps are no help, so that there is one chunk, all of the file. `seconds`:
    how long the video is. `shift` goes from all timestamps. `cuts`: how many chunks begin with a
    scene."""

    width: int
    height: int
    rate: str
    seconds: float
    chunks: tuple[Chunk, ...]
    shift: int = 0
    whole: bool = False

    @property
    def frames(self) -> int:
        return sum(chunk.frames for chunk in self.chunks)

    def span(self, number: int) -> Span | None:
        if self.whole:
            return None
        chunk = self.chunks[number]
        return Span(chunk.begin, chunk.end, self.shift)

    def pack(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def unpack(data: dict[str, Any]) -> Plan:
        return Plan(**(data | {"chunks": tuple(Chunk(**chunk) for chunk in data["chunks"])}))


def make_plan(
    source: str, start: float, frames: int | None, length: int, said: InputOptions | None = None
) -> Plan:
    """`source`: a path or URI; chunks have about `length` frames. Raises `MediaError`."""
    with VideoReader(source, start, frames, said=said) as reader:
        fmt, first, shift = reader.format, reader.start_pts + reader.shift, reader.shift
        expected, tick, stop = reader.expected, fmt.time_base, reader.stop
    times, keys = _packets(source)
    size = fmt.width, fmt.height, str(fmt.frame_rate)
    if times is None or first not in times:
        count = expected or 1
        whole = (Chunk(0, count, 0, None),)
        return Plan(*size, float(count / fmt.frame_rate), whole, whole=True)
    places = sorted(time for time in times if time >= first)
    if stop is not None:
        within = sum(time < stop for time in places)
        frames = within if frames is None else min(frames, within)
    after = places[frames] if frames is not None and frames < len(places) else None
    places = places[:frames]
    starts = boundaries([place in keys for place in places], length)
    ends = [*(places[start] for start in starts[1:]), after]
    counts = [b - a for a, b in zip(starts, [*starts[1:], len(places)], strict=True)]
    chunks = tuple(
        Chunk(start, count, places[start], end)
        for start, count, end in zip(starts, counts, ends, strict=True)
    )
    seconds = (places[-1] - places[0]) * tick + 1 / fmt.frame_rate
    return Plan(*size, float(seconds), chunks, shift)


def boundaries(keys: Sequence[bool], length: int) -> list[int]:
    """Numbers of the frames that chunks begin with. `keys`: whether a decoder can begin with a
    frame. Chunks have `length / 2` to `length` frames as far as there are keys for that, the last
    one up to a quarter more."""
    places = [number for number, key in enumerate(keys) if key and number]
    gaps = {b: b - a for a, b in zip([0, *places], places, strict=False)}
    starts, last = [0], len(keys) - length // 4
    while len(keys) - starts[-1] > length * 5 // 4:
        least, most = starts[-1] + (length + 1) // 2, starts[-1] + length
        inside = [p for p in places if least <= p <= most and p <= last]
        beyond = next((p for p in places if most < p <= last), None)
        if inside:
            starts.append(min(inside, key=lambda p: (gaps[p], -p)))
        elif beyond is not None:
            starts.append(beyond)
        else:
            break
    return starts


def _packets(source: str) -> tuple[set[int] | None, set[int]]:
    """Timestamps of all frames, None where they are no help, and those of keyframes."""
    times: set[int] = set()
    keys: set[int] = set()
    count = 0
    timeline = None
    with contextlib.ExitStack() as stack:
        pipe = SeekablePipe(stack.enter_context(open_uri(source))) if is_uri(source) else None
        # What cannot be read ends the packets: those before it can be decoded.
        stack.enter_context(contextlib.suppress(av.FFmpegError, OSError))
        container = stack.enter_context(av.open(pipe or absolute_path(source), "r"))
        for packet in container.demux(video_of(container)):
            if not packet.size:
                continue
            if packet.pts is None:
                return None, keys
            timeline = timeline or Timeline(may_jump(container), _STEP)
            count += 1
            times.add(packet.pts)
            if packet.is_keyframe:
                keys.add(packet.pts)
            timeline.move(packet)
            if timeline.jumps:
                return None, keys
    if pipe is not None and pipe.stopped is not None:
        raise pipe.stopped
    return (times if len(times) == count else None), keys
