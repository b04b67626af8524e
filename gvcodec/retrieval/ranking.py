"""Scores of moments for a query: cosines of vectors in order, or the query's attention; and the
most distinct moments.

Vectors are (N, dim) float32 of rising frame numbers (N,); queries (M, dim), several for a clip.

    cosine   mean cosine of the query's vectors with the file's (`scores`)
    qc       QC-Comp of XComp (arXiv 2604.14149): cross-attention from the query to the frames of
             one short segment at a time, segments of most attention first (`attend`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Least distance of two moments, in frames.
APART = 64
#: Vectors of a segment that share one softmax; 0 in `attend` makes the file one segment.
SEGMENT = 16
#: Inverse temperature of the softmax of cosines, without learned projections.
SHARPNESS = 14.0
#: Largest logit beyond that of the query itself, so that nothing overflows.
_MOST_LOGIT = 30.0
RANKINGS = ("cosine", "qc")

Floats = NDArray[np.floating[Any]]


def scores(
    query: Floats, offsets: Sequence[float] | Floats, values: Floats, frames: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N,): the query's score with its first vector at each frame: mean cosine of its vectors,
    `offsets` (M,) frames after the first, with the file's vectors at the same distances."""
    return _in_order(_unit(values) @ _unit(query).T, offsets, frames)


@dataclass(frozen=True, slots=True)
class Attention:
    """Projections of query (`ask`) and key (`look`), (dim, dim), None for the vectors themselves;
    `sharpness` multiplies their products."""

    ask: Floats | None = None
    look: Floats | None = None
    sharpness: float = SHARPNESS

    def logits(self, query: Floats, values: Floats) -> NDArray[np.float64]:
        """(N, M): logit of every vector of the file, minus that of the query's vector to itself."""
        unit_query, unit = _unit(query), _unit(values)
        sent = unit_query if self.ask is None else unit_query @ self.ask
        keys, query_keys = (x if self.look is None else x @ self.look for x in (unit, unit_query))
        beyond = self.sharpness * (keys @ sent.T - (sent * query_keys).sum(1))
        return np.minimum(beyond, _MOST_LOGIT)

    def mass(self, query: Floats, values: Floats, segment: int = SEGMENT) -> NDArray[np.float64]:
        """(N, M): share of the attention of each vector of the query that goes to each frame. A
        softmax runs over the `segment` frames of a segment and the query's vector itself, which
        makes the shares of different segments comparable."""
        weights = np.exp(self.logits(query, values))
        starts = _starts(len(weights), segment)
        sums = np.add.reduceat(weights, starts, axis=0) if len(weights) else weights
        sizes = np.diff(starts, append=len(weights))
        return weights / (1 + np.repeat(sums, sizes, axis=0))


def attend(
    query: Floats,
    offsets: Sequence[float] | Floats,
    values: Floats,
    frames: NDArray[np.int64],
    attention: Attention = Attention(),
    segment: int = SEGMENT,
) -> NDArray[np.float64]:
    """(N,): the score of QC-Comp. The best frame of a segment gets the attention that the whole
    segment receives, so that the top segments come first; the others get it in proportion."""
    mass = _in_order(attention.mass(query, values, segment), offsets, frames)
    starts = _starts(len(mass), segment)
    if not len(starts):
        return mass
    sizes = np.diff(starts, append=len(mass))
    of_segment, most = (
        np.repeat(over.reduceat(mass, starts), sizes) for over in (np.add, np.maximum)
    )
    return of_segment * mass / np.maximum(most, 1e-300)


def _starts(count: int, segment: int) -> NDArray[np.int64]:
    return np.arange(0, count, segment or max(1, count))


def _unit(vectors: Floats) -> NDArray[np.float64]:
    x = np.asarray(vectors, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def _in_order(
    matches: NDArray[np.float64], offsets: Sequence[float] | Floats, frames: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N,): mean over the M columns of `matches` (N, M), each read `offsets` (M,) frames later,
    interpolated between two frames. Values beyond the end count as 0."""
    if not len(matches):
        return np.zeros(0)
    if len(matches) == 1:
        return np.where(np.asarray(offsets) < APART, matches, 0).mean(1)
    last = frames[-1] + np.diff(frames).max()
    total = np.zeros(len(matches))
    for column, offset in zip(matches.T, offsets, strict=True):
        targets = frames + offset
        after = np.clip(np.searchsorted(frames, targets), 1, len(frames) - 1)
        gap = frames[after] - frames[after - 1]
        share = np.clip((targets - frames[after - 1]) / gap, 0, 1)
        between = (1 - share) * column[after - 1] + share * column[after]
        total += np.where(targets <= last, between, 0)
    return total / matches.shape[1]


def best(scores: NDArray[np.float64], frames: NDArray[np.int64], count: int) -> list[int]:
    """Places of the `count` best moments of a file, `APART` frames apart, best first."""
    remaining, places = scores.copy(), list[int]()
    while len(places) < count and remaining.max(initial=-np.inf) > -np.inf:
        places.append(int(np.argmax(remaining)))
        remaining[np.abs(frames - frames[places[-1]]) < APART] = -np.inf
    return places


def distinct(values: Floats, count: int) -> list[int]:
    """Places of the most distinct vectors, each the farthest from the previous ones."""
    if not len(values):
        return []
    unit = _unit(values)
    selected = [int(np.argmax(unit @ unit.mean(0)))]
    nearest = unit @ unit[selected[0]]
    while len(selected) < min(count, len(unit)):
        selected.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, unit @ unit[selected[-1]])
        nearest[selected] = np.inf
    return sorted(selected)
