"""The exact frame of a moment, which a summary gives only within the distance of its vectors:
frames around it are decoded and compared with the query, first every few, then the neighbours of
the best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.limits import DEFAULT, Limits
from gvcodec.retrieval.embedders import Embedder
from gvcodec.retrieval.queries import QueryVectors
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.video import Video

#: Most frames to either side that are compared; frames of a clip that are compared, and their
#: largest distance to its first one.
MOST_REACH, _COMPARED, _SPAN = 128, 3, 48
#: Least deviation of a feature, as a share of the mean deviation.
_FLOOR = 0.05


def locate(
    path: str,
    frame: int,
    reach: int,
    query: QueryVectors,
    embedder: Embedder,
    threads: int = 0,
    limits: Limits = DEFAULT,
) -> int:
    """Number of the frame, at most `reach` from `frame`, that is most similar to the query's first
    picture (with a clip: it and its successors to the clip's)."""
    reach = min(reach, MOST_REACH)
    with Video(path, fidelity=True, threads=threads, limits=limits) as video:
        rate = float(video.header.format.frame_rate)
        offsets = np.rint(query.seconds * rate).astype(int)
        used = np.flatnonzero(offsets <= _SPAN)
        used = used[np.unique(np.linspace(0, len(used) - 1, _COMPARED).round().astype(int))]
        first, last = max(0, frame - reach), min(len(video) - 1, frame + reach)
        stop = min(len(video), last + int(offsets[used].max()) + 1)
        pictures = [
            thumbnail(decoded.planes, video.header.format.colour, embedder.side)
            for decoded in video.decode_range(first, stop)
        ]
    window = _Window(pictures, embedder)
    offsets_of_vectors = [(int(offsets[n]), n) for n in used]
    best, step = frame - first, max(1, reach // 4)
    candidates = {best, *range(0, last - first + 1, step)}
    while True:
        best = window.nearest(sorted(candidates), offsets_of_vectors, query)
        if step == 1:
            return first + best
        step = max(1, step // 3)
        near = {best + n * step for n in (-2, -1, 0, 1, 2)}
        candidates = {n for n in near if 0 <= n <= last - first}


class _Window:
    """Decoded pictures and, on request, their tokens."""

    def __init__(self, pictures: list[NDArray[np.uint8]], embedder: Embedder) -> None:
        self._pictures, self._embedder = pictures, embedder
        self._tokens: dict[int, Any] = {}

    def nearest(
        self, candidates: list[int], offsets_of_vectors: list[tuple[int, int]], query: QueryVectors
    ) -> int:
        """The candidate that matches the pictures of the query best."""
        offsets_inside = [
            (offset, n)
            for offset, n in offsets_of_vectors
            if candidates[0] + offset < len(self._pictures)
        ]
        wanted_at = {at + offset for at in candidates for offset, _ in offsets_inside}
        inside = wanted_at & set(range(len(self._pictures)))
        missing = sorted(inside - self._tokens.keys())
        if missing:
            tokens = self._embedder.frames(np.stack([self._pictures[n] for n in missing]))
            self._tokens |= dict(zip(missing, np.asarray(tokens, np.float32), strict=True))
        if query.tokens is None:
            return max(candidates, key=lambda at: self._cosine(at, query))
        query_tokens = np.asarray(query.tokens, np.float32)
        cached_tokens = np.stack(list(self._tokens.values()))
        deviation = cached_tokens.std(0) + _FLOOR * cached_tokens.std() + 1e-9

        def distance(at: int) -> float:
            pairs = (
                (self._tokens.get(at + offset), query_tokens[n]) for offset, n in offsets_inside
            )
            distances = [
                _distance(ours, theirs, deviation) for ours, theirs in pairs if ours is not None
            ]
            return float(np.mean(distances))

        return min(candidates, key=distance)

    def _cosine(self, at: int, query: QueryVectors) -> float:
        vector = self._embedder.compress(self._embedder.frames(self._pictures[at][None]))[0]
        return float(vector @ query.vectors[0])


def _distance(tokens: NDArray[Any], query_tokens: NDArray[Any], deviation: NDArray[Any]) -> float:
    """Distance of the tokens (tokens, features) of two pictures, or of one and the other mirrored
    if they form a square. Roots, since a part of the picture may differ."""
    side = round(len(query_tokens) ** 0.5)
    others = [query_tokens]
    if side * side == len(query_tokens):
        others.append(query_tokens.reshape(side, side, -1)[:, ::-1].reshape(query_tokens.shape))
    return min(float(np.sqrt(np.abs(tokens - other) / deviation).mean()) for other in others)
