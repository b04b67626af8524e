"""The file that fits a budget: never larger, and as near to it as the base allows, in at most four
full encodes (gvc1d: seven), mostly one to three.

One bracket along one `Scale` serves all bases. Fast presets run before the full one, each with its
own bracket that begins at the last one's end. Only the final file is painted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from gvcodec.base import BaseEncoder
from gvcodec.base.standard.encoder import base_encoder
from gvcodec.bases import base_of
from gvcodec.codec.encode_stream import PAINTED_BYTES, add_painted
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig, ResolvedConfig
from gvcodec.errors import UsageError
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.one_pass import (
    Budget,
    ContainerSize,
    EncodePass,
    ProgressWrapper,
    SourceFactory,
    VideoStats,
    encode_pass,
    measure_video,
)
from gvcodec.rate.scenes import allocate_scenes

#: Steps of the index of a base without lambda offsets, and the largest step on the scale.
_STEP, _MAX_STEP = 0.25, 0.035
#: Positions nearer to each other than this have the same bytes.
_FINEST_OFFSET = 0.002


class Scale:
    """Negative natural log of a file's bytes, from `low`, the finest index, to `high`, the coarsest
    one with the largest `log_lambda_offset`. An index has the position of the average bytes of its
    files (`Base.rates`); between indices, and beyond the coarsest one, offsets of log lambda
    subdivide the scale. So a step saves about the same share of bytes in every base."""

    def __init__(self, config: EncoderConfig) -> None:
        base = base_of(config.base)
        self._standard, self._max_base_q = base.standard, config.max_base_q
        # An offset is better between the coarsest picture of full size and the coarsest of all.
        self._full = min(base.coarsest_full, config.max_base_q)
        self._index = [index for index, _ in base.rates]
        self._rate = [-math.log(bpp) for _, bpp in base.rates]
        standard = base.standard
        self._default_offset = standard.log_lambda_offsets[1] if standard else 0.0
        self.low = self.position_of(base.finest, self._default_offset)
        self.high = self.position_of(
            self._max_base_q, standard.largest_log_lambda_offset if standard else 0.0
        )

    def position_of(self, index: float, log_lambda_offset: float) -> float:
        """The position of an index with an offset of log lambda."""
        slope = self._standard.log_lambda_slope if self._standard else 0.0
        position = float(np.interp(index, self._index, self._rate))
        return position + slope * (log_lambda_offset - self._default_offset)

    def settings_at(self, x: float, near: float | None = None) -> tuple[float, float]:
        """Index and `log_lambda_offset` of a position. The index is `near` if an offset from there
        suffices, since the least change of the index changes all frames."""
        index = float(np.interp(x, self._rate, self._index))
        if self._standard is None:
            return min(round(index / _STEP) * _STEP, self._max_base_q), 0.0
        standard = self._standard
        least, _, most = standard.log_lambda_offsets
        if near is None or not least <= self._log_lambda_offset(x, near) <= most:
            near = min(round(index / standard.q_step) * standard.q_step, self._full)
            if self._log_lambda_offset(x, near) > most:
                near = self._max_base_q
        return near, min(self._log_lambda_offset(x, near), standard.largest_log_lambda_offset)

    def _log_lambda_offset(self, x: float, index: float) -> float:
        assert self._standard is not None
        return (
            self._default_offset
            + (x - self.position_of(index, self._default_offset)) / self._standard.log_lambda_slope
        )

    def bracket(self, guess: float, slope: float = 1.0) -> Bracket:
        """A bracket of excesses in natural logs."""
        step = _MAX_STEP if self._standard is None else _FINEST_OFFSET
        return Bracket(self.low, self.high, slope, guess, step, least_step=step)


@dataclass(frozen=True, slots=True)
class RatedFile:
    """A file of rate control after `passes` full encodes: of at most `limit` bytes (None for a
    target), at `base_q`; `values` of a target's metrics."""

    encoded_pass: EncodePass
    passes: int
    base_q: float
    limit: int | None = None
    values: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """Value of the first metric; NaN without a target."""
        return self.values[0] if self.values else math.nan


#: Bytes of an entry's header in a container, and by which sizes there may grow, at most.
_ENTRY_BYTES = 16
#: Advice if sound or attachments take too much of a file.
SMALLER_SOUND = (
    "--sound opus:24k codes sound smaller, --no-sound drops it, --no-attachments fonts and covers"
)
_KINDS = "sound, subtitles and attachments"


