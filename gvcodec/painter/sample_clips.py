"""Sample clips of a GOP: short runs of (base frame, source) with motion, painted for measuring.

The excess of painted or base frames is how much 16×16 blocks change from one frame to the next,
along the motion of the source, beyond the source's own change; in 10-bit codes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.painter.cpu import CpuPainter, block_vectors
from gvcodec.painter.model import Ints, Model
from gvcodec.painter.samples import Sample
from gvcodec.types import BLOCK, Plane, Planes


def _block_changes(now: Plane, before: Plane, vectors: NDArray[np.int16]) -> NDArray[np.float32]:
    """Mean |difference| of every whole block to the previous frame at its vector."""
    field = np.ascontiguousarray(vectors.transpose(1, 2, 0))
    sums = _core.block_changes(np.ascontiguousarray(now), np.ascontiguousarray(before), field)
    return sums.astype(np.float32) / np.float32(BLOCK**2)


def _vectors(lumas: Sequence[Plane]) -> list[NDArray[np.int16]]:
    return [block_vectors(now, before) for before, now in itertools.pairwise(lumas)]


def _changes(
    lumas: Sequence[Plane], along: Iterable[NDArray[np.int16]]
) -> list[NDArray[np.float32]]:
    pairs = zip(itertools.pairwise(lumas), along, strict=True)
    return [_block_changes(now, before, vectors) for (before, now), vectors in pairs]


class _Clip(NamedTuple):
    """Frames, each one's own entry of the condition, motion of base frames and of sources, and how
    the sources' blocks change."""

    sample: Sample
    frame_condition: Sequence[int]
    moves: list[NDArray[np.int16]]
    along: list[NDArray[np.int16]]
    change: list[NDArray[np.float32]]


class SampleClips:
    """Clips of (base frame, source) that belong together, with motion of both; `frame_condition`:
    each frame's own entry of the condition. Clips of one frame are left out. `keeps_painted`:
    unsteered clips of the last model are kept, to be asked for again."""

    def __init__(
        self,
        samples: Sequence[Sample],
        frame_condition: Sequence[Sequence[int]],
        keeps_painted: bool = False,
    ) -> None:
        self._clips = []
        self._painter: CpuPainter | None = None
        self._painted: dict[int, list[Planes]] | None = {} if keeps_painted else None
        self._painted_by: Model | None = None
        for sample, rates in zip(samples, frame_condition, strict=True):
            if len(sample) > 1:
                base, source = ([pair[i][0] for pair in sample] for i in (0, 1))
                along = _vectors(source)
                clip = _Clip(sample, rates, _vectors(base), along, _changes(source, along))
                self._clips.append(clip)

    def _excess(self, lumas: Iterable[Sequence[Plane]], limit: float = math.inf) -> float:
        """Mean change of blocks beyond the source's own, in 10-bit codes; 0 without clips or
        whole blocks. No clip lowers the sum, so once the mean is above `limit` the rest is not
        looked at."""
        total, count = 0.0, max(1, sum(len(clip.change) for clip in self._clips))
        for clip, planes in zip(self._clips, lumas, strict=False):
            for ours, theirs in zip(_changes(planes, clip.along), clip.change, strict=True):
                # Pictures below 16×16 have no whole block.
                if ours.size:
                    total += float(np.maximum(0, ours - theirs).mean())
            if total / count > limit:
                break
        return total / count

    def excess_of_base(self) -> float:
        return self._excess([base[0] for base, _ in clip.sample] for clip in self._clips)

    def excess_of(
        self,
        model: Model,
        stream: Ints,
        limit: float = math.inf,
    ) -> float:
        """Excess of painted clips; if it is above `limit`, a part of it that is above `limit`
        too."""
        painted = self.paint(model, stream)
        return self._excess(([planes[0] for planes in clip] for clip in painted), limit)

    def block_excess(self, lumas: Iterable[Sequence[Plane]]) -> NDArray[np.float32]:
        """The change of each block of painted luma beyond the source's change, the mean over
        frames, (H / 16, W / 16), in 10-bit codes."""
        excess = [
            np.maximum(0, ours - theirs)
            for clip, planes in zip(self._clips, lumas, strict=True)
            for ours, theirs in zip(_changes(planes, clip.along), clip.change, strict=True)
        ]
        means: NDArray[np.float32] = np.mean(excess, 0)
        return means

    def __len__(self) -> int:
        return len(self._clips)

    def last_pair(self, number: int) -> tuple[Planes, Planes]:
        """Base frame and source of the last frame of a clip."""
        return self._clips[number].sample[-1]

    def paint(
        self, model: Model, stream: Ints, style_offsets: NDArray[np.int8] | None = None
    ) -> Iterator[list[Planes]]:
        """Each clip, painted afresh; steered by `style_offsets` of regions."""
        for number in range(len(self._clips)):
            yield self.paint_one(number, model, stream, style_offsets)

    def paint_one(
        self, number: int, model: Model, stream: Ints, style_offsets: NDArray[np.int8] | None = None
    ) -> list[Planes]:
        """A clip; all are of one size."""
        if self._painted is None or style_offsets is not None:
            return self._paint(number, model, stream, style_offsets)
        if self._painted_by is None or not model.paints_like(self._painted_by):
            self._painted, self._painted_by = {}, model
        if number not in self._painted:
            self._painted[number] = self._paint(number, model, stream, None)
        return self._painted[number]

    def _paint(
        self, number: int, model: Model, stream: Ints, style_offsets: NDArray[np.int8] | None
    ) -> list[Planes]:
        clip = self._clips[number]
        if self._painter is None:
            height, width = clip.sample[0][0][0].shape
            self._painter = CpuPainter(height, width, 1)
        painter = self._painter
        painter.start(stream, model, style_offsets)
        frames = zip(clip.sample, [None, *clip.moves], clip.frame_condition, strict=True)
        return [painter.paint(base, vectors, entry) for (base, _), vectors, entry in frames]
