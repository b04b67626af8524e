"""One record for each structure layer ("base"): everything about it that other modules ask for.

Encoders and decoders are named as "module:function" and imported on first use; this module imports
nothing but errors. A new base is a record here and the module with its encoder and decoder;
`register` adds one from outside.

One scale of quality serves all bases: equal `q` gives about equal PSNR-Y. It is that of AV1, the
CRF of SVT-AV1, 0 (best) … 63, going on to 67 where AV1's picture gets smaller. Every other base has
an index of its own, 0 … 63, which is what a stream's header holds and what renderers are
conditioned on. The tables `q_map` are measured (`python -m eval quality`): at each `q` below AV1
codes six training clips (24 frames, 416×240), and the index at which the base has the same PSNR-Y
is averaged. By them PSNR-Y is off by 0.6 (klt), 0.5 (hevc) and 1.1 dB (vvc) on average over clips
and q; taken as an index, q was off by 4.2, 3.4 and 1.8. Beyond 63 they lead to the base's coarsest
index. `tokens` keeps its own, which goes on to 69.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

from gvcodec.errors import UsageError

#: The largest index of a base at full size, and the largest q of those with a `q_map`.
COARSEST, _COARSEST_Q = 63.0, 67.0
_Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Standard:
    """What is so of standard bitstreams alone. `strip` and `restore` turn access units into
    payloads and back, `check` refuses payloads that claim more than one picture of the size;
    `decoder` and `raw` are FFmpeg's names of decoder and raw format.

    `reordered`: packets come in decode order, `key_first`: the keyframe is the first of its GOP in
    display order too, `holds_back`: the decoder keeps frames of a GOP while it works on the next,
    `low_delay`: the encoder has a form of it. For files of a given size: `grain`, the steps of the
    index (0 = none), `trials`, `quick_excess`, the natural log of the frames' bytes at the full
    preset over those at the fast one (mean of training clips), `trim_slope`, the fall of log rate
    by a `trim` of 1, and `trims`, the least, the usual and the most. For more, up to twice as much,
    quality moves instead. At equal rate PSNR-Y gains up to a per cent of rate from a trim of -0.5
    and loses two to four from one of 0.5 (AV1, two training clips)."""

    decoder: str
    raw: str
    strip: str
    restore: str
    reordered: bool
    key_first: bool
    holds_back: bool
    low_delay: bool
    grain: float
    trials: int
    quick_excess: float
    trim_slope: float
    trims: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Base:
    """`wire`: the number in stream headers. `encoder` takes (format, settled `EncoderConfig`) and
    gives a `StructureEncoder`, `decoder` (header, threads, low_delay, model or None) and gives a
    `StructureDecoder`; `model` gives the path of the model to encode with, which streams then name,
    "" = there is none. `size` finds the file of a given size (`Search` to `Fitted`).

    `slot`: its number in the renderer's condition, which bases may share, None = no renderer has
    learned its pictures. `bytes_a_pixel` that decoding takes, `torch`: it is decoded by torch.
    `finest`: the least index; `q_map`: (q, index) in rising order, empty = the same. `reduced`:
    (index above which, scale, how much lower the index is there), coarsest first, which go as far
    as `coarsest_reduced`. `scales`: there are reduced sizes, `presets`: so many, `eye`, `steered`
    (maxrate): there are these settings."""

    name: str
    wire: int
    encoder: str
    decoder: str
    size: str
    bytes_a_pixel: int
    model: str = ""
    slot: int | None = None
    torch: bool = False
    finest: float = 0.0
    q_map: tuple[tuple[float, float], ...] = ()
    reduced: tuple[tuple[float, Fraction, float], ...] = ()
    coarsest_reduced: float = COARSEST
    scales: bool = False
    presets: int = 0
    eye: bool = False
    steered: bool = False
    standard: Standard | None = None


_UNITS, _STANDARD = "gvcodec.structure.standard.payloads", "gvcodec.structure.standard.codec"
_FITTED = "gvcodec.rate.size_standard:encode_standard"
#: In the order of their numbers. Bytes a pixel are measured at 720p with up to 16 threads (klt 25,
#: av1 77, hevc 36; at 1080p 118 for vvc) and rounded up, for hevc to the 16 reference frames that a
#: stream may ask for.
_BASES: dict[str, Base] = {}
for _base in (
    Base(
        "klt",
        0,
        "gvcodec.allocation.klt:klt_encoder",
        "gvcodec.structure.klt.codec:open_decoder",
        "gvcodec.rate.size_klt:encode_klt",
        40,
        "gvcodec.structure.klt.codec:model_path",
        slot=0,
        q_map=(
            (0, 0),
            (10, 7.9),
            (20, 14.3),
            (30, 19.5),
            (40, 25.7),
            (50, 31.7),
            (57, 36.8),
            (63, 47.6),
            (67, 63),
        ),
        steered=True,
    ),
    Base(
        "av1",
        1,
        f"{_STANDARD}:open_encoder_of",
        f"{_STANDARD}:open_decoder_of",
        _FITTED,
        120,
        slot=1,
        finest=1.0,
        # x265 crashes or hangs on pictures as small as these may be.
        reduced=((64.5, Fraction(1, 2), 3.75), (63.0, Fraction(3, 4), 1.5)),
        coarsest_reduced=67.0,
        scales=True,
        presets=11,
        eye=True,
        standard=Standard(
            decoder="libdav1d",
            raw="obu",
            strip=f"{_UNITS}:strip_av1",
            restore=f"{_UNITS}:restore_av1",
            reordered=False,
            key_first=True,
            holds_back=False,
            low_delay=True,
            grain=0.25,
            trials=6,
            quick_excess=-0.15,
            trim_slope=0.33,
            trims=(-0.6, -0.2, 0.2),
        ),
    ),
    Base(
        "hevc",
        2,
        f"{_STANDARD}:open_encoder_of",
        f"{_STANDARD}:open_decoder_of",
        _FITTED,
        120,
        slot=2,
        q_map=(
            (0, 0),
            (10, 14.4),
            (20, 21),
            (30, 25.7),
            (40, 30.8),
            (50, 35.7),
            (57, 39.9),
            (63, 48.9),
            (67, 63),
        ),
        scales=True,
        standard=Standard(
            decoder="hevc",
            raw="hevc",
            strip=f"{_UNITS}:strip_hevc",
            restore=f"{_UNITS}:restore_hevc",
            reordered=True,
            key_first=True,
            holds_back=False,
            low_delay=True,
            grain=0.0,
            trials=3,
            quick_excess=0.06,
            trim_slope=0.55,
            trims=(-0.04, 0.0, 0.04),
        ),
    ),
    Base(
        "vvc",
        3,
        f"{_STANDARD}:open_encoder_of",
        f"{_STANDARD}:open_decoder_of",
        _FITTED,
        140,
        slot=3,
        q_map=(
            (0, 0),
            (10, 10.3),
            (20, 18.4),
            (30, 25.4),
            (40, 34),
            (50, 41.2),
            (57, 47.6),
            (63, 59.7),
            (67, 63),
        ),
        scales=True,
        presets=5,
        standard=Standard(
            decoder="vvc",
            raw="vvc",
            strip=f"{_UNITS}:strip_vvc",
            restore=f"{_UNITS}:restore_vvc",
            reordered=True,
            key_first=False,
            holds_back=True,
            low_delay=False,
            grain=7 / 4,
            trials=4,
            quick_excess=0.0,
            trim_slope=0.1,
            trims=(-0.6, 0.0, 0.6),
        ),
    ),
    Base(
        "tokens",
        4,
        "gvcodec.structure.tokens.codec:open_encoder",
        "gvcodec.structure.tokens.codec:open_decoder",
        "gvcodec.rate.size_tokens:encode_tokens",
        260,
        "gvcodec.structure.tokens.checkpoint:find_tokens",
        slot=1,  # painted like av1, which codes its keyframes
        # Where the next size, on two clips of 352×288, takes no more bytes than the last did.
        reduced=((66.0, Fraction(1, 2), 6.0), (63.0, Fraction(3, 4), 3.0)),
        coarsest_reduced=69.0,
        scales=True,
    ),
):
    _BASES[_base.name] = _base


def register(base: Base) -> None:
    """Make a base known. Raises `ValueError` for a name or a number that is taken."""
    if base.name in _BASES or any(base.wire == other.wire for other in _BASES.values()):
        raise ValueError(f"there is a base {base.name} or number {base.wire} already")
    _BASES[base.name] = base


def forget(name: str) -> None:
    """The opposite of `register`."""
    del _BASES[name]


def names() -> tuple[str, ...]:
    """All bases by their numbers."""
    return tuple(_BASES)


def reordered(name: str) -> bool:
    """Whether packets of a base come in another order than its frames are shown."""
    standard = base_of(name).standard
    return standard is not None and standard.reordered


def painted() -> tuple[str, ...]:
    """Those that renderers know, by their slots; of several in one slot the first."""
    first: dict[int, str] = {}
    for base in _BASES.values():
        if base.slot is not None:
            first.setdefault(base.slot, base.name)
    return tuple(first[slot] for slot in sorted(first))


def named(wire: int) -> str | None:
    """The base of a number, None where there is none."""
    return next((base.name for base in _BASES.values() if base.wire == wire), None)


def base_of(name: str) -> Base:
    """Raises `UsageError` for one that there is not."""
    if name not in _BASES:
        raise UsageError(f"structure layer {name} is unknown; there are {', '.join(_BASES)}")
    return _BASES[name]


def standard_of(name: str) -> Standard:
    """Raises `UsageError` for a base that is no standard bitstream."""
    found = base_of(name).standard
    if found is None:
        raise UsageError(f"no {name} structure layer here: that is no standard bitstream")
    return found


def loaded(place: str) -> Callable[..., Any]:
    """What stands at "module:function"."""
    module, _, function = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def coarsest_q(name: str, index: float) -> float:
    """The q that means the largest `index` of a base."""
    return _COARSEST_Q if base_of(name).q_map else index


def index_of(name: str, q: float) -> float:
    """The index of a base that means `q`."""
    points = base_of(name).q_map
    return _follow(points, q) if points else q


def q_of(name: str, index: float) -> float:
    """The `q` that means an index of a base."""
    points = base_of(name).q_map
    return _follow([(i, q) for q, i in points], index) if points else index


def _follow(points: _Points, x: float) -> float:
    right = min(max(bisect.bisect_right(points, x, key=lambda p: p[0]), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
