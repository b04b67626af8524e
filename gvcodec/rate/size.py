"""The file that fits a budget: never larger, and as near to it as the base allows, in one to three
full encodes.

One bracket along one `Scale` serves all bases. Fast presets go before the
full one, each with a bracket of its own that begins where the last one ended. Only the file that is
kept is painted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from gvcodec.base import BaseEncoder
from gvcodec.base.standard.codec import base_encoder
from gvcodec.bases import base_of
from gvcodec.codec.encoder import PAINTED_BYTES, Progress, add_painted
from gvcodec.config import EncoderConfig, ResolvedConfig
from gvcodec.errors import UsageError
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.one_pass import Budget, Extent, Open, Pass, Watch, measure, run
from gvcodec.rate.scenes import share_scenes

#: Steps of the index of a base that has no trim, and the most that they are on the scale.
_STEP, _LARGEST_STEP = 0.25, 0.035
#: Places nearer to each other than this have the same bytes.
_FINEST_TRIM = 0.002


class Scale:
    """How few bytes a file has, in natural logs, from `low`, the finest index, to `high`, the
    coarsest one or the largest trim beyond. An index has the place of the average bytes of its
    files (`Base.rates`); between indices, and beyond the coarsest one, trims of lambda subdivide
    the scale. So a step saves about the same share of bytes in every base."""

    def __init__(self, config: EncoderConfig) -> None:
        base = base_of(config.base)
        self._standard, self._coarsest = base.standard, config.max_base_q
        # Between the coarsest picture of full size and the coarsest of all a trim is better.
        self._full = min(base.coarsest_full, config.max_base_q)
        self._index = [index for index, _ in base.rates]
        self._rate = [-math.log(bpp) for _, bpp in base.rates]
        standard = base.standard
        self._usual = standard.log_lambda_offsets[1] if standard else 0.0
        self.low = self.at(base.finest, self._usual)
        self.high = self.at(self._coarsest, standard.largest_log_lambda_offset if standard else 0.0)

    def at(self, index: float, trim: float) -> float:
        """The place of an index with a trim."""
        slope = self._standard.log_lambda_slope if self._standard else 0.0
        there = float(np.interp(index, self._index, self._rate))
        return there + slope * (trim - self._usual)

    def place(self, x: float, near: float | None = None) -> tuple[float, float]:
        """Index and trim of a place. The index is `near` as far as a trim goes from there, since
        the least change of the index shakes all frames."""
        index = float(np.interp(x, self._rate, self._index))
        if self._standard is None:
            return min(round(index / _STEP) * _STEP, self._coarsest), 0.0
        standard = self._standard
        least, _, most = standard.log_lambda_offsets
        if near is None or not least <= self._trim(x, near) <= most:
            near = min(round(index / standard.q_step) * standard.q_step, self._full)
            if self._trim(x, near) > most:
                near = self._coarsest
        return near, min(self._trim(x, near), standard.largest_log_lambda_offset)

    def _trim(self, x: float, index: float) -> float:
        assert self._standard is not None
        return self._usual + (x - self.at(index, self._usual)) / self._standard.log_lambda_slope

    def bracket(self, guess: float, slope: float = 1.0) -> Bracket:
        """Of excesses in natural logs."""
        grain = _LARGEST_STEP if self._standard is None else _FINEST_TRIM
        return Bracket(self.low, self.high, slope, guess, grain, least=grain)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A file of rate control, made in `passes` full encodes: of at most `limit` bytes, None where
    a target is met; at `base_q`; `values` of a target's metrics."""

    coded: Pass
    passes: int
    base_q: float
    limit: int | None = None
    values: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """Of the first metric; not a number without a target."""
        return self.values[0] if self.values else math.nan


#: What to do about sound that takes too much of a file.
SMALLER_SOUND = "--sound opus:24k codes sound smaller, --no-sound drops it"


class TooSmallError(UsageError):
    """Nothing fits into `limit` bytes: the smallest file has `least`, in words, `copied` of them
    sound and subtitles of these `kinds`. `smallest`: that file, None where a trial says so."""

    def __init__(
        self, limit: int, least: str, copied: int, kinds: str, smallest: Fitted | None = None
    ) -> None:
        self.smallest = smallest
        text = f"{limit} bytes are not enough: the smallest possible size is {least} bytes"
        if copied:
            text += f", {copied} of them {kinds} ({SMALLER_SOUND})"
        super().__init__(text)


def refuse_sound(limit: float, track_bytes: int) -> None:
    """Raises `UsageError` where sound and subtitles leave no room for a picture."""
    if track_bytes >= limit:
        raise UsageError(
            f"{int(limit)} bytes are not enough: sound and subtitles alone have {track_bytes} "
            f"({SMALLER_SOUND})"
        )