class TooSmallError(UsageError):
    """Nothing fits into `limit` bytes: the smallest file has `least` (text), `track_bytes` of them
    sound and subtitles of these `kinds`. `smallest`: that file, None if only a trial was made."""

    default_code = "size-unreachable"

    def __init__(
        self,
        limit: int,
        least: str,
        track_bytes: int,
        kinds: str,
        smallest: RatedFile | None = None,
    ) -> None:
        self.smallest = smallest
        text = f"{limit} bytes are not enough: the smallest possible size is {least} bytes"
        if track_bytes:
            text += f", {track_bytes} of them {kinds} ({SMALLER_SOUND})"
        super().__init__(text)


def check_sound_size(limit: float, track_bytes: int) -> None:
    """Raise `UsageError` if sound, subtitles and attachments leave no bytes for a picture."""
    if track_bytes >= limit:
        raise UsageError(
            f"{int(limit)} bytes are not enough: {_KINDS} alone have {track_bytes} "
            f"({SMALLER_SOUND})",
            code="size-unreachable",
        )


@dataclass(slots=True)
class Search:
    """A video, settings without a quality, and the bytes that the file may have: for sizes and for
    targets."""

    open_source: SourceFactory
    config: EncoderConfig
    stats: VideoStats
    limit: int
    watch: ProgressWrapper
    progress: Progress | None = None
    #: Measures the files of streams, None: the stream is the file.
    container: ContainerSize | None = None
    #: Full encodes so far, and their largest number (0: unknown).
    full_passes: int = 0
    most_passes: int = 0
    #: Notes of the passes that chose strengths, and the `fit` payloads of each scale.
    notes: list[str] = field(default_factory=list)
    fit_payloads: dict[Fraction | None, Mapping[int, bytes]] = field(default_factory=dict)

    @property
    def byte_budget(self) -> int:
        """Most bytes of a pass, before its painter packets."""
        return self.limit - PAINTED_BYTES - (_ENTRY_BYTES if self.container else 0)

    def run(
        self,
        config: ResolvedConfig,
        encoder: BaseEncoder | None = None,
        trial: bool = False,
        stage: str = "",
    ) -> EncodePass:
        """A pass over the video, or a trial; the first pass at a scale chooses strengths. Passes
        are not painted: `make_file` paints the final one. `stage`: title of the progress bar."""
        is_choosing = not trial and config.scale not in self.fit_payloads
        if not is_choosing:
            config = replace(config, fit=0, tokens="off" if trial else config.tokens)
        is_bounded = self.full_passes < self.most_passes
        most = f" of at most {self.most_passes}" if is_bounded else ""
        stage = stage or ("trial" if trial else f"pass {self.full_passes + 1}{most}")
        fit_payloads = None if trial else self.fit_payloads.get(config.scale)
        source, frames = self.open_source, self.stats.frames
        encoded_pass = encode_pass(
            source,
            config,
            stage,
            self.watch,
            frames,
            encoder,
            fit_payloads,
            self.progress,
            writes_painted_hash=False,
        )
        if is_choosing:
            self.fit_payloads[config.scale] = encoded_pass.fit_payloads
            self.notes += encoded_pass.notes
        self.full_passes += not trial
        return self.add_container(encoded_pass)

    def add_container(self, encoded_pass: EncodePass) -> EncodePass:
        """With the bytes of its file."""
        if self.container is None:
            return encoded_pass
        size, track_bytes = self.container(encoded_pass.data)
        return replace(
            encoded_pass,
            container_bytes=size - len(encoded_pass.data),
            track_bytes=track_bytes,
        )

    def make_file(self, encoded_pass: EncodePass) -> RatedFile:
        """The final file of a pass, painted."""

        def report(frames: int) -> None:
            if self.progress is not None:
                self.progress.painted(frames, self.stats.frames)

        data = add_painted(encoded_pass.data, self.config, report)
        notes = list(dict.fromkeys([*encoded_pass.notes, *self.notes]))
        encoded_pass = replace(encoded_pass, data=data, notes=notes)
        return RatedFile(encoded_pass, self.full_passes, encoded_pass.base_q, self.limit)


