"""Presentation times of a stream's frames, read GOP by GOP on demand."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction

from gvcodec.bitstream import GopEntry, Kind, PtsDecoder, SequenceHeader
from gvcodec.errors import UsageError
from gvcodec.limits import Limits
from gvcodec.types import stands
from gvcodec.video.source import StreamSource


class Clock:
    """Times in ticks of the stream, and in seconds after frame 0. Raises `DamagedStreamError`."""

    def __init__(
        self,
        source: StreamSource,
        header: SequenceHeader,
        gops: Sequence[GopEntry],
        limits: Limits,
    ) -> None:
        self._source, self._header, self._gops, self._limits = source, header, gops, limits
        self._starts = [gop.first_frame for gop in gops]
        self.frames = gops[-1].first_frame + gops[-1].frames
        self._times: dict[int, list[int]] = {}

    def seconds_of(self, number: int) -> float:
        """When a frame is shown, after the first one."""
        return float((self.pts_of(number) - self.pts_of(0)) * self._header.format.time_base)

    def pts_of(self, number: int) -> int:
        """Timestamp of a frame in ticks; that of the frame after the last is when the last ends."""
        at = bisect_right(self._starts, min(number, self.frames - 1)) - 1
        if at not in self._times:
            gop, fmt = self._gops[at], self._header.format
            timing = PtsDecoder(self._header.start_pts, fmt.frame_rate, fmt.time_base, self._limits)
            timing.restart(gop.first_frame)
            with self._source.reader() as reader:
                for packet in reader.packets_of(gop):
                    if packet.kind is Kind.TIMING:
                        timing.send(packet.payload)
            self._times[at] = [timing.receive() for _ in range(gop.frames + 1)]
        if number == self.frames:
            return self._times[at][-1]
        return self._times[at][number - self._starts[at]]

    def played_at(self, seconds: float, just_before: bool = False) -> int:
        """Number of the frame on screen `seconds` after the first one, or just before that time.
        Raises `IndexError` before the first frame and after the last."""
        try:
            seconds = float(seconds)
        except (TypeError, ValueError):
            raise UsageError(f"a time is a number, not {type(seconds).__name__}") from None
        if not math.isfinite(seconds):
            raise UsageError(f"{seconds} is not a time")
        tick, begin = self._header.format.time_base, self.pts_of(0)
        pts = begin + Fraction(seconds) / tick
        # A time that was computed in floating point from a frame's timestamp means that frame.
        if abs(pts - round(pts)) < Fraction(1, 1000):
            pts = Fraction(round(pts))
        end = self.pts_of(self.frames)
        if not (begin < pts <= end if just_before else begin <= pts < end):
            span = f"from 0 to {self.seconds_of(self.frames):g} s"
            raise IndexError(f"{self._source.name}: nothing plays at {seconds:g} s, only {span}")
        low, high = 0, self.frames
        while high - low > 1:
            middle = (low + high) // 2
            at = self.pts_of(middle)
            low, high = (
                (middle, high) if at < pts or (at == pts and not just_before) else (low, middle)
            )
        return low

    def cut_at(self, seconds: Fraction) -> tuple[int, int, bool]:
        """Where a part begins or ends: the first frame shown `seconds` after frame 0 or later, the
        tick of the cut, and whether the frame before is still on screen there (then the cut is at
        `seconds` itself)."""
        fmt = self._header.format
        wanted = self.pts_of(0) + seconds / fmt.time_base
        number = bisect_left(range(self.frames), wanted, key=lambda n: Fraction(self.pts_of(n)))
        begin = self.pts_of(number)
        if number and stands(self.pts_of(number - 1), begin, wanted, fmt.period):
            return number, math.ceil(wanted), True
        return number, begin, False

    def first_at(self, seconds: Fraction) -> int:
        """The first frame shown `seconds` after frame 0 or later. Raises `UsageError` for none."""
        number = self.cut_at(seconds)[0]
        if number == self.frames:
            raise UsageError(
                f"{self._source.name}: no frame is shown {float(seconds):g} s after the first one "
                "or later"
            )
        return number
