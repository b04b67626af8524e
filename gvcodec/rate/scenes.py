"""Quality of each scene (`--alloc` in av1 and vvc): shares a file's bytes among its GOPs.

A GOP is the smallest part whose quality these encoders can set: FFmpeg's `libsvtav1` ignores
regions of interest (side data of frames) and has no option for a map or a list of qualities. One
constant quality gives all scenes about the same slope of squared error; viewers and perceptual
metrics reward more bits for cheap scenes and fewer for expensive ones.

A fast trial at half the size measures bits and L1 error of each GOP at three qualities. Budgets,
relative to the GOPs' bytes at constant quality and with the same sum:

    elbo         N = clip(β · ELBO / E[ELBO], 1/16, …): -ELBO = bits + L1 error, in units of their
                 means [InfoTok]
    uniqueness   Token Allocation of the GOPs' mean features [UniComp]
    both         the product of both
    rd           bytes a frame in proportion to their 0.6th power, as x264's `qcomp` (least L1 on
                 the convex hulls of the trial gained less)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gvcodec.allocation.patches import luma_features
from gvcodec.allocation.router import FLOOR, negative_elbo
from gvcodec.allocation.uniqueness import allocate_tokens
from gvcodec.base import EncodeResult
from gvcodec.base.resample import Resampler
from gvcodec.base.scene_cuts import GopStarts
from gvcodec.base.standard.encoder import StandardEncoder
from gvcodec.base.standard.encoders import Settings
from gvcodec.bases import base_of
from gvcodec.config import EncoderConfig, ResolvedConfig
from gvcodec.rate.one_pass import ProgressWrapper, SourceFactory
from gvcodec.types import Planes, VideoFormat

#: Qualities of the trial, relative to the requested one, finest first.
STEPS = (-6.0, 0.0, 3.0)
#: Largest offset of a GOP, in steps of q.
MAX_OFFSET = 9.0
#: Smaller pictures are tried at full size.
_MIN_HALVED = 256
#: Offsets are multiples of this; the parts that Token Allocation shares out.
_OFFSET_STEP, _PARTS = 0.25, 10000
#: Of bytes: 1 leaves constant quality, 0 gives all frames the same.
_POWER = 0.6

Floats = NDArray[np.float64]


@dataclass
class Scene:
    """A GOP in the trial: its frames, the sum of their features, bytes and sums of absolute luma
    errors at each quality."""

    frames: int = 0
    features: Floats = field(default_factory=lambda: np.zeros(1))
    size: Floats = field(default_factory=lambda: np.zeros(len(STEPS)))
    error: Floats = field(default_factory=lambda: np.zeros(len(STEPS)))


def allocate_scenes(
    open_source: SourceFactory,
    config: EncoderConfig,
    watch: ProgressWrapper,
    frames: int | None = None,
) -> EncoderConfig:
    """The settings with the quality of each GOP, by a trial of the first `frames` frames."""
    with open_source() as source:
        total = frames or getattr(source, "expected_frames", None)
        video = watch(itertools.islice(source, frames), "probe", total)
        planes = (frame.planes for frame in video)
        return replace(config, gop_q=gop_offsets(planes, source.format, config.resolve()))


def gop_offsets(
    frames: Iterable[Planes], fmt: VideoFormat, config: ResolvedConfig
) -> tuple[float, ...]:
    """Offsets of the GOPs' indices for `config.alloc`; empty for a single GOP. `config` is
    resolved; `frames` are those to be coded."""
    scenes = measure_scenes(frames, fmt, config)
    if len(scenes) < 2:
        return ()
    least, most = base_of(config.base).finest, config.max_base_q
    return tuple(
        min(max(config.base_q + offset, least), most) - config.base_q
        for offset in choose_offsets(scenes, config.alloc)
    )


def measure_scenes(
    frames: Iterable[Planes], fmt: VideoFormat, config: ResolvedConfig
) -> list[Scene]:
    """A trial encode at half size, whose GOPs begin at the same frames as the final encode's."""
    starts = GopStarts(fmt.width, fmt.height, config.keyint)
    half = Fraction(1, 2) if min(fmt.width, fmt.height) >= _MIN_HALVED else Fraction(1)
    small = Resampler(fmt.width, fmt.height, half)
    fmt = replace(fmt, width=small.coded_width, height=small.coded_height)
    trials = [
        _Trial(fmt, config, min(max(config.base_q + step, 1.0), config.max_base_q))
        for step in STEPS
    ]
    scenes: list[Scene] = []
    for planes in frames:
        key = starts.is_gop_start(planes[0])
        reduced = small.downsample(planes)
        if key:
            scenes.append(Scene())
        scene = scenes[-1]
        scene.frames += 1
        scene.features = scene.features + luma_features(reduced[0]).ravel()
        for trial in trials:
            trial.send(reduced, key)
    for i, trial in enumerate(trials):
        for scene, size, error in zip(scenes, *trial.finish(scenes), strict=True):
            scene.size[i], scene.error[i] = size, error
    return scenes