#: Share of the limit that a pass aims at, share that is enough, number of passes if one of them
#: fits: with lambda offsets; among coarse qualities, from `_COARSE` on; with steps of 2 to 4 % of
#: the bytes.
_FINE_AIMS, _COARSE_AIMS, _STEPPED = (0.9955, 0.99, 4), (0.98, 0.95, 3), (0.985, 0.97, 7)
_COARSE = 58.0
#: Addition, in logs of bytes, to the steps of the last two passes if none fits yet: the last one
#: has to.
_LAST_MARGINS = (0.1, 0.02)
#: Trials use a preset `_TRIAL_PRESET_STEP` above the full one, at most `_STEADY_PRESET`: 45 % of
#: its time (a fifth where the full one is 2), and bytes within 2 % of it.
_TRIAL_PRESET_STEP, _STEADY_PRESET = 2, 7
#: Most trials with the fastest preset and with the steady one, and the largest distance of the last
#: one to the limit, in logs; with the fastest preset alone the second row holds.
_TRIALS, _ROUGH, _STEADY_TRIALS, _CLOSE = 6, 0.4, 2, 0.08
_NEAR = 0.08
#: Log of the excess over the limit, at the end of the scale, that no slower preset compensates (it
#: saves up to 0.2), and the factor of the least size in a refusal.
_OUT_OF_REACH, _SPARE = 0.35, 1.03
#: Bytes of a frame that hardly changes: they do not fall with quality. Qualities that are tried
#: then.
_STILL, _FINER = 40, 4


def encode_to_budget(
    open_source: SourceFactory,
    config: EncoderConfig,
    budget: Budget,
    watch: ProgressWrapper,
    progress: Progress | None = None,
    container: ContainerSize | None = None,
) -> RatedFile:
    """Encode within a budget; the quality of `config` is ignored. `container`: measures the final
    file, None if that is the stream. Raises `UsageError` with the smallest possible size if the
    budget cannot be met."""
    if config.maxrate:
        raise UsageError(
            "--maxrate needs -q, not a budget for the whole file", code="option-conflict"
        )
    stats = measure_video(open_source, watch)
    limit = budget.file_bytes(stats.format, stats.frames, stats.track_bytes, stats.seconds)
    if container is None:
        check_sound_size(limit, stats.track_bytes)
    search = Search(open_source, config, stats, limit, watch, progress, container)
    guess = _try_presets(search)
    if config.allocates_by_scene:
        search = replace(search, config=_allocate_scenes(search, guess))
    rated_file = _encode(search, guess)
    return _note_large_sound(rated_file) if budget.bounds_file else rated_file


def _note_large_sound(rated_file: RatedFile) -> RatedFile:
    """With a line where copied sound takes more than half of the limit."""
    coded, limit = rated_file.encoded_pass, rated_file.limit
    if not coded.copies_sound or limit is None or 2 * coded.track_bytes <= limit:
        return rated_file
    note = (
        f"{coded.track_kinds} has {coded.track_bytes} of the {limit} bytes, more than half: "
        f"{SMALLER_SOUND}"
    )
    return replace(rated_file, encoded_pass=replace(coded, notes=[*coded.notes, note]))


def _try_presets(search: Search) -> float:
    """First place for the full preset, by faster ones. Raises `TooSmallError` for a limit far below
    the bytes at the end of the scale."""
    scale, slope, stats = Scale(search.config), 1.0, search.stats
    samples, track_bytes = stats.format.width * stats.format.height, stats.track_bytes
    # The average place of files with this many bits a pixel.
    guess = -math.log(8 * max(1, search.limit - track_bytes) / (stats.frames * samples))
    base, full = base_of(search.config.base), search.config.preset_of(samples)
    if base.standard is None or full is None:
        return guess
    has_steady_preset = full < _STEADY_PRESET < base.presets - 1
    # Preset, most trials, largest distance of the last one to the limit in logs.
    presets = [(base.presets - 1, _TRIALS, _ROUGH if has_steady_preset else _NEAR)]
    if has_steady_preset:
        presets.append((min(full + _TRIAL_PRESET_STEP, _STEADY_PRESET), _STEADY_TRIALS, _CLOSE))
    for preset, trials, tolerance in presets:
        bracket = scale.bracket(guess, slope)
        for x, _, encoded_pass in _run_passes(search, scale, bracket, preset):
            excess = bracket.samples[x]
            if x >= scale.high and excess > _OUT_OF_REACH:
                least = round(_SPARE * (encoded_pass.file_bytes + PAINTED_BYTES))
                tracks = track_bytes if search.container is None else encoded_pass.track_bytes
                raise TooSmallError(search.limit, f"about {least}", tracks, _KINDS)
            if abs(excess) < tolerance or len(bracket.samples) >= trials:
                break
        guess, slope = bracket.estimate, bracket.local_slope
    return guess


def _allocate_scenes(search: Search, guess: float) -> EncoderConfig:
    """The settings with a quality for each scene, after a trial at the quality of `guess`."""
    config = replace(search.config, base_q=Scale(search.config).settings_at(guess)[0])
    return allocate_scenes(search.open_source, config, search.watch, search.stats.frames)


