"""How a video is to be encoded: the settings, and what they come to for a base layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypedDict

from gvcodec.bases import AUTO, INDEX_END, Q_END, base_of, index_of, q_of
from gvcodec.errors import UsageError


@dataclass(frozen=True, slots=True)
class Speed:
    """A row of `SPEEDS`: preset by base, and steps of fitting."""

    presets: Mapping[str, int]
    fit_steps: int


#: What --speed stands for; measured in docs/usage.md. SVT-AV1's preset 3 takes twice the time of 4
#: and saves 3 to 5 % of the bytes, 2 with screen tools four times that of 3 and saves 2 to 8 %.
#: Steps of fitting are of eight crops each.
SPEEDS = {
    "fast": Speed({"av1": 5, "vvc": 4}, 3),
    "balanced": Speed({"av1": 3, "vvc": 2}, 5),
    "best": Speed({"av1": 2, "vvc": 1}, 20),
}
DEFAULT_SPEED = "balanced"
#: Steps of rounding of latent tokens, and most of them in a window.
TOKEN_RATES, MOST_TOKENS = 8, 64


class EncoderOptions(TypedDict, total=False):
    """Fields of `EncoderConfig` by name, for type checkers."""

    q: float
    base_q: float | None
    base: str
    scale: Fraction | None
    fit: float | None
    fit_steps: int | None
    fit_parts: int
    fit_by: str
    device: str
    keyint: int
    low_delay: bool
    threads: int
    maxrate: float
    eye: bool
    speed: str
    preset: int | None
    header_q: int | None
    alloc: str
    gop_q: tuple[float, ...]
    tokens: int | str
    token_rate: int | None
    search: int
    model: str


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """How to encode. `q` 0 (best) … 67 (`gvcodec.bases.Q_END`), between two whole numbers too,
    about the same PSNR-Y in every base; `base_q` the base's own index instead; `base` "av1", "vvc",
    "motion" or "auto": av1, or motion where `gvcodec.encode_file` chooses it at low rates;
    `scale` 1, 3/4 or 1/2, None = 1, but smaller beyond `q` 63 with av1 and motion,
    whose `q` ends there where it is given; `speed` of `SPEEDS` gives `preset` and `fit_steps` where
    they are None; `fit_steps` steps for fitting the painter to the video, however long they take;
    `fit` seconds instead, 0 = off; `fit_parts` how many parts of the
    painter may change, 1 … 4, 0 = as the size of the stream allows; `fit_by` the network whose
    features it compares, "vgg" or "small", "" = the former where its weights are found; `device`
    torch's name of where fitting and painting are done; `keyint` frames between keyframes at most,
    since a scene begins with one, 0 = only the first; `low_delay` no B frames and no look-ahead;
    `threads` 0 = all cores. `maxrate` bits a second (av1, not in low delay): quality falls where
    the mean rate so far would exceed it, 0 = no limit.
    `eye` makes av1 decide for the eye instead of PSNR, `preset` is that of SVT-AV1 (av1), 0 slowest
    … 10, or of VVenC (vvc), 0 … 4. `header_q`: the index that the header says instead, by
    which the painter is conditioned: that of a whole video of which this is a chunk. `alloc` how
    bits are shared among windows, frames and scenes, of `gvcodec.gvc1d.allocation.budget.METHODS`;
    "" = what is best in each place. `gop_q`: what is added to the index of each GOP (av1, vvc).
    `tokens`: latent tokens a window of each frame, 1 … 64, "auto" by rate and distortion, "off";
    base "none" then has all of them; `token_rate` how finely they are rounded, 0 … 7, None = as `q`
    says; `search` steps of gradient descent on the tokens of each frame; `model` file of their
    network, "" = the shipped one."""

    q: float = 50
    base_q: float | None = None
    base: str = AUTO
    scale: Fraction | None = None
    fit: float | None = None
    fit_steps: int | None = None
    fit_parts: int = 0
    fit_by: str = ""
    device: str = "cpu"
    keyint: int = 240
    low_delay: bool = False
    threads: int = 0
    maxrate: float = 0
    eye: bool = False
    speed: str = DEFAULT_SPEED
    preset: int | None = None
    header_q: int | None = None
    alloc: str = ""
    gop_q: tuple[float, ...] = ()
    tokens: int | str = "off"
    token_rate: int | None = None
    search: int = 0
    model: str = ""

    @property
    def has_tokens(self) -> bool:
        """Whether frames may have latent tokens."""
        return self.tokens != "off" or self.base == "none"

    @property
    def finest_token_rate(self) -> int:
        """How finely tokens are rounded, 0 … 7; of settled settings."""
        if self.token_rate is not None:
            return self.token_rate
        return round((TOKEN_RATES - 1) * q_of(self.base, self.base_q or 0.0) / Q_END)

    @property
    def fits(self) -> bool:
        """Whether the painter is to be fitted."""
        return self.steps > 0 if self.fit is None else self.fit > 0

    @property
    def steps(self) -> int:
        """Steps of fitting, if `fit` gives no time. Raises `UsageError` for an unknown speed."""
        return self._row.fit_steps if self.fit_steps is None else self.fit_steps

    @property
    def _row(self) -> Speed:
        if self.speed not in SPEEDS:
            raise UsageError(f"speed is {', '.join(SPEEDS)}, not {self.speed}")
        return SPEEDS[self.speed]

    @property
    def coarsest(self) -> float:
        """The largest `base_q` there is."""
        base = base_of("av1" if self.base == AUTO else self.base)
        if base.reduced and self.scale is None:
            return base.coarsest_reduced
        return base.coarsest_full if self.scale == 1 else INDEX_END

    def resolve(self) -> EncoderConfig:
        """The same with a scale and the base layer's index that belongs to it, and with what its
        speed stands for. Raises `UsageError`."""
        if self.base == AUTO:
            return replace(self, base="av1").resolve()
        self._check_tokens()
        name, value, coarsest = "base_q", self.base_q, self.coarsest
        if value is None:
            name, value, coarsest = "q", self.q, q_of(self.base, coarsest)
        if not 0 <= value <= coarsest:
            raise UsageError(f"{name} is 0…{coarsest:g} here, not {value:g}")
        index = index_of(self.base, value) if self.base_q is None else value
        preset = self._row.presets.get(self.base) if self.preset is None else self.preset
        found = replace(self, preset=preset, fit_steps=self.steps)
        if self.scale is not None:
            return replace(found, base_q=index)
        scale = Fraction(1)
        for above, smaller, less in base_of(self.base).reduced:
            if index > above:
                scale, index = smaller, min(INDEX_END, index - less)
                break
        return replace(found, scale=scale, base_q=index)

    def _check_tokens(self) -> None:
        """Raises `UsageError`."""
        number = isinstance(self.tokens, int) and 1 <= self.tokens <= MOST_TOKENS
        if not number and self.tokens not in ("auto", "off"):
            raise UsageError(f"tokens is auto, off or 1…{MOST_TOKENS}, not {self.tokens}")
        if self.token_rate is not None and not 0 <= self.token_rate < TOKEN_RATES:
            raise UsageError(f"token_rate is 0…{TOKEN_RATES - 1}, not {self.token_rate}")
        if self.search < 0:
            raise UsageError("search is 0 or more steps")
        if self.has_tokens and self.low_delay:
            raise UsageError("tokens are found once all is coded, which is not for low delay")
