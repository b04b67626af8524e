"""Frames in memory: read at a size, compared, and instead of files where metrics are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from eval.colour import Planes
from eval.video import LAYOUTS, Clip, frame_planes


def read_frames(
    path: Path, count: int, size: Callable[[int, int], tuple[int, int]], depth: int = 8
) -> tuple[list[Planes], Fraction]:
    """The first `count` frames in 4:2:0 of 8 or 10 bits, made `size(width, height)` by area, and
    how many there are a second."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        target_size = size(stream.width, stream.height)
        frames = [
            frame_planes(frame.reformat(*target_size, LAYOUTS[depth], interpolation="AREA"), depth)
            for frame in islice(container.decode(stream), count)
        ]
        return frames, Fraction(stream.average_rate or 25)


@dataclass(frozen=True)
class Loaded:
    """8-bit frames that metrics take instead of a `RawVideo`."""

    shown: Sequence[Planes]
    depth: int = 8

    @property
    def frames(self) -> int:
        return len(self.shown)

    def planes(self, index: int) -> Planes:
        return self.shown[index]


def clip_of(frames: Sequence[Planes], rate: Fraction) -> Clip:
    """A source in memory, BT.601 in limited range."""
    raw: Any = Loaded(frames)
    return Clip("clip", raw, Path(), rate, 6, False, "")