def _encode(search: Search, guess: float) -> RatedFile:
    """The passes with the full preset. Raises `TooSmallError`."""
    scale = Scale(search.config)
    best: EncodePass | None = None
    smallest: EncodePass | None = None
    bracket = scale.bracket(guess)
    is_stepped = base_of(search.config.base).standard is None
    _, _, search.most_passes = _STEPPED if is_stepped else _FINE_AIMS
    for _, q, encoded_pass in _run_passes(search, scale, bracket):
        if smallest is None or encoded_pass.file_bytes < smallest.file_bytes:
            smallest = encoded_pass
        if encoded_pass.file_bytes <= search.byte_budget and (
            best is None or encoded_pass.file_bytes > best.file_bytes
        ):
            best = encoded_pass
        _, enough, passes = _aims(search.config, q)
        if best is not None and (
            best.file_bytes >= enough * search.byte_budget or len(bracket.samples) >= passes
        ):
            break
        remaining = search.most_passes - len(bracket.samples)
        if best is None and 1 <= remaining <= len(_LAST_MARGINS):
            bracket.margin = _LAST_MARGINS[remaining - 1]
    assert smallest is not None
    return search.make_file(best or _try_finer(search, smallest))


def _run_passes(
    search: Search, scale: Scale, bracket: Bracket, trial: int | None = None
) -> Iterator[tuple[float, float, EncodePass]]:
    """Passes at the bracket's places, each with its place and index, by this preset if it is a
    `trial`."""
    q: float | None = None
    for position in bracket:
        q, log_lambda_offset = scale.settings_at(position, q)
        x = scale.position_of(q, log_lambda_offset)
        if x in bracket.samples:
            return
        encoded_pass = _run_pass(search, q, log_lambda_offset, trial)
        bracket.samples[x] = _excess(search, encoded_pass, q, trial)
        yield x, q, encoded_pass


def _try_finer(search: Search, smallest: EncodePass) -> EncodePass:
    """All passes were too large: if frames hardly change, as in a black clip, finer qualities may
    take less. Raises `TooSmallError`."""
    scale = Scale(search.config)
    if sum(smallest.frame_bytes) <= _STILL * len(smallest.frame_bytes):
        search.most_passes = search.full_passes + _FINER
        for part in range(_FINER):
            x = scale.low + part / _FINER * (scale.high - scale.low)
            encoded_pass = _run_pass(search, *scale.settings_at(x))
            if encoded_pass.file_bytes <= search.byte_budget:
                return encoded_pass
            smallest = min(smallest, encoded_pass, key=lambda candidate: candidate.file_bytes)
    smallest_file = search.make_file(smallest)
    size, kinds = smallest_file.encoded_pass.file_bytes, smallest.track_kinds
    raise TooSmallError(search.limit, str(size), smallest.track_bytes, kinds, smallest_file)


def _aims(config: EncoderConfig, q: float) -> tuple[float, float, int]:
    """Share of the limit to aim at, share that is enough, and number of passes if one of them
    fits."""
    if base_of(config.base).standard is None:
        return _STEPPED
    return _COARSE_AIMS if q >= _COARSE else _FINE_AIMS


def _excess(search: Search, encoded_pass: EncodePass, q: float, trial: int | None) -> float:
    """Log of a pass's bytes relative to the aim."""
    config, byte_budget = search.config, search.byte_budget
    base, fmt = base_of(config.base), search.stats.format
    preset_excess = 0.0
    if trial is not None:
        full = config.preset_of(fmt.width * fmt.height) or 0
        if base.standard is not None and trial - full > _TRIAL_PRESET_STEP:
            preset_excess = base.standard.quick_excess
    aim, *_ = _aims(config, q)
    target_bytes = aim * max(1.0, byte_budget - encoded_pass.other_bytes)
    return math.log(max(1, sum(encoded_pass.frame_bytes)) / target_bytes) - preset_excess


def _run_pass(
    search: Search, q: float, log_lambda_offset: float, trial: int | None = None
) -> EncodePass:
    """`trial`: the preset of one that is not painted."""
    config = replace(search.config, base_q=q).resolve()
    if trial is not None:
        config = replace(config, preset=trial, gop_q=())
    is_standard = base_of(config.base).standard is not None
    encoder = base_encoder(search.stats.format, config, log_lambda_offset) if is_standard else None
    return search.run(config, encoder, trial=trial is not None)
