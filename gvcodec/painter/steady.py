"""Chooses how strongly each GOP is painted: at the strongest at which painted frames change little
more from one to the next than base frames do, or not at all where what is painted is far from the
source's detail.

Change is measured on the runs that fitting has, along the motion of the source: the mean over
16×16 blocks of what a block changes by beyond the source's own change. The first strength of
`LADDER` whose painted runs stay within `LIMIT` times the base frames' excess is taken, or else the
last one. Whether it is painted at all is seen by the energies of detail in patches (`energies`):
slides and screens, whose base frames keep nearly all, would get texture that they do not have.
What a GOP is given costs a `fit` packet where it differs from what is in force, so it
changes only where that is small beside the GOP.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.painter.energies import energies, padded
from gvcodec.painter.fit_samples import Part, Sample
from gvcodec.painter.look import DEFAULT, turned
from gvcodec.painter.model import NEUTRAL, Ints, Model, Strength, rate
from gvcodec.painter.payload import BASE, IDENTITY, join_strength, read
from gvcodec.painter.video import CpuPainter, block_vectors
from gvcodec.types import BLOCK, Plane, Planes

Area = tuple[int, int]

LIMIT = 1.05
#: From the weakest on. `keep` 24 costs 0 to 1 point of LPIPS-Alex against the base frames. More
#: costs more than it gains: 80 and noise · 60 / 64, 3 points for a fifth of the flicker of waves.
LADDER = (NEUTRAL, Strength(keep=12), Strength(keep=24))
#: Invisible excess, in 10-bit sample values.
FLOOR = 0.02
#: How far the energies of painted detail may be from the source's, in parts of what those of base
#: frames are: 0.8 to 1.1 where cameras were, 1.1 to 1.4 in a drawn film, 1.7 and more on slides and
#: screens.
ASTRAY = 1.5
#: Most runs by which that is seen.
_RUNS_SEEN = 6
#: Most of a GOP's bytes for a `fit` packet that only its strength asks for.
_SHARE = 0.01


def _block_changes(now: Plane, before: Plane, vectors: NDArray[np.int16]) -> NDArray[np.float32]:
    """Mean |difference| of every whole block to the frame before at its vector."""
    height, width = (n // BLOCK * BLOCK for n in now.shape)
    dy, dx = vectors[:, : height // BLOCK, : width // BLOCK].repeat(BLOCK, 1).repeat(BLOCK, 2)
    rows = np.clip(np.arange(height)[:, None] + dy, 0, now.shape[0] - 1)
    columns = np.clip(np.arange(width) + dx, 0, now.shape[1] - 1)
    change = np.abs(now[:height, :width].astype(np.float32) - before[rows, columns])
    blocks = change.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    means: NDArray[np.float32] = blocks.mean((1, 3))
    return means


def _vectors(lumas: Sequence[Plane]) -> list[NDArray[np.int16]]:
    return [block_vectors(now, before) for before, now in itertools.pairwise(lumas)]


def _changes(
    lumas: Sequence[Plane], along: Iterable[NDArray[np.int16]]
) -> list[NDArray[np.float32]]:
    pairs = zip(itertools.pairwise(lumas), along, strict=True)
    return [_block_changes(now, before, vectors) for (before, now), vectors in pairs]


class _Run(NamedTuple):
    """Frames, each one's own entry of the condition, motion of base frames and of sources, and how
    the sources' blocks change."""

    sample: Sample
    own: Sequence[int]
    moves: list[NDArray[np.int16]]
    along: list[NDArray[np.int16]]
    change: list[NDArray[np.float32]]


