"""Frames in memory: read at a size, compared, and in place of files where metrics are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import av

from eval.colour import Planes
from eval.metrics.pixel import PSNR_CAP
from eval.tools import EvalError
from eval.video import LAYOUTS, Clip, frame_planes
from gvcodec.codec.fidelity import psnr


def clip_in(folder: Path, name: str) -> Path:
    """The first video with this part of a name. Raises EvalError."""
    if not (found := sorted(folder.glob(f"**/*{name}*.mp4"))):
        raise EvalError(f"{folder}: no clip {name}")
    return found[0]


def read_frames(
    path: Path, count: int, size: Callable[[int, int], tuple[int, int]], depth: int = 8
) -> tuple[list[Planes], Fraction]:
    """The first `count` frames in 4:2:0 of 8 or 10 bits, made `size(width, height)` by area, and
    how many there are a second."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        wanted = size(stream.width, stream.height)
        frames = [
            frame_planes(frame.reformat(*wanted, LAYOUTS[depth], interpolation="AREA"), depth)
            for frame in islice(container.decode(stream), count)
        ]
        return frames, Fraction(stream.average_rate or 25)


@dataclass(frozen=True)
class Loaded:
    """8-bit frames that metrics take in place of a `RawVideo`."""

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


def psnr_y(source: Sequence[Planes], shown: Sequence[Planes]) -> float:
    """Mean over frames of 10 bits, dB."""
    return fmean(min(PSNR_CAP, psnr(a[0], b[0])) for a, b in zip(source, shown, strict=True))