class _Trial:
    """One quality of the trial: bytes and luma errors of frames in the order of display."""

    def __init__(self, fmt: VideoFormat, config: ResolvedConfig, q: float) -> None:
        fastest = base_of(config.base).presets - 1
        self._encoder = StandardEncoder(
            fmt,
            config.base,
            Settings(q, config.low_delay, config.threads, preset=fastest),
        )
        self._sources: list[NDArray[np.uint16]] = []
        self._sizes: list[int] = []
        self._errors: list[float] = []

    def send(self, planes: Planes, key: bool) -> None:
        self._sources.append(planes[0])
        self._on_output(self._encoder.send(planes, key))

    def finish(self, scenes: list[Scene]) -> tuple[list[float], list[float]]:
        """Bytes and errors of each scene. Packets of a GOP are together, whatever their order."""
        for result in self._encoder.drain():
            self._on_output(result)
        starts = np.cumsum([0, *(scene.frames for scene in scenes)])[:-1]
        sizes, errors = (np.add.reduceat(x, starts) for x in (self._sizes, self._errors))
        return sizes.tolist(), errors.tolist()

    def _on_output(self, result: EncodeResult) -> None:
        self._sizes += [len(packet.payload) for packet in result.packets]
        for base_frame in result.base_frames:
            source = self._sources.pop(0).astype(np.int32)
            self._errors.append(float(np.abs(source - base_frame[0]).sum()))


def choose_offsets(scenes: list[Scene], method: str) -> list[float]:
    """Offsets of the GOPs' indices that preserve the sum of the trial's bytes."""
    assert method in ("uniform", "rd", "elbo", "uniqueness", "both"), method
    middle_step = STEPS.index(0.0)
    frames = np.array([scene.frames for scene in scenes], np.float64)
    size = np.array([scene.size for scene in scenes])  # G, steps
    factor = (
        (size[:, middle_step] / frames) ** (_POWER - 1) if method == "rd" else np.ones(len(scenes))
    )
    if method in ("elbo", "both"):
        factor *= _elbo_factor(
            frames, size[:, middle_step], np.array([s.error[middle_step] for s in scenes])
        )
    if method in ("uniqueness", "both"):
        factor *= _uniqueness_factor(scenes)
    target_sizes = size[:, middle_step] * factor
    low, high = -5.0, 5.0
    for _ in range(40):  # of the log of the common factor of all budgets
        middle = (low + high) / 2
        offsets = _offsets(size, target_sizes * math.exp(middle))
        is_over = _bytes_at(size, offsets[:, None]).sum() > size[:, middle_step].sum()
        low, high = (low, middle) if is_over else (middle, high)
    return [
        round(x / _OFFSET_STEP) * _OFFSET_STEP for x in _offsets(size, target_sizes * math.exp(low))
    ]


def _elbo_factor(frames: Floats, size: Floats, error: Floats) -> Floats:
    bits, distortion = size / frames, error / frames
    mean_bits, mean_distortion = size.sum() / frames.sum(), error.sum() / frames.sum()
    elbo = negative_elbo(bits, distortion, max(mean_distortion / mean_bits, 1e-12))
    expected = float((elbo * frames).sum() / frames.sum())
    target_bits = np.maximum(elbo / max(expected, 1e-12), 1 / FLOOR) * mean_bits
    return target_bits / np.maximum(bits, 1e-9)


def _uniqueness_factor(scenes: list[Scene]) -> Floats:
    features = np.stack([scene.features / scene.frames for scene in scenes])
    parts = allocate_tokens(features, _PARTS, _PARTS)
    return np.maximum(parts * len(scenes) / _PARTS, 1 / FLOOR)


def _bytes_at(size: Floats, offsets: Floats) -> Floats:
    """Bytes of each GOP at its offsets (G, N), log-linear between the qualities of the trial."""
    logs = np.log(np.maximum(size, 1e-9))  # G, steps
    steps = np.array(STEPS)
    i = np.clip(np.searchsorted(steps, offsets) - 1, 0, len(steps) - 2)  # G, N
    lower, upper = np.take_along_axis(logs, i, 1), np.take_along_axis(logs, i + 1, 1)
    slope = (upper - lower) / (steps[i + 1] - steps[i])
    return np.exp(lower + slope * (offsets - steps[i]))


def _offsets(size: Floats, target_sizes: Floats) -> Floats:
    """The offset at which each GOP takes `target_sizes` bytes, within `MAX_OFFSET`."""
    grid = np.arange(-MAX_OFFSET, MAX_OFFSET + 0.05, 0.05)
    at = _bytes_at(size, np.tile(grid, (len(size), 1)))
    return grid[np.abs(np.log(at) - np.log(target_sizes)[:, None]).argmin(1)]