class Runs:
    """Runs of (base frame, source) that belong together, with motion of both; `own`: each frame's
    own entry of the condition. Runs of one frame are left out."""

    def __init__(self, samples: Sequence[Sample], own: Sequence[Sequence[int]]) -> None:
        self._runs = []
        self._painter: CpuPainter | None = None
        for sample, rates in zip(samples, own, strict=True):
            if len(sample) > 1:
                base, source = ([pair[i][0] for pair in sample] for i in (0, 1))
                along = _vectors(source)
                run = _Run(sample, rates, _vectors(base), along, _changes(source, along))
                self._runs.append(run)

    def _excess(self, lumas: Iterable[Sequence[Plane]], limit: float = math.inf) -> float:
        """Mean change of blocks beyond the source's own, in 10-bit codes; 0 without runs or
        whole blocks. No run lowers the sum, so once the mean is above `limit` the rest is not
        looked at."""
        total, count = 0.0, max(1, sum(len(run.change) for run in self._runs))
        for run, planes in zip(self._runs, lumas, strict=False):
            for ours, theirs in zip(_changes(planes, run.along), run.change, strict=True):
                # Pictures below 16×16 have no whole block.
                if ours.size:
                    total += float(np.maximum(0, ours - theirs).mean())
            if total / count > limit:
                break
        return total / count

    def excess_of_base(self) -> float:
        return self._excess([base[0] for base, _ in run.sample] for run in self._runs)

    def excess_of(
        self,
        model: Model,
        stream: Ints,
        limit: float = math.inf,
    ) -> float:
        """Of painted runs; above `limit` a part of it that is above `limit` too."""
        painted = self.paint(model, stream)
        return self._excess(([planes[0] for planes in run] for run in painted), limit)

    def block_excess(self, lumas: Iterable[Sequence[Plane]]) -> NDArray[np.float32]:
        """What each block of runs of painted lumas changes by beyond the source's own change, the
        mean over frames, (H / 16, W / 16), in 10-bit codes."""
        found = [
            np.maximum(0, ours - theirs)
            for run, planes in zip(self._runs, lumas, strict=True)
            for ours, theirs in zip(_changes(planes, run.along), run.change, strict=True)
        ]
        means: NDArray[np.float32] = np.mean(found, 0)
        return means

    def strays(self, model: Model, stream: Ints) -> bool:
        """Whether the energies of painted detail are more than `ASTRAY` times as far from the
        source's as those of base frames."""
        painted, base = self.astray(model, stream)
        return painted > ASTRAY * base

    def astray(self, model: Model, stream: Ints) -> tuple[float, float]:
        """How far the energies of painted detail, and those of base frames, are from the source's:
        mean |difference| of their logarithms in the last frames of some runs, added up."""
        painted, base = 0.0, 0.0
        step = max(1, -(-len(self._runs) // _RUNS_SEEN))
        for number in range(0, len(self._runs), step):
            shown = self.paint_one(number, model, stream)[-1]
            planes = (*self._runs[number].sample[-1], shown)
            of_base, source, of_shown = (energies(padded(picture[0])) for picture in planes)
            painted += float(np.abs(of_shown - source).mean())
            base += float(np.abs(of_base - source).mean())
        return painted, base

    def paint(
        self, model: Model, stream: Ints, levels: NDArray[np.int8] | None = None
    ) -> Iterator[list[Planes]]:
        """Each run, painted afresh; steered by `levels` of regions."""
        for number in range(len(self._runs)):
            yield self.paint_one(number, model, stream, levels)

    def paint_one(
        self, number: int, model: Model, stream: Ints, levels: NDArray[np.int8] | None = None
    ) -> list[Planes]:
        """A run; all are of one size."""
        run = self._runs[number]
        if self._painter is None:
            height, width = run.sample[0][0][0].shape
            self._painter = CpuPainter(height, width, 1)
        painter = self._painter
        painter.start(stream, model, levels)
        frames = zip(run.sample, [None, *run.moves], run.own, strict=True)
        return [painter.paint(base, vectors, entry) for (base, _), vectors, entry in frames]


def choose_strength(
    model: Model,
    stream: Ints,
    payload: bytes,
    runs: Runs,
    look: int = DEFAULT,
) -> Strength:
    """The strength for runs of a GOP that `payload` (without one) paints, as the dial stands at
    `look`."""
    limit = LIMIT * runs.excess_of_base() + FLOOR
    *weaker, last = (turned(strength, look) for strength in LADDER)
    for strength in weaker:
        if runs.excess_of(_painter_with(model, payload, strength), stream, limit) <= limit:
            return strength
    return last


def _painter_with(model: Model, payload: bytes, strength: Strength) -> Model:
    """The painter as a payload (without a strength) changes it, at a strength."""
    deltas = read(payload, model.sizes())
    return model.add_deltas({d.name: (d.values, d.exponent) for d in deltas or ()}, strength)


def steady(
    model: Model,
    stream: Ints,
    parts: Sequence[Part],
    fitted: Mapping[int, bytes],
    area: Area,
    look: int = DEFAULT,
) -> dict[int, bytes]:
    """`fitted` (payloads by the frame from which on they hold) with a strength for each GOP of the
    parts, or base frames. `area`: width and height of the video; `look`: 1…100, where its dial
    stands."""
    payloads = dict(fitted)
    weights, strength = BASE, turned(NEUTRAL, look)
    strays, sent = False, False
    for part in parts:
        ends = [*(gop.first for gop in part.gops[1:]), math.inf]
        for gop, end in zip(part.gops, ends, strict=False):
            renewed = gop.first in fitted
            weights, sent = fitted.get(gop.first, weights), sent or renewed
            if weights == IDENTITY:
                continue
            inside = [
                number for number, first in enumerate(part.firsts) if gop.first <= first < end
            ]
            cheap = len(weights) <= _SHARE * gop.size
            if inside and (renewed or cheap or gop is part.gops[0]):
                own = [[rate(size, *area) for size in part.sizes[n]] for n in inside]
                runs = Runs([part.samples[n] for n in inside], own)
                strength = choose_strength(model, stream, weights, runs, look)
                strays = runs.strays(_painter_with(model, weights, strength), stream)
            payload = IDENTITY if strays else join_strength(weights, strength)
            if sent or payload != BASE:
                payloads[gop.first], sent = payload, True
    return payloads
