"""The file that fits a budget: never larger, and as near to it as the base allows, in one to three
full encodes.

One bracket along one scale (`gvcodec.rate.scale`) serves all bases. Fast presets go before the
full one, each with a bracket of its own that begins where the last one ended. Only the file that is
kept is painted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from gvcodec.base.standard.codec import base_encoder
from gvcodec.bases import AUTO, base_of
from gvcodec.codec.encode_stream import PAINTED_BYTES
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.rate.auto import Choose, excludes_motion, too_dear
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.budget import Budget
from gvcodec.rate.one_pass import Open, Pass, Watch, measure
from gvcodec.rate.scale import Scale
from gvcodec.rate.scenes import share_scenes, shares
from gvcodec.rate.search import Fitted, OutOfReachError, Search, refuse_sound

#: Part of the limit that a pass aims at, part that is enough, passes if one of them fits: with a
#: trim; among coarse qualities, from `_COARSE` on; where there are steps of 2 to 4 % of the bytes.
_AIMS, _COARSE_AIMS, _STEPPED = (0.9955, 0.99, 5), (0.98, 0.95, 3), (0.985, 0.97, 7)
_COARSE = 58.0
#: A preset so much faster than the full one, but not above `_STEADY`, takes 45 % of its time (a
#: fifth where that is 2), and its bytes are those of the full one to 2 %.
_FASTER, _STEADY = 2, 7
#: Most trials with the fastest preset and with the steady one, and how far from the limit, in logs,
#: the last one may be; where only the fastest preset is tried the second row holds.
_TRIALS, _ROUGH, _SETTLING, _CLOSE = 6, 0.4, 2, 0.08
_NEAR = 0.08
#: Bytes of fitted weights, which trials do without; of small files they are a fiftieth at most.
_FITTED_BYTES = 250
#: Log of the bytes above the limit, at the end of the scale, that no slower preset makes up for
#: (it saves up to 0.2), and what a refusal adds to a trial for what fitting adds.
_HOPELESS, _SPARE = 0.35, 1.03
#: Bytes of a frame that hardly changes: their number does not fall with quality. Qualities that
#: are tried then.
_STILL, _FINER = 40, 4


def encode_to(
    open_source: Open,
    config: EncoderConfig,
    budget: Budget,
    watch: Watch,
    progress: Progress | None = None,
    choose: Choose | None = None,
    is_file: bool = True,
) -> Fitted:
    """Encode within a budget; the quality of `config` does not matter. `choose`: chooses the base
    of "auto", which is av1 without it. `is_file`: the stream is the file that counts;
    otherwise a container adds to it, or leaves sound out, and nothing is refused without a full
    pass. Raises `UsageError` with the smallest possible size where the budget cannot be met."""
    if config.maxrate:
        raise UsageError("maxrate goes with q, not with a budget for the whole file")
    extent = measure(open_source, watch)
    limit = budget.file_bytes(extent.format, extent.frames, extent.track_bytes, extent.seconds)
    if is_file:
        refuse_sound(limit, extent.track_bytes)
    search = Search(open_source, config, extent, limit, watch, progress, is_file)
    if config.base == AUTO:
        return _encode_auto(search, choose)
    return _encode(search, _try_presets(search))


def _encode_auto(search: Search, choose: Choose | None) -> Fitted:
    """In the base that is chosen at the quality at which AV1 has as many bytes as the limit, or in
    the other one where that one cannot be so small."""
    search.config = replace(search.config, base="av1")
    fmt, room = search.extent.format, max(1, search.limit - search.extent.track_bytes)
    if choose is None or too_dear(room, search.extent.frames * fmt.width * fmt.height):
        return _encode(search, _try_presets(search))
    # Choosing costs more than a trial, so it is left out where AV1 cannot be so small.
    settings = replace(search.config, base="motion", preset=None)
    motion = replace(search, config=settings, fits={}, notes=[])
    try:
        guess = _try_presets(search)
        q, _ = Scale(search.config).place(guess)
        config = choose(replace(search.config, base_q=q))
        if config.base == "av1":
            return _encode(search, guess)
        assert config.base_q is not None
        return _encode(motion, Scale(motion.config).at(config.base_q, 0.0))
    except OutOfReachError as refused:
        if motion.full or excludes_motion(search.config, fmt):
            raise
        try:
            return _encode(motion, _try_presets(motion))
        except OutOfReachError as too:
            raise min(refused, too, key=lambda error: error.size) from None


def _presets(search: Search) -> Iterator[tuple[int, int, float]]:
    """Faster presets to try: preset, most trials, how near the last one is to the limit in logs."""
    base, fmt = base_of(search.config.base), search.extent.format
    full = search.config.preset_of(fmt.width * fmt.height)
    if base.standard is None:
        return
    fastest = base.presets - 1
    settles = full is not None and full < _STEADY < fastest
    yield fastest, _TRIALS, _ROUGH if settles else _NEAR
    if full is not None and settles:
        yield min(full + _FASTER, _STEADY), _SETTLING, _CLOSE


def _try_presets(search: Search) -> float:
    """The place at which the full preset may begin. Raises `OutOfReachError` for a limit far below
    what the end of the scale takes."""
    scale, guess, slope = Scale(search.config), search.first_guess(), 1.0
    for preset, trials, near in _presets(search):
        bracket = scale.bracket(guess, slope)
        for x, _, coded in _passes(search, scale, bracket, preset):
            excess = bracket.known[x]
            if search.gives_up and x >= scale.high and excess > _HOPELESS:
                raise search.refuse(round(_SPARE * (len(coded.data) + PAINTED_BYTES)))
            if abs(excess) < near or len(bracket.known) >= trials:
                break
        guess, slope = bracket.aim, bracket.fall
    return guess


def _encode(search: Search, guess: float) -> Fitted:
    """The passes with the full preset. Raises `OutOfReachError`."""
    scale = Scale(search.config)
    if shares(search.config):
        config = replace(search.config, base_q=scale.place(guess)[0])
        frames = search.extent.frames
        search.config = share_scenes(search.open_source, config, search.watch, frames)
    best: Pass | None = None
    smallest: Pass | None = None
    bracket = scale.bracket(guess)
    for _, q, coded in _passes(search, scale, bracket):
        if smallest is None or len(coded.data) < len(smallest.data):
            smallest = coded
        if len(coded.data) <= search.room and (best is None or len(coded.data) > len(best.data)):
            best = coded
        _, enough, passes = _aims(search.config, q)
        if best is not None and (
            len(best.data) >= enough * search.room or len(bracket.known) >= passes
        ):
            break
    assert smallest is not None
    return search.fitted(best or _finer(search, smallest))


def _passes(
    search: Search, scale: Scale, bracket: Bracket, trial: int | None = None
) -> Iterator[tuple[float, float, Pass]]:
    """Passes where the bracket wants them, each with its place and index, by this preset if it is a
    `trial`."""
    q: float | None = None
    for wanted in bracket:
        q, trim = scale.place(wanted, q)
        x = scale.at(q, trim)
        if x in bracket.known:
            return
        coded = _pass(search, q, trim, trial)
        bracket.known[x] = _excess(search, coded, q, trial)
        yield x, q, coded


def _finer(search: Search, smallest: Pass) -> Pass:
    """All passes were too large: where frames hardly change, as in a black clip, finer qualities
    may take less. Raises `OutOfReachError`."""
    scale = Scale(search.config)
    if sum(smallest.frame_bytes) <= _STILL * len(smallest.frame_bytes):
        for part in range(_FINER):
            coded = _pass(
                search, *scale.place(scale.low + part / _FINER * (scale.high - scale.low))
            )
            if len(coded.data) <= search.room:
                return coded
            smallest = min(smallest, coded, key=lambda one: len(one.data))
    raise search.too_small(smallest)


def _aims(config: EncoderConfig, q: float) -> tuple[float, float, int]:
    """Part of the limit that is aimed at, part that is enough, and passes if one of them fits."""
    if base_of(config.base).standard is None:
        return _STEPPED
    return _COARSE_AIMS if q >= _COARSE else _AIMS


def _excess(search: Search, coded: Pass, q: float, trial: int | None) -> float:
    """Log of the bytes of a pass over those that are aimed at."""
    config, room = search.config, search.room
    base, fmt = base_of(config.base), search.extent.format
    fitted = quick = 0.0
    if trial is not None:
        fitted = min(_FITTED_BYTES, room // 50) if config.fits else 0.0
        if (
            base.standard is not None
            and trial - (config.preset_of(fmt.width * fmt.height) or 0) > _FASTER
        ):
            quick = base.standard.quick_excess
    goal, *_ = _aims(config, q)
    wanted = goal * max(1.0, room - coded.other_bytes - fitted)
    return math.log(max(1, sum(coded.frame_bytes)) / wanted) - quick


def _pass(search: Search, q: float, trim: float, trial: int | None = None) -> Pass:
    """`trial`: the preset of one that is neither fitted nor painted."""
    config = replace(search.config, base_q=q).resolve()
    if trial is not None:
        config = replace(config, preset=trial, tokens="off", gop_q=())
    steered = base_of(config.base).standard is not None
    encoder = base_encoder(search.extent.format, config, trim) if steered else None
    return search.run(config, encoder, trial=trial is not None)
