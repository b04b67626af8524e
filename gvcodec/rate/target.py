"""The smallest file of a quality: `--target psnr=32`, measured on the output of `decode`.

Trials without strengths by GOP find the index; for PSNR they measure base frames, which saves
painting. Then strengths are chosen once, and the remaining passes correct the resulting shift.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gvcodec.bases import base_of, q_of
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import MediaError, UsageError
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.one_pass import (
    Budget,
    ContainerSize,
    EncodePass,
    ProgressWrapper,
    SourceFactory,
    measure_video,
)
from gvcodec.rate.quality import METRICS, POOLS, QualityMetric, require_metric
from gvcodec.rate.size import RatedFile, Search, encode_to_budget
from gvcodec.util.messages import MOST_AMOUNT
from gvcodec.zones import Zone, parse_zones

#: Trials, and passes with chosen strengths after them.
_TRIALS, _PASSES = 8, 4
#: Trials end within this multiple of the tolerance, about the shift by strengths.
_ROUGH = 4.0


#: Text of the deciding target among several.
DECIDES = " decides, of "


@dataclass(frozen=True, slots=True)
class Target:
    """A `value` of "psnr" (dB of luma; infinite when exact), "lpips" (LPIPS-VGG), "ssimulacra2" or
    "cvvdp" (JOD): the mean over the frames, or `of` the worst twentieth of them ("p5") or the worst
    scene. `most_bytes`: if a file of this quality is larger, the best that is not. `others`:
    targets of other metrics, which hold too."""

    metric: str
    value: float
    of: str = "mean"
    most_bytes: float | None = None
    others: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        metric = METRICS.get(self.metric)
        if metric is None or not 0 < self.value <= metric.best:
            raise UsageError(f"a target is {TARGETS}", code="target")
        if self.of not in POOLS:
            raise UsageError(
                f"the statistic of a target is {', '.join(POOLS)}, not {self.of}", code="target"
            )
        if self.most_bytes is not None and not 0 < self.most_bytes <= MOST_AMOUNT:
            raise UsageError("a largest size is above 0 and at most 1e18", code="target")
        if self.of == "p5" and self.metric == "cvvdp":
            raise UsageError(
                "cvvdp measures runs of frames: its statistic is mean or worst-scene",
                code="target",
            )
        metrics = [target.metric for target in self.all]
        if repeated := next((name for name in metrics if metrics.count(name) > 1), None):
            raise UsageError(f"a target of {repeated} is given twice", code="target")

    @property
    def all(self) -> tuple[Target, ...]:
        """This target and the others, as separate targets."""
        return (replace(self, others=()) if self.others else self, *self.others)

    @property
    def bounds_file(self) -> bool:
        """Whether it limits the bytes of the file, with sound and container."""
        return self.most_bytes is not None

    @property
    def is_global(self) -> bool:
        """Whether it holds for the whole file, not for each part of it."""
        return self.most_bytes is not None

    def __str__(self) -> str:
        pool = f" ({POOLS[self.of]})" if POOLS[self.of] else ""
        return ", ".join([f"{self.metric}{pool} {self.value:.4g}", *map(str, self.others)])

    def excess(self, value: float) -> float:
        """How much better a value is than the target."""
        return METRICS[self.metric].sign * (value - self.value)

    def with_values(self, values: Sequence[float]) -> Target:
        """The same metrics with these values, in the order of `all`."""
        pairs = zip(self.others, values[1:], strict=True)
        reached = copy.copy(self)
        # Not checked: a file's values may be impossible targets, such as a distance of 0.
        object.__setattr__(reached, "value", values[0])
        object.__setattr__(reached, "others", tuple(other.with_values([v]) for other, v in pairs))
        return reached

    def with_pool(self, of: str) -> Target:
        """The same targets with another pool."""
        return replace(self, of=of, others=tuple(replace(other, of=of) for other in self.others))


TARGETS = " or ".join(f"{name}={metric.unit}" for name, metric in METRICS.items())


def parse_target(text: str) -> Target:
    """`psnr=32`, `lpips=0.15`, or several: `ssimulacra2=70,psnr=36`. Raises `ValueError` with the
    reason."""
    first, *others = (_parse_one(part) for part in text.split(","))
    try:
        return replace(first, others=tuple(others))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _parse_one(text: str) -> Target:
    metric, _, value = text.strip().partition("=")
    try:
        if math.isinf(number := float(value)):
            raise ValueError
        return Target(metric, number)
    except (ValueError, UsageError):
        raise ValueError(f"{text.strip()!r} is not {TARGETS}") from None


@dataclass(slots=True)
class _TargetPasses:
    """Passes by quality, with their target and metric."""

    search: Search
    target: Target
    metrics: Sequence[QualityMetric]
    passes: int = 0

    def run(self, q: float, trial: bool) -> tuple[EncodePass, tuple[float, ...]]:
        """A pass and its values; `trial`: without strengths by GOP, with PSNR of base frames."""
        self.passes += 1
        config = replace(self.search.config, base_q=q).resolve()
        stage = f"{'trial' if trial else 'pass'} {self.passes}"
        encoded_pass = self.search.run(config, trial=trial, stage=stage)
        return encoded_pass, self.measure(encoded_pass, trial)

    def measure(self, encoded_pass: EncodePass, trial: bool = False) -> tuple[float, ...]:
        pairs = zip(self.target.all, self.metrics, strict=True)
        return tuple(
            measure(encoded_pass, trial and goal.metric == "psnr") for goal, measure in pairs
        )

    def excess(self, values: Sequence[float]) -> float:
        """Excess of the value nearest to its target, on the scale of the first metric."""
        excess, _ = self._nearest(values)
        return excess

    def deciding_metric(self, values: Sequence[float]) -> str:
        """The metric of that value."""
        _, metric = self._nearest(values)
        return metric

    def _nearest(self, values: Sequence[float]) -> tuple[float, str]:
        close = METRICS[self.target.metric].tolerance
        return min(
            (goal.excess(value) * close / METRICS[goal.metric].tolerance, goal.metric)
            for goal, value in zip(self.target.all, values, strict=True)
        )

    def is_within_budget(self, encoded_pass: EncodePass) -> bool:
        return encoded_pass.file_bytes <= self.search.byte_budget


def encode_to_target(
    open_source: SourceFactory,
    config: EncoderConfig,
    target: Target,
    watch: ProgressWrapper,
    progress: Progress | None = None,
    open_original: SourceFactory | None = None,
    container: ContainerSize | None = None,
) -> RatedFile:
    """Encode at the coarsest quality that meets a target; the quality of `config` is ignored.
    `open_original`: the reference of decoded pictures, which may be larger. `container`: measures
    the final file, None if that is the stream. Raises `UsageError` if even the best quality misses
    the target, and at once `MissingWeightsError` or `UsageError` if the metric cannot be measured.
    """
    for goal in target.all:
        require_metric(goal.metric)
    stats, original = measure_video(open_source, watch), open_original or open_source
    metrics = [QualityMetric(goal.metric, goal.of, original, stats) for goal in target.all]
    most_bytes = sys.maxsize if target.most_bytes is None else int(target.most_bytes)
    aim = _TargetPasses(
        Search(open_source, config, stats, most_bytes, watch, progress, container), target, metrics
    )
    reached = _run_trials(aim)
    if reached is None:
        budget = Budget(size=most_bytes)
        fitted = encode_to_budget(open_source, config, budget, watch, progress, container)
        values, passes = aim.measure(fitted.encoded_pass), aim.passes + fitted.passes
        reached = replace(fitted, values=values, passes=passes)
    notes = [*reached.encoded_pass.notes, *(note for metric in metrics for note in metric.notes)]
    if target.others:
        notes.append(f"{aim.deciding_metric(reached.values)}{DECIDES}{target}")
    return replace(reached, encoded_pass=replace(reached.encoded_pass, notes=notes))


def _run_trials(aim: _TargetPasses) -> RatedFile | None:
    """Trials; None if a file of the quality exceeds `most_bytes`."""
    config, target, sizes = aim.search.config, aim.target, dict[float, int]()
    bracket = make_bracket(target, base_of(config.base).finest, config.max_base_q)
    guess: float | None = None
    while guess is None and len(sizes) < _TRIALS and (q := next_q(bracket)) is not None:
        encoded_pass, values = aim.run(q, trial=True)
        excess = bracket.samples[q] = aim.excess(values)
        sizes[q] = len(encoded_pass.data)
        if excess < 0 and encoded_pass.file_bytes > aim.search.limit:
            return None
        if abs(excess) <= _ROUGH * METRICS[target.metric].tolerance:
            guess = bracket.round(bracket.estimate)
    meeting = [q for q, excess in bracket.samples.items() if excess >= 0]
    if guess is None:
        # A coarser file of still pictures may be larger.
        guess = min(
            meeting or sizes, key=lambda q: (sizes[q], -q) if meeting else (-bracket.samples[q], q)
        )
    bracket = replace(
        bracket,
        guess=guess,
        slope=bracket.local_slope,
        samples={},
        margin=0.0,
        least_step=bracket.q_step,
    )
    return _run_full_passes(aim, bracket, bool(meeting))


def _run_full_passes(aim: _TargetPasses, bracket: Bracket, is_met: bool) -> RatedFile | None:
    """Continue from the trials with chosen strengths, until decoded frames meet the target.
    `is_met`: trials met it."""
    target, close = aim.target, METRICS[aim.target.metric].tolerance
    best: RatedFile | None = None
    files: list[RatedFile] = []
    while (q := next_q(bracket)) is not None:
        encoded_pass, values = aim.run(q, trial=False)
        file = RatedFile(encoded_pass, aim.passes, q, values=values)
        files.append(file)
        excess = aim.excess(values)
        # Aim at the middle of the tolerance.
        bracket.samples[q] = excess - close / 2
        if excess >= 0 and (best is None or len(encoded_pass.data) <= len(best.encoded_pass.data)):
            best = file
        elif best is None and not aim.is_within_budget(encoded_pass):
            return None
        if (best is not None or is_met) and len(files) >= _PASSES or 0 <= excess <= close:
            break
    if best is None and is_met and target.metric == "psnr" and not target.others:
        best = _use_base_frames(aim, files)
    if best is None:
        values = max((file.values for file in files), key=aim.excess)
        reached = f"{values[0]:.4g}" if not target.others else str(target.with_values(values))
        raise UsageError(
            f"{target} is out of reach: the best is {reached}", code="target-unreachable"
        )
    if not aim.is_within_budget(best.encoded_pass):
        return None
    return replace(
        best, encoded_pass=aim.search.make_file(best.encoded_pass).encoded_pass, passes=aim.passes
    )


def _use_base_frames(aim: _TargetPasses, files: list[RatedFile]) -> RatedFile | None:
    """Show base frames: painting changes nearly lossless pictures too much for the target."""
    for file in files:
        values = aim.measure(file.encoded_pass, trial=True)
        if aim.excess(values) >= 0:
            note = (
                f"psnr {values[0]:.4g} is of base frames (decode --fidelity), "
                f"painted {file.values[0]:.4g}"
            )
            encoded_pass = replace(file.encoded_pass, notes=[*file.encoded_pass.notes, note])
            return replace(file, values=values, encoded_pass=encoded_pass)
    return None


def make_bracket(target: Target, finest: float, coarsest: float) -> Bracket:
    """Bracket of the excess over the target."""
    metric = METRICS[target.metric]
    guess = min(map(_typical_q, target.all))
    return Bracket(finest, coarsest, metric.slope, guess, margin=0.5)


def _typical_q(target: Target) -> float:
    metric = METRICS[target.metric]
    return 40 + metric.sign * (metric.typical - target.value) / metric.slope


def next_q(bracket: Bracket) -> float | None:
    """The next q, None if no better one remains. If even the finest q misses the target and a
    coarser one is better, as with still pictures, it is between the best and the next."""
    samples = bracket.samples
    if bracket.low not in samples or max(samples.values()) >= 0:
        return bracket.propose()
    q = max(samples, key=lambda q: (samples[q], -q))
    coarser = min((other for other in samples if other > q), default=bracket.high)
    is_narrow = q == bracket.low or coarser - q <= bracket.q_step
    return None if is_narrow else bracket.round((q + coarser) / 2)


#: Opens a part of the source (begin and end in its seconds) at the coded size or its own.
OpenPart = Callable[[float, float, bool], SourceFactory]


def has_targets(config: EncoderConfig) -> bool:
    """Whether a zone has a target. Raises `UsageError` if a target is impossible there, and
    `MissingWeightsError`."""
    zones = _zones_with_targets(config)
    for zone in zones:
        try:
            target = parse_target(zone.target)
        except ValueError:
            raise UsageError(
                f"{zone.target!r} of zones is not q=N and not {TARGETS}", code="target"
            ) from None
        for goal in target.all:
            require_metric(goal.metric)
    if zones and base_of(config.base).standard is None:
        raise UsageError(f"--zones needs base av1 or vvc, not {config.base}", code="base-feature")
    return bool(zones)


def resolve_zones(
    open_part: OpenPart, config: EncoderConfig, watch: ProgressWrapper, progress: Progress | None
) -> tuple[EncoderConfig, list[str]]:
    """The settings with qualities instead of targets, and a line for each. Raises `UsageError` if
    one is out of reach."""
    resolved: list[Zone] = []
    notes: list[str] = []
    for zone in parse_zones(config.zones):
        if not zone.target:
            resolved.append(zone)
            continue
        original = open_part(zone.begin, zone.end, True)
        try:
            with original():
                pass
        except (MediaError, UsageError):
            notes.append(f"zone {_name(zone)}: the source has no frame there")
            continue
        target = parse_target(zone.target)
        part_config = replace(config, zones="", alloc="", embed_model=False)
        part = open_part(zone.begin, zone.end, False)
        try:
            fitted = encode_to_target(part, part_config, target, watch, progress, original)
        except UsageError as error:
            raise UsageError(f"zone {_name(zone)}: {error}", code="target") from error
        q = q_of(config.base, fitted.base_q)
        resolved.append(replace(zone, q=q, target=""))
        notes.append(f"zone {_name(zone)}: {target.with_values(fitted.values)} at q {q:.4g}")
    return replace(config, zones=";".join(map(str, resolved))), notes


def _zones_with_targets(config: EncoderConfig) -> list[Zone]:
    try:
        return [zone for zone in parse_zones(config.zones) if zone.target]
    except ValueError:
        # The check of the settings reports this.
        return []


def _name(zone: Zone) -> str:
    end = "" if math.isinf(zone.end) else f"{zone.end:g}"
    return f"{zone.begin:g}-{end} s"
