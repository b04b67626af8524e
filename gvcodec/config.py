"""Encoder settings: one class, since users see one list of options, and the settings resolved for a
base layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import ClassVar

from gvcodec.bases import ALIASES, INDEX_END, Q_END, base_of, index_of, names, q_of
from gvcodec.errors import UsageError
from gvcodec.option_rules import METHODS, TOKENS, check_rules
from gvcodec.util.deprecation import renamed_attributes, warn_caller
from gvcodec.util.options import (
    add_option_docs,
    amount,
    check_fields,
    fit_steps_type,
    integer,
    option,
    parse_bounded,
    parse_with,
    quality,
    scale,
)
from gvcodec.zones import ZONES, parse_zones


@dataclass(frozen=True, slots=True)
class Speed:
    """A row of `SPEEDS`: presets by base, for pictures of at most `SIZES` luma samples and for
    larger ones, and how tokens are found, by base."""

    presets: Mapping[str, tuple[int, int, int]]
    tokens: Mapping[str, str] = field(default_factory=dict)


#: Versions that a file may be held to (`gvcodec.bitstream.header.FORMAT_PROFILES`).
FORMATS = ("1.0",)
#: Presets and tokens of --speed (docs/usage.md). `balanced` codes in about 1.5 of the
#: processor time of SVT-AV1 4.2's plain preset 4 at all sizes.
SPEEDS = {
    "fast": Speed({"av1": (5, 5, 6), "vvc": (4, 4, 4)}),
    "balanced": Speed({"av1": (4, 4, 4), "vvc": (2, 2, 2)}),
    "best": Speed({"av1": (0, 2, 2), "vvc": (1, 1, 1)}, {"av1": "search"}),
}
SIZES = (640 * 360, 864 * 480)
#: Most luma samples of a bundled frame: its payload stays below 16 MiB, the limit of a bundle.
_MOST_BUNDLED = 1 << 23
DEFAULT_SPEED = "balanced"
#: Libraries count threads in small integers, and hardly any machine has more.
MOST_THREADS = 1024


def _by_speed(value: Callable[[Speed], int | str]) -> str:
    """Defaults of an option that follows from the speed."""
    return ", ".join(f"{name} {value(row)}" for name, row in SPEEDS.items())


def check_zones(text: str) -> str:
    """The same text. Raises `ValueError`."""
    parse_zones(text)
    return text


_AV1_PRESETS = _by_speed(lambda row: "/".join(map(str, row.presets["av1"])))
_VVC_PRESETS = _by_speed(lambda row: row.presets["vvc"][0])


#: Why --fit N and --fit-by are accepted, until version 1.3, and do nothing.
NO_FITTING = "--fit N and --fit-by have no effect: the painter is not fitted any more"


@renamed_attributes(
    fits="uses_fitting",
    steadies="chooses_strengths",
    steers="uses_tokens",
    shares_scenes="allocates_by_scene",
    coarsest="max_base_q",
    steps="fit_step_count",
    bundles="uses_bundles",
)
@add_option_docs
@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """How to encode. `base_q` goes before `q`; `fit` 0: no strength by GOP (`chooses_strengths`);
    None in `preset` and `scale`: as speed and `q` say. `maxrate` 0 =
    no limit. `header_q`: the index that the header says instead, by which the painter is
    conditioned: that of a whole video of which this is a chunk. `gop_q`: offsets of the index
    of each GOP (av1, vvc). `zone_start`: when, on the clock of the zones, timestamps begin."""

    q: float = option(
        50,
        quality(Q_END),
        "N",
        flags="-q",
        group="rate",
        help=f"quality, 0 best … {Q_END}; above 66 av1 codes smaller pictures (50)",
    )
    base_q: float | None = option(
        None, quality(255), "N", group="rate", help="quality by the base layer's own index, 0 best"
    )
    maxrate: float = option(
        0,
        amount,
        "BITS",
        help="with -q: cap on the bitrate (av1: capped CRF, one thread, not with --low-delay); the "
        "first second of complex video may exceed it by 50 %",
    )
    base: str = option(
        "av1", choices=(*names(), *ALIASES), help="base codec; none is another name of gvc1d (av1)"
    )
    scale: Fraction | None = option(
        None,
        scale,
        "1|3/4|1/2",
        flags="--base-scale",
        help="size of the coded pictures (1; smaller if the rate needs it)",
    )
    speed: str = option(
        DEFAULT_SPEED,
        choices=tuple(SPEEDS),
        help=f"encoder preset and tokens ({DEFAULT_SPEED})",
    )
    fit: int | None = option(
        None,
        fit_steps_type,
        "off",
        help="off: one painting strength for all GOPs, so that packets need not wait (deprecated: "
        "a number of fitting steps, which has no effect)",
    )
    painter: str = option(
        "on", choices=("on", "off"), help="off: no painter, decoders show base frames (on)"
    )
    look: int = option(
        50,
        integer(0, 100),
        "0…100",
        help="painting strength, 0 = base frames; others than 0 and 50 need format 1.1 (50)",
    )
    fit_by: str = option(
        "",
        choices=("vgg", "small"),
        help="deprecated, no effect: the painter is not fitted any more",
    )
    model: str = option("", None, "FILE", help="model of base gvc1d (the shipped one)")
    device: str = option(
        "cpu",
        None,
        "NAME",
        help="device of token searches: cpu, cuda, cuda:1 (cpu)",
    )
    keyint: int = option(
        240,
        integer(0),
        "N",
        help="longest GOP in frames, shorter at scene cuts; 0 = one keyframe (240)",
    )
    low_delay: bool = option(
        False, help="no B-frames and no look-ahead: every packet is written with its frame"
    )
    preset: int | None = option(
        None,
        integer(0, 10),
        "N",
        help=f"preset of SVT-AV1 (av1): 0 slowest … 10 fastest ({_AV1_PRESETS}: up to 640×360, "
        f"864×480, above); of VVenC (vvc): 0 … 4 ({_VVC_PRESETS})",
    )
    eye: bool = option(
        False,
        help="av1 keeps more texture: 2 % fewer bytes at equal LPIPS, 1 % more at equal PSNR, "
        "more flicker",
    )
    encoder_params: str = option(
        "",
        None,
        "K=V:…",
        help="options of SVT-AV1 (av1) or VVenC (vvc), such as tune=0:sharpness=2; unknown "
        "ones and those that break exactness are refused",
    )
    zones: str = option(
        "",
        parse_with(check_zones, f"not {ZONES}"),
        "T-T:q=N;…",
        help="quality by interval (av1, vvc): relative (0:10-0:20:q=+8, coarser by 8), absolute "
        "(q=40) or a target (lpips=.1, encoded separately first)",
    )
    alloc: str = option(
        "",
        group="whole",
        choices=METHODS,
        help="av1, vvc: bit allocation to scenes, after a trial of the whole video; gvc1d: token "
        "budgets of windows (uniform)",
    )
    token_share: float = option(
        1.0,
        parse_bounded(1.0),
        "SHARE",
        help="gvc1d: largest mean share of tokens sent, above 0 to 1 (1)",
    )
    embed_model: bool = option(False, help="embed the painter and the base's model, for archives")
    tokens: str = option(
        "",
        choices=TOKENS,
        help="tokens per region that steer the painter (av1, vvc); on: from an encoder network; "
        "search: also by gradient, which needs torch and takes a minute per GOP (search with "
        "--speed best and base av1, but not with --fit off; else off)",
    )
    file_format: str = option(
        "",
        flags="--format",
        choices=FORMATS,
        help="write only what every release since this format decodes identically; refuses newer "
        "features and bases outside the compatibility promise (any)",
    )
    threads: int = option(
        0, integer(0, MOST_THREADS), "N", group="threads", help="threads, 0 = all cores (0)"
    )
    header_q: int | None = None
    gop_q: tuple[float, ...] = ()
    zone_start: float = 0.0
    #: Answers to attributes of 1.0: nothing is fitted any more.
    uses_fitting: ClassVar[bool] = False
    fit_step_count: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "base", ALIASES.get(self.base, self.base))
        if self.fit or self.fit_by:
            warn_caller(NO_FITTING)
            object.__setattr__(self, "fit", None if self.fit else self.fit)
            object.__setattr__(self, "fit_by", "")

    def uses_bundles(self, samples: int) -> bool:
        """Whether frames of `samples` luma samples are written in bundles."""
        return self.base == "av1" and not self.low_delay and samples <= _MOST_BUNDLED

    @property
    def chooses_strengths(self) -> bool:
        """Whether each GOP is to be painted no more strongly than it can be without flickering, for
        which packets wait: by default, except for low delay."""
        return self.fit is None and not self.low_delay

    @property
    def allocates_by_scene(self) -> bool:
        """Whether scenes get separate qualities (`gvcodec.rate.scenes`). Raises `UsageError`
        where nothing can wait for a trial, or something else moves quality."""
        if self.alloc not in METHODS[1:] or base_of(self.base).standard is None:
            return False
        if self.low_delay or self.maxrate:
            raise UsageError(
                f"--alloc {self.alloc} analyses the whole video first: it cannot be combined with "
                "--low-delay or --maxrate",
                code="option-conflict",
            )
        return True

    @property
    def uses_tokens(self) -> bool:
        """Whether tokens steer the painter."""
        return self.token_mode != "off" and self.painter == "on" and self.look > 0

    @property
    def token_mode(self) -> str:
        """How tokens are found, of `TOKENS`: by default as the speed says, but not if packets
        cannot wait for them, nothing is painted, or the file is held to a format without them."""
        if self.tokens:
            return self.tokens
        can_wait = self.fit is None and not self.low_delay and not self.file_format
        is_painted = self.painter == "on" and self.look > 0
        return self._row.tokens.get(self.base, "off") if can_wait and is_painted else "off"

    @property
    def _row(self) -> Speed:
        return SPEEDS[self.speed]

    def preset_of(self, samples: int) -> int | None:
        """Preset for pictures of `samples` luma samples, None if the base has none."""
        if self.preset is not None:
            return self.preset
        presets = self._row.presets.get(self.base)
        return None if presets is None else presets[sum(samples > most for most in SIZES)]

    @property
    def max_base_q(self) -> float:
        """The largest `base_q` there is."""
        base = base_of(self.base)
        if base.coarsest_half is not None and self.scale is None:
            return base.coarsest_half
        return base.coarsest_full if self.scale == 1 else INDEX_END

    def resolve(self) -> ResolvedConfig:
        """The settings with `scale` and the base layer's index for it filled in. Raises
        `UsageError`."""
        if self.speed not in SPEEDS:
            raise UsageError(f"speed is {', '.join(SPEEDS)}, not {self.speed}", code="option-value")
        name, value, limit = "base_q", self.base_q, self.max_base_q
        if value is None:
            name, value, limit = "q", self.q, q_of(self.base, limit)
        if not 0 <= value <= limit:
            raise UsageError(f"{name} is 0…{limit:g} here, not {value:g}", code="option-value")
        index = index_of(self.base, value) if self.base_q is None else value
        base, scale = base_of(self.base), Fraction(1) if self.scale is None else self.scale
        if self.scale is None and index > base.coarsest_full:
            scale, index = Fraction(1, 2), min(INDEX_END, index - base.half_res_qindex_offset)
        resolved = {"scale": scale, "base_q": index, "tokens": self.token_mode}
        return ResolvedConfig(**{f.name: getattr(self, f.name) for f in fields(self)} | resolved)


@dataclass(frozen=True, slots=True)
class ResolvedConfig(EncoderConfig):
    """Settings that hold: with a base, a scale, and the base's index at it."""

    scale: Fraction = Fraction(1)
    base_q: float = 0.0

    def check(self) -> None:
        """Raises `UsageError` for settings that cannot be encoded."""
        check_rules(self)
