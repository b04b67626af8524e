"""How a video is to be encoded: the settings, and what they come to for a structure layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypedDict

from gvcodec.bases import COARSEST, base_of, coarsest_q, index_of
from gvcodec.errors import UsageError

PAINTERS = ("float", "integer")


class EncoderOptions(TypedDict, total=False):
    """Fields of `EncoderConfig` by name, for type checkers."""

    q: float
    base_q: float | None
    base: str
    scale: Fraction | None
    tune: float | None
    tune_steps: int
    tune_parts: int
    tune_by: str
    painter: str
    keyint: int
    low_delay: bool
    threads: int
    maxrate: float
    bufsize: float
    eye: bool
    preset: int | None
    shift: float
    said_q: int | None


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """How to encode. `q` 0 (best) … 67, between two whole numbers too, about the same PSNR-Y in
    every base; `base_q` the structure layer's own index instead, 0 … 63 (av1 … 67); `base` "klt",
    "av1", "hevc", "vvc" or "tokens", whose `q` and `base_q` go to 69; `scale` 1, 3/4 or 1/2 (not
    klt), None = 1, but smaller beyond `q` 63 with av1 and tokens; where it is given they end at
    63; `tune_steps` steps for fitting the renderer to the
    video, however long they take; `tune` seconds instead, 0 = off; `tune_parts` how many parts of
    the renderer may change, 1 … 4, 0 = as the size of the stream allows; `tune_by` the network
    whose features it compares, "vgg" or "small", "" = the former where its weights are found;
    `painter` "float", or "integer", whose painted samples are the same on every machine; `keyint`
    frames between keyframes at most, since a scene begins with one, 0 = only the first; `low_delay`
    no B frames and no look-ahead; `threads` 0 = all cores. `maxrate` bits a second (klt): quality
    falls where a decoder's buffer of `bufsize` bits (0 = one second) would run dry.
    `eye` makes av1 decide for the eye instead of PSNR, `preset` is that of SVT-AV1 (av1), 0 slowest
    … 10, or of VVenC (vvc), 0 … 4, None = 2. `shift` (av1, hevc, vvc): how far the source is moved
    so that its painted picture looks better, 1 = as far as usual, 0 = off. `said_q`: the index that
    the header says instead, which the renderer goes by: that of a whole video of which this is a
    chunk."""

    q: float = 50
    base_q: float | None = None
    base: str = "av1"
    scale: Fraction | None = None
    tune: float | None = None
    #: Twice as many gain a per cent of DISTS and nothing of LPIPS-Alex (eval/results.md); about 45
    #: seconds of one core.
    tune_steps: int = 60
    tune_parts: int = 0
    tune_by: str = ""
    painter: str = "float"
    keyint: int = 240
    low_delay: bool = False
    threads: int = 0
    maxrate: float = 0
    bufsize: float = 0
    eye: bool = False
    preset: int | None = None
    shift: float = 0.0
    said_q: int | None = None

    @property
    def tunes(self) -> bool:
        """Whether the renderer is to be fitted."""
        return self.tune_steps > 0 if self.tune is None else self.tune > 0

    @property
    def coarsest(self) -> float:
        """The largest `base_q` there is."""
        base = base_of(self.base)
        return base.coarsest_reduced if base.reduced and self.scale is None else COARSEST

    def settled(self) -> EncoderConfig:
        """The same with a scale and the structure layer's index that belongs to it. Raises
        `UsageError`."""
        name, value, coarsest = "base_q", self.base_q, self.coarsest
        if value is None:
            name, value, coarsest = "q", self.q, coarsest_q(self.base, coarsest)
        if not 0 <= value <= coarsest:
            raise UsageError(f"{name} is 0…{coarsest:g} here, not {value:g}")
        index = index_of(self.base, value) if self.base_q is None else value
        if self.scale is not None:
            return replace(self, base_q=index)
        scale = Fraction(1)
        for above, smaller, less in base_of(self.base).reduced:
            if index > above:
                scale, index = smaller, min(COARSEST, index - less)
                break
        return replace(self, scale=scale, base_q=index)
