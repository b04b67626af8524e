"""One scale of quality for every structure layer: equal `q` gives about equal PSNR-Y.

The scale is that of AV1, the CRF of SVT-AV1, 0 (best) … 63, going on to 67 where AV1's picture gets smaller. Every other
layer has an index of its own, 0 … 63, which is what a stream's header holds and what renderers are conditioned on; `index_of`
gives the one that means a `q`. The tables are measured (`python -m eval quality`): at each `q` below AV1 codes six training
clips (24 frames, 416×240), and the index at which the layer has the same PSNR-Y is averaged. By them PSNR-Y is off by 0.6
(klt), 0.5 (hevc) and 1.1 dB (vvc) on average over clips and q; taken as an index, q was off by 4.2, 3.4 and 1.8. Beyond 63 they
lead to the layer's coarsest index. `tokens` keeps its own.
"""

from __future__ import annotations

import bisect

#: The largest q of the layers in the tables, whose largest index is 63.
_COARSEST_Q = 67.0
#: (q, index of the layer) in rising order; straight lines between.
_TABLES: dict[str, tuple[tuple[float, float], ...]] = {
    "klt": ((0, 0), (10, 7.9), (20, 14.3), (30, 19.5), (40, 25.7), (50, 31.7), (57, 36.8), (63, 47.6), (67, 63)),
    "hevc": ((0, 0), (10, 14.4), (20, 21), (30, 25.7), (40, 30.8), (50, 35.7), (57, 39.9), (63, 48.9), (67, 63)),
    "vvc": ((0, 0), (10, 10.3), (20, 18.4), (30, 25.4), (40, 34), (50, 41.2), (57, 47.6), (63, 59.7), (67, 63)),
}


def coarsest_q(base: str, index: float) -> float:
    """The q that means the largest `index` of a structure layer."""
    return _COARSEST_Q if base in _TABLES else index


def index_of(base: str, q: float) -> float:
    """The index of a structure layer that means `q`."""
    return _follow(_TABLES[base], q) if base in _TABLES else q


def q_of(base: str, index: float) -> float:
    """The `q` that means an index of a structure layer."""
    return _follow([(i, q) for q, i in _TABLES[base]], index) if base in _TABLES else index


def _follow(points: list[tuple[float, float]] | tuple[tuple[float, float], ...], x: float) -> float:
    right = min(max(bisect.bisect_right(points, x, key=lambda p: p[0]), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