@dataclass(slots=True)
class Search:
    """A video, settings without a quality, and the bytes that the file may have: for sizes and for
    targets."""

    open_source: Open
    config: EncoderConfig
    extent: Extent
    limit: int
    watch: Watch
    progress: Progress | None = None
    #: Whether a trial that is far too large ends the search.
    gives_up: bool = True
    #: Full encodes so far.
    full: int = 0
    #: What the pass that fitted the painter had to say, and what fitting came to at each scale.
    notes: list[str] = field(default_factory=list)
    uses_fitting: dict[Fraction | None, Mapping[int, bytes]] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """Most bytes of a pass, which is painted at last."""
        return self.limit - PAINTED_BYTES

    def run(
        self,
        config: ResolvedConfig,
        encoder: BaseEncoder | None = None,
        trial: bool = False,
        what: str = "",
    ) -> Pass:
        """A pass over the video, or a trial; the first pass at a scale fits. What is not kept need
        not be painted: `fitted` paints. `what`: how the bar calls it."""
        fits = not trial and config.scale not in self.uses_fitting
        if not fits:
            config = replace(config, fit=0, tokens="off" if trial else config.tokens)
        what = what or ("trial" if trial else f"pass {self.full + 1}")
        fitted = None if trial else self.uses_fitting.get(config.scale)
        source, frames = self.open_source, self.extent.frames
        coded = run(
            source,
            config,
            what,
            self.watch,
            frames,
            encoder,
            fitted,
            self.progress,
            paints=False,
        )
        if fits:
            self.uses_fitting[config.scale] = coded.fitted
            self.notes += coded.notes
        self.full += not trial
        return coded

    def fitted(self, coded: Pass) -> Fitted:
        """A pass as the file that is wanted, painted."""

        def tell(frames: int) -> None:
            if self.progress is not None:
                self.progress.painted(frames, self.extent.frames)

        data = add_painted(coded.data, self.config, tell)
        notes = list(dict.fromkeys([*coded.notes, *self.notes]))
        coded = replace(coded, data=data, notes=notes)
        return Fitted(coded, self.full, coded.base_q, self.limit)


#: Part of the limit that a pass aims at, part that is enough, passes if one of them fits: with a
#: trim; among coarse qualities, from `_COARSE` on; where there are steps of 2 to 4 % of the bytes.
_AIMS, _COARSE_AIMS, _STEPPED = (0.9955, 0.99, 5), (0.98, 0.95, 3), (0.985, 0.97, 7)
_COARSE = 58.0
#: Trials use a preset `_FASTER` above the full one, at most `_STEADY`: 45 % of its time (a fifth
#: where the full one is 2), and bytes within 2 % of it.
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
    is_file: bool = True,
) -> Fitted:
    """Encode within a budget; the quality of `config` does not matter. `is_file`: the
    stream is the file that counts; otherwise a container adds to it, or leaves sound out, and
    nothing is refused without a full pass. Raises `UsageError` with the smallest possible size
    where the budget cannot be met."""
    if config.maxrate:
        raise UsageError("maxrate goes with q, not with a budget for the whole file")
    extent = measure(open_source, watch)
    limit = budget.file_bytes(extent.format, extent.frames, extent.track_bytes, extent.seconds)
    if is_file:
        refuse_sound(limit, extent.track_bytes)
    search = Search(open_source, config, extent, limit, watch, progress, is_file)
    return _encode(search, _try_presets(search))


def _try_presets(search: Search) -> float:
    """The place at which the full preset may begin, by faster ones. Raises `TooSmallError` for a
    limit far below what the end of the scale takes."""
    scale, slope, extent = Scale(search.config), 1.0, search.extent
    samples, sound = extent.format.width * extent.format.height, extent.track_bytes
    # Where files of this many bits a pixel are on average.
    guess = -math.log(8 * max(1, search.limit - sound) / (extent.frames * samples))
    base, full = base_of(search.config.base), search.config.preset_of(samples)
    if base.standard is None or full is None:
        return guess
    settles = full < _STEADY < base.presets - 1
    # Preset, most trials, how near the last one is to the limit in logs.
    presets = [(base.presets - 1, _TRIALS, _ROUGH if settles else _NEAR)]
    if settles:
        presets.append((min(full + _FASTER, _STEADY), _SETTLING, _CLOSE))
    for preset, trials, near in presets:
        bracket = scale.bracket(guess, slope)
        for x, _, coded in _passes(search, scale, bracket, preset):
            excess = bracket.known[x]
            if search.gives_up and x >= scale.high and excess > _HOPELESS:
                least = round(_SPARE * (len(coded.data) + PAINTED_BYTES))
                kinds = "sound and subtitles"
                raise TooSmallError(search.limit, f"about {least}", sound, kinds)
            if abs(excess) < near or len(bracket.known) >= trials:
                break
        guess, slope = bracket.aim, bracket.fall
    return guess


def _encode(search: Search, guess: float) -> Fitted:
    """The passes with the full preset. Raises `TooSmallError`."""
    scale = Scale(search.config)
    if search.config.allocates_by_scene:
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
    may take less. Raises `TooSmallError`."""
    scale = Scale(search.config)
    if sum(smallest.frame_bytes) <= _STILL * len(smallest.frame_bytes):
        for part in range(_FINER):
            x = scale.low + part / _FINER * (scale.high - scale.low)
            coded = _pass(search, *scale.place(x))
            if len(coded.data) <= search.room:
                return coded
            smallest = min(smallest, coded, key=lambda one: len(one.data))
    made = search.fitted(smallest)
    size, kinds = len(made.coded.data), smallest.track_kinds
    raise TooSmallError(search.limit, str(size), smallest.track_bytes, kinds, made)


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
        fitted = min(_FITTED_BYTES, room // 50) if config.uses_fitting else 0.0
        full = config.preset_of(fmt.width * fmt.height) or 0
        if base.standard is not None and trial - full > _FASTER:
            quick = base.standard.quick_excess
    goal, *_ = _aims(config, q)
    wanted = goal * max(1.0, room - coded.other_bytes - fitted)
    return math.log(max(1, sum(coded.frame_bytes)) / wanted) - quick


def _pass(search: Search, q: float, trim: float, trial: int | None = None) -> Pass:
    """`trial`: the preset of one that is neither fitted nor painted."""
    config = replace(search.config, base_q=q).resolve()
    if trial is not None:
        config = replace(config, preset=trial, gop_q=())
    steered = base_of(config.base).standard is not None
    encoder = base_encoder(search.extent.format, config, trim) if steered else None
    return search.run(config, encoder, trial=trial is not None)
