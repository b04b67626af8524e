"""Which moments fit a query: cosines of vectors in their order, and the most distinct ones.

Vectors are (N, dim) float32 of rising frame numbers (N,); queries (M, dim), several where a clip is
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Frames between two moments at least.
APART = 64

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame and how well it fits: 1 is best."""

    score: float
    frame: int


def scores(
    query: Floats, offsets: Sequence[float] | Floats, values: Floats, frames: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N,): how well the query fits if its first vector is at a frame: mean cosine of its vectors,
    `offsets` (M,) frames after the first one, with those of the file at the same distances,
    interpolated between two of them. What would lie behind the file counts as 0."""
    if not len(values):
        return np.zeros(0)
    unit, asked = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
        for x in (np.asarray(values, np.float64), np.asarray(query, np.float64))
    )
    cosines = unit @ asked.T
    if len(values) == 1:
        return np.where(np.asarray(offsets) < APART, cosines, 0).mean(1)
    last = frames[-1] + np.diff(frames).max()
    total = np.zeros(len(values))
    for column, offset in zip(cosines.T, offsets, strict=True):
        wanted = frames + offset
        after = np.clip(np.searchsorted(frames, wanted), 1, len(frames) - 1)
        gap = frames[after] - frames[after - 1]
        share = np.clip((wanted - frames[after - 1]) / gap, 0, 1)
        between = (1 - share) * column[after - 1] + share * column[after]
        total += np.where(wanted <= last, between, 0)
    return total / len(asked)


def best(found: NDArray[np.float64], frames: NDArray[np.int64], count: int) -> list[Moment]:
    """The `count` best moments of a file, `APART` frames apart, best first."""
    left = found.copy()
    moments: list[Moment] = []
    while (
        len(moments) < count
        and len(left)
        and (at := int(np.argmax(left))) >= 0
        and left[at] > -np.inf
    ):
        moments.append(Moment(float(found[at]), int(frames[at])))
        left[np.abs(frames - frames[at]) < APART] = -np.inf
    return moments


def distinct(values: Floats, count: int) -> list[int]:
    """Places of the vectors that differ most: the most usual one, then each time the one farthest
    from those chosen. In order."""
    if not len(values):
        return []
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    chosen = [int(np.argmax(unit @ unit.mean(0)))]
    nearest = unit @ unit[chosen[0]]
    while len(chosen) < min(count, len(unit)):
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, unit @ unit[chosen[-1]])
        nearest[chosen] = np.inf
    return sorted(chosen)
