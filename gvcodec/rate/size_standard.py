"""An `av1` or `vvc` file of a given size, in one to three full encodes.

A fast preset finds the quality, up to a factor between the presets that a trial with a slower one
narrows down and the first full pass reveals. The second pass comes within a per cent or two:
qualities have steps of two per cent, of up to twenty among the coarsest (AV1), so a `trim` makes up
for what the nearest one is off. The third corrects the rest by the trim alone, since the least
change of quality shakes all frames. Coarse files, where a fast answer counts more than the last
bytes, end with the third pass, or where 93 % are used, which the first one aims at the middle of.
Only the file that is kept is painted.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from gvcodec.base.standard.codec import base_encoder
from gvcodec.bases import base_of, standard_of
from gvcodec.codec.encode_stream import PAINTED_BYTES
from gvcodec.config import EncoderConfig
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.one_pass import Pass
from gvcodec.rate.scenes import share_scenes, shares
from gvcodec.rate.search import USUAL_SLOPE, Fitted, Search, usual_slope

#: Part of the limit that is aimed at, and that is enough.
_GOAL, _ENOUGH = 0.9955, 0.99
#: From quality `_COARSE` on: what the first pass aims at, whose fitted weights are not known yet,
#: what the others aim at, what is enough, and passes if one of them fits.
_COARSE, _GOALS_COARSE, _ENOUGH_COARSE, _PASSES_COARSE = 58.0, (0.965, 0.98), 0.93, 3
#: Three are enough nearly always; the others are for videos that answer erratically.
_PASSES = 5
#: How far from the limit, in logs, a trial with the fastest preset may be to be the last, and where
#: one with a slower preset follows; how far that one may be, and how many of these there are. From
#: `_COARSE` on a trim makes up for as much, more exactly than a step of quality, whose bytes leap.
_NEAR, _ROUGH, _CLOSE, _SETTLING = 0.08, 0.4, 0.15, 2
#: A trial with a preset so much faster than the full one, but not above `_STEADY`, takes 45 % of
#: its time (a fifth where that is 2). The log of bytes at the full preset over those of it is
#: -0.01 … 0.02; over those of the fastest preset it is -0.14 … 0.05 (three clips, q 60 to 67).
_FASTER, _STEADY = 2, 7
#: Bytes of fitted weights, which trials do without; of small files they are a fiftieth at most.
_FITTED_BYTES = 250
#: What a refusal adds to the bytes of a trial, for what fitting adds and presets differ by.
_SPARE = 1.03
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


def encode_standard(search: Search, found: tuple[float, float, float] | None = None) -> Fitted:
    """`found`: what `find_quality` found. Raises `UsageError` with the smallest possible size
    where the limit cannot be met."""
    base = search.config.base
    q, trim, slope = found or find_quality(search)
    if shares(search.config):
        config = dataclasses.replace(search.config, base_q=q)
        frames = search.extent.frames
        search.config = share_scenes(search.open_source, config, search.watch, frames)
    best: Pass | None = None
    points: list[Point] = []
    while len(points) < _PASSES:
        coded = _pass(search, q, trim)
        if len(coded.data) <= search.room and (best is None or len(coded.data) > len(best.data)):
            best = coded
        points.append(Point(q, trim, math.log(sum(coded.frame_bytes))))
        room = search.room - coded.other_bytes
        enough = _ENOUGH_COARSE if q >= _COARSE else _ENOUGH
        late = q >= _COARSE and len(points) >= _PASSES_COARSE
        filled = best is not None and (
            len(best.data) >= enough * search.room or late or q <= base_of(base).finest
        )
        if filled or room <= 0 or (q >= search.config.coarsest and best is None):
            break
        goal = _GOALS_COARSE[1] if q >= _COARSE else _GOAL
        following = following_pass(search.config, points, math.log(goal * room), slope)
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
        if len(tried[-1].data) <= search.room:
            return tried[-1]
    least = min(math.exp(point.log_bytes) for point in points)
    if sum(tried[-1].frame_bytes) > _FLAT * least:
        for part in range(_FINER):
            q = _within(search.config, finest + part * (coarsest - finest) / _FINER)
            tried.append(_pass(search, q, 0.0))
            if len(tried[-1].data) <= search.room:
                return tried[-1]
    raise search.too_small(min(tried, key=lambda coded: len(coded.data)))


def following_pass(
    config: EncoderConfig, points: list[Point], goal: float, slope: float
) -> tuple[float, float] | None:
    """Quality and trim of the next pass; None where nothing new is left to try."""
    base = config.base
    least, usual, most = standard_of(base).trims
    near = min(points, key=lambda p: abs(p.log_bytes - goal))
    excess = near.log_bytes - goal
    trimmed = ((p.trim, p.log_bytes) for p in points if p.q == near.q)
    by_trim = _interpolate(trimmed, near.trim, _trim_slope(base, near.q))
    q, trim = near.q, near.trim + excess / by_trim
    if not least <= trim <= most:
        by_q = _interpolate(
            [(p.q, p.log_bytes + by_trim * (p.trim - near.trim)) for p in points], near.q, slope
        )
        q = _coarser(config, near.q, (excess + by_trim * (near.trim - usual)) / by_q)
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
    """Fall of log rate (second) from `near` to the nearest point far enough from there."""
    known = dict(points)
    others = [at for at in known if abs(at - near) > 0.05]
    if not others:
        return usual
    other = min(others, key=lambda at: abs(at - near))
    return min(max((known[other] - known[near]) / (near - other), usual / 2), usual * 2)


def find_quality(search: Search) -> tuple[float, float, float]:
    """The quality that the limit means, going by faster presets, the trim to begin with and the
    slope of log rate there. Raises `UsageError` for a limit far below what the coarsest quality
    takes."""
    config, base = search.config, standard_of(search.config.base)
    finest, coarsest = base_of(config.base).finest, config.coarsest
    fastest = base_of(config.base).presets - 1
    full = config.preset_of(search.extent.format.width * search.extent.format.height)
    full = fastest if full is None else full
    settles = full < _STEADY < fastest
    # Of the logs of the rate over that wanted.
    guess = search.first_guess()
    bracket = Bracket(finest, coarsest, USUAL_SLOPE, guess, base.grain)
    for q in itertools.islice(bracket, base.trials):
        coded = _pass(search, q, base.trims[1], fastest)
        excess = _excess(search, coded, q, full < fastest)
        excess = bracket.known[q] = excess + base.quick_excess * (full < fastest)
        if config.base == "av1":
            bracket.slope = usual_slope(q, math.copysign(max(abs(excess), _ROUGH), excess))
        if abs(excess) < (_ROUGH if settles else _NEAR):
            break
    settled, steady = 0, min(full + _FASTER, _STEADY)
    while settles and settled < _SETTLING and abs(excess) >= _CLOSE * (settled > 0):
        near = _coarser(config, q, excess / bracket.fall)
        if settled and near == q:
            break
        expected, q, settled = excess - bracket.fall * (near - q), near, settled + 1
        coded = _pass(search, q, base.trims[1], steady)
        excess = _excess(search, coded, q, True)
        # What presets differ by holds for the trials before, too.
        bracket.known = {at: known + excess - expected for at, known in bracket.known.items()}
        bracket.known[q] = excess
    slope = min(bracket.fall, bracket.slope * 2)
    if search.gives_up and q >= coarsest and excess > _HOPELESS:
        raise search.refuse(round(_SPARE * (len(coded.data) + PAINTED_BYTES)))
    least, middle, most = base.trims
    by_trim = _trim_slope(config.base, q)
    if q < _COARSE or not least <= middle + excess / by_trim <= most:
        # The trim makes up for what the nearest quality is off, as far as it goes.
        near = _coarser(config, q, excess / slope)
        excess, q = excess - slope * (near - q), near
    return q, min(max(middle + excess / by_trim, least), most), slope


def _excess(search: Search, coded: Pass, q: float, first: bool) -> float:
    """Log of the bytes of a trial over those that are aimed at."""
    fitted = min(_FITTED_BYTES, search.room // 50) if search.config.fits else 0
    wanted = _goal(q, first) * max(1, search.room - coded.other_bytes - fitted)
    return math.log(sum(coded.frame_bytes) / wanted)


def _trim_slope(base: str, q: float) -> float:
    """Fall of the log rate for a trim of 1."""
    standard = standard_of(base)
    return standard.coarse_trim_slope if q >= _COARSE else standard.trim_slope


def _goal(q: float, first: bool) -> float:
    """Part of the limit that a pass aims at; `first`: another preset says what it will take."""
    return _GOALS_COARSE[0] if first and q >= _COARSE else _GOAL


def _pass(search: Search, q: float, trim: float, trial: int | None = None) -> Pass:
    """`trial`: the preset of one that is neither fitted nor painted."""
    config, fmt = dataclasses.replace(search.config, base_q=q).resolve(), search.extent.format
    if trial is not None:
        config = dataclasses.replace(config, preset=trial, tokens="off", gop_q=())
    return search.run(config, base_encoder(fmt, config, trim), trial=trial is not None)


def _coarser(config: EncoderConfig, q: float, step: float) -> float:
    """The nearest quality so many steps from `q`, but none of a smaller picture, which has far
    fewer bytes, beyond the coarsest at full size."""
    full = base_of(config.base).coarsest_full
    return _within(config, min(q + step, full) if q < full else q + step)


def _within(config: EncoderConfig, q: float) -> float:
    q, grain = (
        min(max(q, base_of(config.base).finest), config.coarsest),
        standard_of(config.base).grain,
    )
    return round(q / grain) * grain
