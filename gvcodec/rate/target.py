"""The smallest file of a given quality: `--target psnr=32` (of the base frames) or `lpips=0.15`
(LPIPS-VGG of what `decode` shows).

Quality falls with q nearly linearly, so the passes, five at most as a rule, follow the line through
the two nearest known points.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gvcodec.bases import AUTO, base_of
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.limits import UNLIMITED
from gvcodec.media.planes import rgb_from_planes
from gvcodec.rate.auto import Choose, too_dear
from gvcodec.rate.one_pass import Extent, Open, Pass, Watch, measure, run
from gvcodec.util.torch_settings import usual_torch

if TYPE_CHECKING:
    from gvcodec.painter.perceptual import Lpips

#: Per metric: sign (+1 = more is better), how near is near enough, usual value at q 40 and usual
#: change by a step of q.
_SIGN = {"psnr": 1, "lpips": -1}
_CLOSE = {"psnr": 0.05, "lpips": 0.002}
_USUAL = {"psnr": (32.2, -0.33), "lpips": (0.2, 0.007)}
_GRAIN = 0.25
_PASSES = 8
#: Steps of q that are worth a bisection where the line goes astray.
_WIDE = 4.0
#: Frames that LPIPS looks at, evenly over the video.
_LOOKS = 12


@dataclass(frozen=True, slots=True)
class Target:
    """`metric` is "psnr" (dB, mean over the frames' luma; infinite when exact) or "lpips"
    (LPIPS-VGG, mean)."""

    metric: str
    value: float

    def __post_init__(self) -> None:
        if self.metric not in _SIGN or not self.value > 0:
            raise UsageError("a target is psnr=DECIBEL or lpips=DISTANCE")


def require_metric(target: Target) -> None:
    """Raises `MissingWeightsError` where the target's metric cannot be taken here."""
    if target.metric == "lpips":
        from gvcodec.painter.perceptual import require_weights

        require_weights()


def parse_target(text: str) -> Target:
    """`psnr=32` or `lpips=0.15`. Raises `ValueError`."""
    metric, _, value = text.partition("=")
    try:
        if math.isinf(number := float(value)):
            raise UsageError("a target is finite")
        return Target(metric, number)
    except UsageError as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Reached:
    """The smallest file found that meets a target, in `base`; `value` is what it has, `base_q`
    where."""

    coded: Pass
    base_q: float
    value: float
    passes: int
    base: str = "av1"


def encode_for(
    open_source: Open,
    config: EncoderConfig,
    target: Target,
    watch: Watch,
    progress: Progress | None = None,
    choose: Choose | None = None,
) -> Reached:
    """The quality of `config` does not matter. With base "auto" in av1, and where `choose` takes
    motion at the rate that came out, in motion too: the smaller file counts. Raises `UsageError`
    where even the best quality does not meet the target, and at once `MissingWeightsError` where
    LPIPS cannot be taken."""
    require_metric(target)
    if config.base == AUTO:
        return _encode_auto(open_source, config, target, watch, progress, choose)
    extent = measure(open_source, watch)
    found = _Curve(target, base_of(config.base).finest, config.coarsest)
    best: Reached | None = None
    q: float | None = found.first()
    for number in range(1, _PASSES + 1):
        coded = run(
            open_source,
            dataclasses.replace(config, base_q=q),
            f"pass {number}",
            watch,
            extent.frames,
            progress=progress,
        )
        value = coded.psnr_y if target.metric == "psnr" else lpips_of(coded, open_source, extent)
        assert q is not None
        if found.add(q, value) and (best is None or len(coded.data) <= len(best.coded.data)):
            best = Reached(coded, q, value, number, config.base)
        q = found.following()
        if q is None:
            break
    if best is None:
        value = found.best
        raise UsageError(
            f"{target.metric} {target.value:g} is out of reach: the best is {value:.4g}"
        )
    return dataclasses.replace(best, passes=number)


class _Curve:
    """Quality by q, as far as it is known, and where to look next.

    Still pictures have leaps: a step of q takes them from lossless to 50 dB, so a pass may be
    infinitely good, and says nothing about the slope then. And an encoder may be worse at a finer
    q.
    """

    def __init__(self, target: Target, finest: float, coarsest: float) -> None:
        self._target, self._ends = target, (finest, coarsest)
        self._sign, self._close = _SIGN[target.metric], _CLOSE[target.metric]
        self._slope = _USUAL[target.metric][1]
        self._points: dict[float, float] = {}

    def first(self) -> float:
        usual = _USUAL[self._target.metric][0]
        return self._round(40 + (self._target.value - usual) / self._slope)

    def add(self, q: float, value: float) -> bool:
        """Take note of a pass. Gives whether it meets the target."""
        self._points[q] = value
        return self._meets(value)

    @property
    def best(self) -> float:
        return max(self._points.values(), key=lambda value: self._sign * value)

    def following(self) -> float | None:
        """The next q, None where there is no better one to try."""
        _, coarsest = self._ends
        meeting = [q for q, value in self._points.items() if self._meets(value)]
        if not meeting:
            return self._finer()
        fine = max(meeting)
        value = self._points[fine]
        coarse = min((q for q in self._points if q > fine), default=None)
        if abs(value - self._target.value) <= self._close or fine >= coarsest:
            return None
        if coarse is None:
            lossless = math.isinf(value)
            return coarsest if lossless else self._round(fine + self._distance(fine) + 0.5)
        if coarse - fine <= _GRAIN:
            return None
        if math.isinf(value) or self._stalls(coarse - fine):
            return self._round((fine + coarse) / 2)
        self._slope = (self._points[coarse] - value) / (coarse - fine) or self._slope
        # Inside the bracket, and away from its ends.
        q = min(max(fine + self._distance(fine), fine + _GRAIN), coarse - _GRAIN)
        return self._round(q)

    def _finer(self) -> float | None:
        """Nothing meets the target so far."""
        finest, coarsest = self._ends
        least = min(self._points)
        if least > finest:
            return self._round(least + min(-0.5, self._distance(least) - 0.5))
        # The finest q is there. Where a coarser one is better, one between the best and the next.
        q = max(self._points, key=lambda q: (self._sign * self._points[q], -q))
        if q == finest:
            return None
        coarser = min((other for other in self._points if other > q), default=coarsest)
        return self._round((q + coarser) / 2) if coarser - q > _GRAIN else None

    def _distance(self, q: float) -> float:
        """Steps of q from here to the target, along the line."""
        return (self._target.value - self._points[q]) / self._slope

    def _stalls(self, width: float) -> bool:
        """Whether the line has missed twice on the same side of a bracket that is still wide."""
        last = [self._meets(value) for value in self._points.values()][-2:]
        return width > _WIDE and len(set(last)) == 1

    def _meets(self, value: float) -> bool:
        return self._sign * (value - self._target.value) >= 0

    def _round(self, q: float) -> float:
        finest, coarsest = self._ends
        return round(min(max(q, finest), coarsest) / _GRAIN) * _GRAIN


def _encode_auto(
    open_source: Open,
    config: EncoderConfig,
    target: Target,
    watch: Watch,
    progress: Progress | None,
    choose: Choose | None,
) -> Reached:
    """Motion never needs fewer bytes for a PSNR."""
    config = dataclasses.replace(config, base="av1")
    av1 = encode_for(open_source, config, target, watch, progress)
    fmt, sizes = av1.coded.format, av1.coded.frame_bytes
    samples = len(sizes) * fmt.width * fmt.height
    if choose is None or target.metric == "psnr" or too_dear(sum(sizes), samples):
        return av1
    chosen = choose(dataclasses.replace(config, base_q=av1.base_q))
    if chosen.base == "av1":
        return av1
    try:
        motion = encode_for(open_source, chosen, target, watch, progress)
    except UsageError:  # out of reach for motion
        return av1
    smaller = min(av1, motion, key=lambda reached: len(reached.coded.data))
    return dataclasses.replace(smaller, passes=av1.passes + motion.passes)


@usual_torch()
def lpips_of(coded: Pass, open_source: Open, extent: Extent) -> float:
    """LPIPS-VGG between decoded frames, painted where the file has a painter, and the
    source, on a few frames."""
    import torch

    distance = _lpips()
    reader = Reader(io.BytesIO(coded.data))
    every = max(1, math.ceil(extent.frames / _LOOKS))
    colour, found = extent.format.colour, []
    with open_source() as source, torch.inference_mode():
        decoded = Decoder(reader.header, limits=UNLIMITED).frames_of(reader.packets())
        for number, (ours, theirs) in enumerate(zip(decoded, source, strict=False)):
            if number % every == 0:
                pair = [
                    torch.from_numpy(np.ascontiguousarray(rgb_from_planes(planes, colour))).permute(
                        2, 0, 1
                    )[None]
                    / 255
                    for planes in (ours.planes, theirs.planes)
                ]
                found.append(float(distance(*pair)))
    return sum(found) / len(found)


@functools.cache
def _lpips() -> Lpips:
    from gvcodec.painter.perceptual import lpips

    return lpips("vgg")
