"""Facts about each base ("base layer") as pure data: wire numbers, scales of quality, limits.

This module imports nothing but errors. A new base is a record here, and the module with its encoder
and decoder (see `gvcodec.base`).

One scale of quality serves all bases: `q`, 0 (best) … `Q_END`; equal `q` gives about equal PSNR-Y.
Up to 63 it is the CRF of SVT-AV1; from there to 66 the CRF goes to 70; beyond, AV1's pictures get
smaller. Each base has a quality index, `base_q`, 0 … `INDEX_END` at full size, which is in a
stream's header and in the painter's condition. The tables `q_map` lead from one to the other.
That of vvc is measured (docs/data/q-scale.csv, by eval/experiments/q_scale.py of commit 0becb8ef):
at each `q` below AV1 codes three training clips (24 frames, 320×180), and the index at which vvc
has the same PSNR-Y is averaged; by it PSNR-Y of a clip is off by 0.55 dB on average up to q 60.
There vvc's index nears its end: at q 63 it is 1.1 dB better.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from gvcodec.errors import UsageError

#: The coarsest `q`, of every base.
Q_END = 67
#: The coarsest index of every base at full size.
INDEX_END = 63
#: Slots for bases in a painter's condition; 0 belonged to a retired base.
SLOTS = 4
#: Other names of bases.
ALIASES = {"none": "gvc1d"}
_Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Standard:
    """Facts of standard bitstreams. `decoder` and `raw` are FFmpeg's names of decoder
    and raw format.

    `is_reordered`: packets come in decode order, `holds_back`: the decoder keeps frames of a GOP
    while it works on the next, `low_delay`: the encoder has a form of it, `can_cap_rate`: it keeps
    a maximum rate, `least_rate`: of frames, that it takes, `layouts`: of decoded samples (AV1
    earlier streams had 10 bits whatever their source had). For files of a given size:

    | field | meaning |
    |---|---|
    | `q_step` | step of the index |
    | `quick_excess` | log of bytes at the fastest preset over those at the full one |
    | `log_lambda_slope` | fall of the log of the bytes for a `log_lambda_offset` of 1 |
    | `log_lambda_offsets` | least, usual and largest offset; beyond, the index moves instead |
    | `largest_log_lambda_offset` | largest offset beyond the coarsest index |

    At equal rate PSNR-Y gains up to 1 % of rate from an offset of -0.5 and loses 2 to 4 % from one
    of 0.5 (AV1, two training clips)."""

    decoder: str
    raw: str
    is_reordered: bool
    holds_back: bool
    low_delay: bool
    can_cap_rate: bool
    least_rate: int
    layouts: tuple[str, ...]
    q_step: float
    quick_excess: float
    log_lambda_slope: float
    log_lambda_offsets: tuple[float, float, float]
    largest_log_lambda_offset: float


@dataclass(frozen=True, slots=True)
class Base:
    """`wire`: the number in stream headers. `encoder`, `decoder`: modules of its functions.
    `bytes_a_pixel` that decoding takes. `slot`: its number in the painter's condition, None = it
    has no painter. `finest`: the least index; `q_map`: (q, index) in rising order, empty = the
    same. `coarsest_full`: the coarsest index at full size. `coarsest_half`: beyond, up to this one,
    pictures have half the size and their index is lower by `half_res_qindex_offset`. `presets`:
    number of presets, `eye`: whether it has settings for the eye, `rates`: (index, bits a pixel) on
    average, where a search for a size begins. `has_model`: its module has `choose_model`."""

    name: str
    wire: int
    encoder: str
    decoder: str
    bytes_a_pixel: int
    slot: int | None = None
    finest: float = 0.0
    q_map: tuple[tuple[float, float], ...] = ()
    coarsest_full: float = INDEX_END
    coarsest_half: float | None = None
    half_res_qindex_offset: float = 0.0
    presets: int = 0
    eye: bool = False
    standard: Standard | None = None
    rates: _Points = ((0, 0.6), (60, 0.012), (69, 0.0035))
    has_model: bool = False


_AV1 = Standard(
    decoder="libdav1d", raw="obu", is_reordered=False, holds_back=False, low_delay=True,
    can_cap_rate=True, least_rate=0, layouts=("yuv420p", "yuv420p10le"),
    q_step=0.25, quick_excess=0.12,
    log_lambda_slope=0.3, log_lambda_offsets=(-0.4, -0.2, 0.0), largest_log_lambda_offset=1.6,
)  # fmt: skip
_VVC = Standard(
    decoder="vvc", raw="vvc", is_reordered=True, holds_back=True, low_delay=False,
    can_cap_rate=False, least_rate=1, layouts=("yuv420p10le",), q_step=7 / 4, quick_excess=0.0,
    log_lambda_slope=0.1, log_lambda_offsets=(-0.6, 0.0, 0.6), largest_log_lambda_offset=1.6,
)  # fmt: skip
#: In the order of their numbers. Bytes a pixel are measured with up to 16 threads (av1 77 at 720p,
#: vvc 118 at 1080p) and rounded up.
_ALL = (
    Base(
        "av1",
        1,
        "gvcodec.base.standard.encoder",
        "gvcodec.base.standard.decoders",
        120,
        slot=1,
        finest=1.0,
        coarsest_full=66.0,
        coarsest_half=67.0,
        half_res_qindex_offset=4.0,
        # Twelve training clips at their size, and six at 416 samples a line with SVT-AV1 4.2.
        rates=(
            *((1, 1.0), (10, 0.35), (20, 0.2), (30, 0.115), (40, 0.07), (46, 0.052), (54, 0.037)),
            *((58, 0.029), (61, 0.021), (63, 0.014), (65, 0.008), (66, 0.0063), (67, 0.0055)),
        ),
        presets=11,
        eye=True,
        standard=_AV1,
    ),
    Base(
        "vvc",
        3,
        "gvcodec.base.standard.encoder",
        "gvcodec.base.standard.decoders",
        140,
        slot=3,
        q_map=(
            *((0, 0), (10, 15), (20, 23.9), (30, 30.3), (40, 37.6), (50, 44.8), (57, 51)),
            *((60, 55.9), (63, 61.5), (Q_END, INDEX_END)),
        ),
        presets=5,
        standard=_VVC,
    ),
    Base(
        "gvc1d",
        7,
        "gvcodec.gvc1d.open",
        "gvcodec.gvc1d.open",
        bytes_a_pixel=420,
        q_map=((0, 0), (Q_END, INDEX_END)),
        has_model=True,
    ),
)
_BASES = {base.name: base for base in _ALL}


def names() -> tuple[str, ...]:
    return tuple(_BASES)


def wires() -> list[int]:
    """Numbers of all bases in headers."""
    return [base.wire for base in _BASES.values()]


def is_reordered(name: str) -> bool:
    """Whether packets of a base come in another order than its frames are shown."""
    standard = base_of(name).standard
    return standard is not None and standard.is_reordered


def base_of_wire(wire: int) -> str:
    """The base of a number in a header."""
    return next(base.name for base in _BASES.values() if base.wire == wire)


def base_of(name: str) -> Base:
    """Raises `UsageError` for one that there is not."""
    if name not in _BASES:
        raise UsageError(
            f"unknown base codec {' '.join(name.split())}; there are {', '.join(_BASES)}",
            code="base-unknown",
        )
    return _BASES[name]


def standard_of(name: str) -> Standard:
    """Raises `UsageError` for a base that is no standard bitstream."""
    standard = base_of(name).standard
    if standard is None:
        raise UsageError(f"base {name} is not a standard bitstream", code="base-feature")
    return standard


def index_of(name: str, q: float) -> float:
    """The index of a base that means `q`."""
    points = base_of(name).q_map
    return _interpolate(points, q) if points else q


def q_of(name: str, index: float) -> float:
    """The `q` that means an index of a base."""
    points = base_of(name).q_map
    return _interpolate([(i, q) for q, i in points], index) if points else index


def _interpolate(points: _Points, x: float) -> float:
    right = min(max(bisect.bisect_right(points, x, key=lambda p: p[0]), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
