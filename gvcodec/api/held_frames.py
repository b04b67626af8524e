"""Repeats the last good frame for lost ones, in outputs without timestamps.

    holds = HeldFrames(repaired.gaps, repaired.kept)
    for frame in holds.fill(frames, header): ...

Such an output says when a frame is shown by its number alone: it slips against the sound by every
frame that is missing. The last good frame is repeated for each of them, at the start the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from gvcodec.bitstream import SequenceHeader
from gvcodec.codec.decoder import DecodedFrame

#: Frames that are held at most: as many as `Salvage` believes without bytes, or so many times those
#: that are left. A made-up count shall not fill a disk.
_LEAST_BOUND, _BOUND = 1000, 10


class HeldFrames:
    """`gaps` and `kept` as in `Repaired`. `total`: frames to be held; `notes`: a line where
    there are fewer than the stream says."""

    def __init__(self, gaps: Mapping[int, int], kept: int) -> None:
        self._gaps: dict[int, int] = {}
        self._kept = kept
        self.total = 0
        most = max(_LEAST_BOUND, _BOUND * kept)
        for place, lost in sorted(gaps.items()):
            self._gaps[place] = min(lost, most - self.total)
            self.total += self._gaps[place]
        lost = sum(gaps.values())
        cut = f"{lost} frames are missing by the stream's count: only {self.total} are held"
        self.notes = [cut] * (self.total < lost)

    def fill(
        self, frames: Iterator[DecodedFrame], header: SequenceHeader
    ) -> Iterator[DecodedFrame]:
        """All frames, with those that are held, whose times are evenly spaced in the gap and whose
        planes are the neighbour's own."""
        step = 1 / (header.format.frame_rate * header.format.time_base)
        before: DecodedFrame | None = None
        for number, frame in enumerate(frames):
            lost = self._gaps.get(number, 0)
            shown = frame if before is None else before
            begin = Fraction(header.start_pts) if before is None else before.pts + step
            for n in range(lost):
                yield replace(shown, pts=round(begin + n * (frame.pts - begin) / lost))
            yield frame
            before = frame
        for n in range(self._gaps.get(self._kept, 0)):
            if before is not None:
                yield replace(before, pts=round(before.pts + (n + 1) * step))
