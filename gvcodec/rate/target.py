"""The smallest file of a given quality: `--target psnr=32` (of the base frames) or `lpips=0.15`
(LPIPS-VGG of what `decode` shows).
"""

from __future__ import annotations

import dataclasses
import functools
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gvcodec.bases import AUTO, base_of
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.limits import UNLIMITED
from gvcodec.media.planes import rgb_from_planes
from gvcodec.rate.bracket import Bracket
from gvcodec.rate.one_pass import Extent, Open, Pass, Watch, measure, run
from gvcodec.util.torch_settings import usual_torch

if TYPE_CHECKING:
    from gvcodec.perceptual import Lpips

#: Per metric: sign (+1 = more is better), how near is near enough, usual value at q 40 and usual
#: change by a step of q.
_SIGN = {"psnr": 1, "lpips": -1}
_CLOSE = {"psnr": 0.05, "lpips": 0.002}
_USUAL = {"psnr": (32.2, 0.33), "lpips": (0.2, 0.007)}
_PASSES = 8
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
        from gvcodec.perceptual import require_weights

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
    """The smallest file found that meets a target; `value` is what it has, `base_q` where."""

    coded: Pass
    base_q: float
    value: float
    passes: int


def encode_for(
    open_source: Open,
    config: EncoderConfig,
    target: Target,
    watch: Watch,
    progress: Progress | None = None,
) -> Reached:
    """The quality of `config` does not matter; base "auto" is av1. Raises `UsageError` where even
    the best quality does not meet the target, and at once `MissingWeightsError` where LPIPS cannot
    be taken."""
    require_metric(target)
    if config.base == AUTO:
        config = dataclasses.replace(config, base="av1")
    extent = measure(open_source, watch)
    bracket = bracket_of(target, base_of(config.base).finest, config.coarsest)
    best: Reached | None = None
    for number in range(1, _PASSES + 1):
        if (q := next_q(bracket)) is None:
            break
        coded = run(
            open_source,
            dataclasses.replace(config, base_q=q),
            f"pass {number}",
            watch,
            extent.frames,
            progress=progress,
        )
        value = coded.psnr_y if target.metric == "psnr" else lpips_of(coded, open_source, extent)
        excess = bracket.known[q] = _SIGN[target.metric] * (value - target.value)
        passes = number
        if excess >= 0 and (best is None or len(coded.data) <= len(best.coded.data)):
            best = Reached(coded, q, value, number)
        if 0 <= excess <= _CLOSE[target.metric]:
            break
    if best is None:
        value = target.value + _SIGN[target.metric] * max(bracket.known.values())
        raise UsageError(
            f"{target.metric} {target.value:g} is out of reach: the best is {value:.4g}"
        )
    return dataclasses.replace(best, passes=passes)


def bracket_of(target: Target, finest: float, coarsest: float) -> Bracket:
    """Of what a pass exceeds the target by."""
    usual, slope = _USUAL[target.metric]
    guess = 40 + _SIGN[target.metric] * (usual - target.value) / slope
    return Bracket(finest, coarsest, slope, guess, beyond=0.5)


def next_q(bracket: Bracket) -> float | None:
    """The next to try, None where no better one is left. Where not even the finest q meets the
    target and a coarser one is better, as with still pictures, it is between the best and the
    next."""
    known = bracket.known
    if bracket.low not in known or max(known.values()) >= 0:
        return bracket.next()
    q = max(known, key=lambda q: (known[q], -q))
    coarser = min((other for other in known if other > q), default=bracket.high)
    narrow = q == bracket.low or coarser - q <= bracket.grain
    return None if narrow else bracket.round((q + coarser) / 2)


@usual_torch()
def lpips_of(coded: Pass, open_source: Open, extent: Extent) -> float:
    """LPIPS-VGG between decoded frames, as they are shown, and the source, on a few."""
    import torch

    from gvcodec.painter.tensors import rgb_tensor

    distance = _lpips()
    reader = Reader(io.BytesIO(coded.data))
    every = max(1, math.ceil(extent.frames / _LOOKS))
    colour, found = extent.format.colour, []
    with open_source() as source, torch.inference_mode():
        decoded = Decoder(reader.header, limits=UNLIMITED).frames_of(reader.packets())
        for number, (ours, theirs) in enumerate(zip(decoded, source, strict=False)):
            if number % every == 0:
                pair = (rgb_from_planes(planes, colour) for planes in (ours.planes, theirs.planes))
                found.append(float(distance(*map(rgb_tensor, pair))))
    return sum(found) / len(found)


@functools.cache
def _lpips() -> Lpips:
    from gvcodec.perceptual import lpips

    return lpips("vgg")
