"""A file of base motion of a given size: the quality is bracketed and the bracket narrowed along
the curve of log size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction

from gvcodec.rate.one_pass import Pass, run
from gvcodec.rate.search import USUAL_SLOPE, Fitted, Search

#: Steps of quality between which keyframes still differ.
_GRAIN = 0.25
_ENOUGH, _PASSES = 0.99, 7


def encode_motion(search: Search, guess: float | None = None) -> Fitted:
    """`guess`: the index to begin with. Raises `UsageError` with the smallest possible size where
    the limit cannot be met."""
    most = search.config.coarsest
    tried: dict[float, int] = {}
    best: Pass | None = None
    #: What fitting came to at each scale; the first pass at a scale adds to it.
    fitted: dict[Fraction | None, Mapping[int, bytes]] = {}
    q = _round_q(search.first_guess() if guess is None else guess, 0.0, most)
    while True:
        config = dataclasses.replace(search.config, base_q=q)
        scale = config.resolve().scale
        coded = run(
            search.open_source,
            dataclasses.replace(config, fit=0.0) if scale in fitted else config,
            f"pass {search.full + 1}",
            search.watch,
            search.extent.frames,
            fitted=fitted.get(scale),
            progress=search.progress,
        )
        if scale not in fitted:
            fitted[scale] = coded.fitted
            search.notes += coded.notes
        search.full += 1
        search.frames_coded += search.extent.frames
        tried[q] = len(coded.data)
        if len(coded.data) <= search.limit and (best is None or len(coded.data) > len(best.data)):
            best = coded
        if best is None and q >= most:
            raise search.too_small(coded)
        if best is not None and (
            len(best.data) >= _ENOUGH * search.limit or search.full >= _PASSES
        ):
            return search.fitted(best)
        q = _next(tried, search.limit, most)
        if q in tried:
            assert best is not None
            return search.fitted(best)


def _next(tried: dict[float, int], limit: int, most: float) -> float:
    """Where the line through the nearest points on either side meets the limit."""
    large = max((q for q, size in tried.items() if size > limit), default=None)
    small = min((q for q, size in tried.items() if size <= limit), default=None)
    if large is not None and small is not None and large < small:
        part = math.log(tried[large] / limit) / math.log(tried[large] / tried[small])
        q = large + part * (small - large)
        return _round_q(q, large + _GRAIN, small - _GRAIN) if small - large > _GRAIN else small
    near = small if large is None else large
    assert near is not None
    step = math.log(tried[near] / limit) / USUAL_SLOPE
    return _round_q(near + (min(step, -1.0) if large is None else max(step, 1.0)), 0.0, most)


def _round_q(q: float, least: float, most: float) -> float:
    return min(max(round(q / _GRAIN) * _GRAIN, least), most)
