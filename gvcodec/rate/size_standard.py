"""An `av1` or `vvc` file of a given size, in three full encodes as a rule.

A fast preset finds the quality, up to a factor between the presets that the first full pass
reveals; what it codes is not painted. The second pass comes within a per cent or two: qualities
have steps of two per cent, of up to nine among the coarsest (AV1), so a `trim` makes up for what
the nearest one is off. The third corrects the rest by the trim alone, since the least change of
quality shakes all frames. Coarse files, where a fast answer counts more than the last bytes, end
with the third pass, or where 95 % are used.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from gvcodec.base.standard.codec import base_encoder
from gvcodec.bases import base_of, standard_of
from gvcodec.config import EncoderConfig
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.one_pass import Pass
from gvcodec.rate.scenes import share_scenes, shares
from gvcodec.rate.search import USUAL_SLOPE, Fitted, Search

#: Part of the limit that is aimed at, and that is enough.
_GOAL, _ENOUGH = 0.9955, 0.99
#: Three are enough nearly always; the others are for videos that answer erratically.
_PASSES = 5
#: Bytes of the packet that trials lack, as they are not painted, and a few more.
_PAINTED = 24
#: From this quality on, the part of the limit that is enough, and passes if one of them fits.
_COARSE, _ENOUGH_COARSE, _PASSES_COARSE = 58.0, 0.95, 3
_NEAR = 0.08
#: Log of bytes above the limit, at the coarsest quality of the fast preset, that no slow preset
#: and no trim makes up for.
_HOPELESS = 0.7
#: Part of the bytes of finer passes above which the coarsest one saves nothing, and qualities that
#: are tried then.
_FLAT, _FINER = 0.9, 4
#: Trims that differ by less are one.
_SAME_TRIM = 0.004


@dataclass(frozen=True, slots=True)
class Point:
    """A pass that was made."""

    q: float
    trim: float
    log_bytes: float  # of the frame packets


def encode_standard(search: Search, found: tuple[float, float] | None = None) -> Fitted:
    """`found`: what `find_quality` found. Raises `UsageError` with the smallest possible size
    where the limit cannot be met."""
    base = search.config.base
    q, slope = found or find_quality(search)
    if shares(search.config):
        config = dataclasses.replace(search.config, base_q=q)
        frames = search.extent.frames
        search.config = share_scenes(search.open_source, config, search.watch, frames)
    trim = standard_of(base).trims[1]
    best: Pass | None = None
    points: list[Point] = []
    while len(points) < _PASSES:
        coded = _pass(search, q, trim)
        if len(coded.data) <= search.limit and (best is None or len(coded.data) > len(best.data)):
            best = coded
        points.append(Point(q, trim, math.log(sum(coded.frame_bytes))))
        room = search.limit - coded.other_bytes
        enough = _ENOUGH_COARSE if q >= _COARSE else _ENOUGH
        late = q >= _COARSE and len(points) >= _PASSES_COARSE
        filled = best is not None and (
            len(best.data) >= enough * search.limit or late or q <= base_of(base).finest
        )
        if filled or room <= 0 or (q >= search.config.coarsest and best is None):
            break
        following = following_pass(search.config, points, math.log(_GOAL * room), slope)
        if following is None:
            break
        q, trim = following
    if best is None:
        best = _any_that_fits(search, points, slope)
    return search.fitted(best)


def _any_that_fits(search: Search, points: list[Point], slope: float) -> Pass:
    """All passes were too large: coarser and coarser ones, and where that makes nothing smaller, as
    in a black clip, finer ones."""
    q, step = points[-1].q, 0.03 / slope
    finest, coarsest = base_of(search.config.base).finest, search.config.coarsest
    tried: list[Pass] = []
    while not tried or q < coarsest:
        q, step = _within(search.config, q + step), 2 * step
        tried.append(_pass(search, q, 0.0))
        if len(tried[-1].data) <= search.limit:
            return tried[-1]
    least = min(math.exp(point.log_bytes) for point in points)
    if sum(tried[-1].frame_bytes) > _FLAT * least:
        for part in range(_FINER):
            q = _within(search.config, finest + part * (coarsest - finest) / _FINER)
            tried.append(_pass(search, q, 0.0))
            if len(tried[-1].data) <= search.limit:
                return tried[-1]
    raise search.too_small(min(tried, key=lambda coded: len(coded.data)))


def following_pass(
    config: EncoderConfig, points: list[Point], goal: float, slope: float
) -> tuple[float, float] | None:
    """Quality and trim of the next pass, from the one that came nearest; None where nothing new is
    left to try."""
    base = config.base
    least, usual, most = standard_of(base).trims
    near = min(points, key=lambda p: abs(p.log_bytes - goal))
    excess = near.log_bytes - goal
    trimmed = ((p.trim, p.log_bytes) for p in points if p.q == near.q)
    by_trim = _interpolate(trimmed, near.trim, standard_of(base).trim_slope)
    q, trim = near.q, near.trim + excess / by_trim
    if not least <= trim <= most:
        by_q = _interpolate(
            [(p.q, p.log_bytes + by_trim * (p.trim - near.trim)) for p in points], near.q, slope
        )
        q = _within(config, near.q + (excess + by_trim * (near.trim - usual)) / by_q)
        trim = near.trim + (excess - by_q * (q - near.q)) / by_trim
        trim = min(max(trim, 2 * least), 2 * most)
    if not any(p.q == q and abs(p.trim - trim) < _SAME_TRIM for p in points):
        return q, trim
    return _find_bracket(points, goal) or _step_aside(config, points, near, excess / slope)


def _step_aside(
    config: EncoderConfig, points: list[Point], near: Point, step: float
) -> tuple[float, float] | None:
    """Another quality, where the trim does not do what it should."""
    standard = standard_of(config.base)
    q = _within(config, near.q + math.copysign(max(standard.grain, abs(step)), step))
    usual = standard.trims[1]
    return None if any(p.q == q for p in points) else (q, usual)


def _find_bracket(points: list[Point], goal: float) -> tuple[float, float] | None:
    """Rate may answer to the trim in leaps: half way between the closest two of one quality that
    are too large and too small."""
    pairs = [
        (large, small)
        for large, small in itertools.product(points, points)
        if large.q == small.q
        and large.log_bytes > goal >= small.log_bytes
        and abs(large.trim - small.trim) > _SAME_TRIM
    ]
    if not pairs:
        return None
    large, small = min(pairs, key=lambda pair: abs(pair[0].trim - pair[1].trim))
    return large.q, (large.trim + small.trim) / 2


def _interpolate(points: Iterable[tuple[float, float]], near: float, usual: float) -> float:
    """Fall of log rate (second) by a step of what comes first, from `near` to the nearest point
    that is far enough from there."""
    known = dict(points)
    others = [at for at in known if abs(at - near) > 0.05]
    if not others:
        return usual
    other = min(others, key=lambda at: abs(at - near))
    return min(max((known[other] - known[near]) / (near - other), usual / 2), usual * 2)


def find_quality(search: Search) -> tuple[float, float]:
    """The quality that the limit means, going by the fast preset, and the slope of log rate
    there. Raises `UsageError` for a limit far below what the coarsest quality takes."""
    base = standard_of(search.config.base)
    finest, coarsest = base_of(search.config.base).finest, search.config.coarsest
    # Of the logs of the rate over that wanted.
    bracket = Bracket(finest, coarsest, USUAL_SLOPE, search.first_guess(), base.grain)
    for q in itertools.islice(bracket, base.trials):
        coded = _pass(search, q, base.trims[1], quick=True)
        wanted = _GOAL * max(1, search.limit - coded.other_bytes)
        excess = math.log(sum(coded.frame_bytes) / wanted) + base.quick_excess
        bracket.known[q] = excess
        if search.gives_up and q >= coarsest and excess > _HOPELESS:
            # A slower preset takes fewer: as many are enough as a rule.
            raise search.refuse(len(coded.data) + _PAINTED)
        if abs(excess) < _NEAR:
            break
    slope = min(bracket.fall, USUAL_SLOPE * 2)
    return _within(search.config, q + excess / slope), slope


def _pass(search: Search, q: float, trim: float, quick: bool = False) -> Pass:
    config, fmt = dataclasses.replace(search.config, base_q=q).resolve(), search.extent.format
    encoder = base_encoder(fmt, config, trim, quick)
    if quick:
        config = dataclasses.replace(config, tokens="off")
    return search.run(config, encoder, trial=quick)


def _within(config: EncoderConfig, q: float) -> float:
    """The nearest quality that there is."""
    q, grain = (
        min(max(q, base_of(config.base).finest), config.coarsest),
        standard_of(config.base).grain,
    )
    return round(q / grain) * grain
