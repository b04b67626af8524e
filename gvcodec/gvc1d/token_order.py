"""The order of a window's integers, from coarse to fine, and what is known before each of them.

A window is 256×256 luma samples, 16×16 regions. The transform (`gvcodec.gvc1d.transform`) gives
each region 256 luma and 2 × 64 chroma coefficients. Means go through two 4×4 cosine transforms
more: over the 4×4 regions of a block of 64×64 samples, then over the 4×4 blocks of the window.

    integers        what                                        tokens of 16
    0   … 47        16 patterns of the whole window, Y U V           3
    48  … 767       15 patterns of each block, Y U V                45
    768 …           planes: one coefficient of all 256 regions      16 each

So a prefix is a coarser picture. `Coarse tokens` are the first 48; a plane is 16 fine tokens, each
for the 4 × 4 regions of a block. A window's level says how long its prefix is: 0 nothing, 1 the
first 3 tokens, 2 all coarse ones, 2 + n also n planes.

Contexts are integers alone, so that every machine finds the same probabilities: values before in
the window (`back_of`), and activations known before the frame (`Sides`).
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy import streams

WINDOW, REGION = 256, 16
#: Regions along a window, and in it.
SIDE = WINDOW // REGION
REGIONS = SIDE**2
#: Coefficients of a region: luma, and each chroma plane.
LUMA, CHROMA = REGION**2, (REGION // 2) ** 2
#: Integers of the first two levels.
FIRST, COARSE = 48, 768
#: Quality steps by which an intra frame is finer: later frames are predicted from it.
FIRST_FINER = 10
#: A chroma frequency has the place in the order of a luma frequency this much higher.
_CHROMA_LATER = 2.5


def planes_of(q: float) -> int:
    """Planes that a quality may need."""
    return max(16, min(160, round(160 * 2 ** ((20 - q) / 18))))


class PlaneAt(NamedTuple):
    """Component (0 Y, 1 U, 2 V) and frequencies down and along."""

    component: int
    u: int
    v: int

    @property
    def row(self) -> int:
        """Among the 384 coefficients of a region."""
        if self.component == 0:
            return self.u * REGION + self.v
        return LUMA + (self.component - 1) * CHROMA + self.u * (REGION // 2) + self.v


def _zigzag(side: int) -> list[tuple[int, int]]:
    pairs = [(u, v) for u in range(side) for v in range(side)]
    return sorted(pairs, key=lambda p: (p[0] ** 2 + p[1] ** 2, p))


#: Frequencies of a 4×4 transform, low to high.
ZIGZAG = tuple(_zigzag(4))


def _order() -> tuple[PlaneAt, ...]:
    keyed = []
    for component in range(3):
        side = REGION if component == 0 else REGION // 2
        later = 0.0 if component == 0 else _CHROMA_LATER
        for u, v in _zigzag(side)[1:]:
            keyed.append((math.hypot(u, v) + later, component, u, v))
    return tuple(PlaneAt(c, u, v) for _, c, u, v in sorted(keyed))


#: Planes of the third level, coarse to fine: 255 of luma and 63 of each chroma plane.
PLANES = _order()
MAX_STYLE_OFFSET = 2 + len(PLANES)
_PLACE = {plane: n for n, plane in enumerate(PLANES)}


def length_of(level: int) -> int:
    """Integers of a window at this level."""
    return (0, FIRST, COARSE)[level] if level <= 2 else COARSE + (level - 2) * REGIONS


# ── What a network sees of the values before: places in the window's sequence, -1 = none. ──


class _Seen(NamedTuple):
    """`values` (N, 13): single values before; `spans` (N, 8, 2): first and last of each span."""

    values: NDArray[np.int32]
    spans: NDArray[np.int32]


VALUES, SPANS = 13, 8
BACK = VALUES + SPANS


@cache
def seen_of(level: int) -> _Seen:
    """Of each value of a window of this level."""
    count = length_of(level)
    values = np.full((count, VALUES), -1, np.int32)
    spans = np.full((count, SPANS, 2), -1, np.int32)
    _see_first(values, spans)
    if count > FIRST:
        _see_blocks(values, spans)
    for n in range(max(0, level - 2)):
        _see_plane(n, values, spans)
    at = np.arange(count)
    for k, long in ((6, 12), (7, 64)):
        spans[:, k] = np.stack([np.maximum(at - long, 0), at - 1], 1)
        spans[at == 0, k] = -1
    return _Seen(values, spans)


def _see_first(values: NDArray[np.int32], spans: NDArray[np.int32]) -> None:
    for n in range(min(FIRST, len(values))):
        before = [n - k if n >= k else -1 for k in (1, 2, 3, 6, 9)]
        values[n, : len(before)] = before


def _see_blocks(values: NDArray[np.int32], spans: NDArray[np.int32]) -> None:
    pattern = {f: i for i, f in enumerate(ZIGZAG[1:])}
    for i, (u, v) in enumerate(ZIGZAG[1:]):
        for component in range(3):
            start = FIRST + (i * 3 + component) * 16
            for block in range(16):
                r, c = divmod(block, 4)
                n = start + block
                near = [(r, c - 1), (r - 1, c), (r - 1, c + 1), (r - 1, c - 1)]
                values[n, :4] = [
                    start + a * 4 + b if a >= 0 and 0 <= b < 4 else -1 for a, b in near
                ]
                lower = [(u - 1, v), (u, v - 1), (u - 1, v - 1), (u - 2, v), (u, v - 2)]
                values[n, 4:9] = [
                    FIRST + (pattern[f] * 3 + component) * 16 + block if f in pattern else -1
                    for f in lower
                ]
                values[n, 9] = n - 16 if component else -1
                spans[n, 0] = (start - 16, start - 1)
                spans[n, 1] = (max(FIRST, start - 48), start - 1) if i else -1
                spans[n, 2] = (start, n - 1) if block else -1


def _see_plane(number: int, values: NDArray[np.int32], spans: NDArray[np.int32]) -> None:
    component, u, v = PLANES[number]
    start = COARSE + number * REGIONS
    r, c = np.divmod(np.arange(REGIONS, dtype=np.int32), SIDE)
    rows = slice(start, start + REGIONS)

    def place(first: int, a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int32]:
        inside = (a >= 0) & (a < SIDE) & (b >= 0) & (b < SIDE)
        return np.where(inside, first + a * SIDE + b, -1)

    def start_of(k: int, du: int, dv: int) -> int | None:
        found = _PLACE.get(PlaneAt(k, u - du, v - dv))
        return COARSE + found * REGIONS if found is not None and found < number else None

    near = [(0, -1), (-1, 0), (-1, 1), (-1, -1), (0, -2), (-2, 0)]
    for k, (a, b) in enumerate(near):
        values[rows, k] = place(start, r + a, c + b)
    lower = [
        (component, 1, 0),
        (component, 0, 1),
        (component, 1, 1),
        (component, 2, 0),
        (component, 0, 2),
    ]
    parents = [start_of(*one) for one in lower]
    for k, parent in enumerate(parents):
        if parent is not None:
            values[rows, 6 + k] = place(parent, r, c)
    other = start_of(0, 0, 0) if component else None
    if other is not None:
        values[rows, 11] = place(other, r, c)
    other = start_of(1, 0, 0) if component == 2 else None
    if other is not None:
        values[rows, 12] = place(other, r, c)
    low, high = np.maximum(c - 1, 0), np.minimum(c + 1, SIDE - 1)
    before = start - REGIONS if number else None
    spanned = [p for p in (parents[0], parents[1], before) if p is not None][:2]
    for k, first in enumerate(spanned):
        for j, below in enumerate((0, 1, -1)):
            row = r + below
            within = (row >= 0) & (row < SIDE)
            pair = np.stack([first + row * SIDE + low, first + row * SIDE + high], 1)
            spans[rows, 3 * k + j] = np.where(within[:, None], pair, -1)


@cache
def back_of(level: int) -> NDArray[np.int32]:
    """Entries `back` of the stream coder (N, BACK) for a window's values, wherever it begins."""
    seen = seen_of(level)
    at = np.arange(len(seen.values), dtype=np.int32)[:, None]
    values = np.where(seen.values >= 0, at - seen.values, 0)
    first, last = seen.spans[..., 0], seen.spans[..., 1]
    known = (first >= 0) & (last >= first)
    far = np.where(known, at - first, 0)
    spans = streams.span(far, np.where(known, last - first + 1, 0))
    # An impossible span (longer than far) counts as silence; 0 would be an absent value.
    return np.concatenate([values, np.where(known, spans, -1).astype(np.int32)], 1)


# ── What is known of each value before the frame. ──

#: Activations: component and level, frequencies, quality; whether anything is predicted; then of
#: the same place in frames before (value, running magnitude), of the prediction (its coefficient's
#: magnitude, how much its block moves against its neighbours).
FIXED, CHANGING = 10, 5
SIDES = FIXED + CHANGING


@cache
def fixed_sides(level: int) -> NDArray[np.uint8]:
    """Activations (N, FIXED - 2) that never change."""
    count = length_of(level)
    found = np.zeros((count, FIXED - 2), np.uint8)
    at = np.arange(count)
    kind = np.where(at < FIRST, 0, np.where(at < COARSE, 1, 2))
    component = np.where(at < FIRST, at % 3, (at - FIRST) // 16 % 3)
    u, v = (np.zeros(count, np.int64) for _ in range(2))
    for n, (down, along) in enumerate(ZIGZAG):
        of_first = (kind == 0) & (at // 3 == n)
        of_block = (kind == 1) & ((at - FIRST) // 48 == n - 1)
        u[of_first | of_block], v[of_first | of_block] = 10 * down, 10 * along
    for n in range(max(0, level - 2)):
        rows = slice(COARSE + n * REGIONS, COARSE + (n + 1) * REGIONS)
        component[rows] = PLANES[n].component
        u[rows], v[rows] = 8 * PLANES[n].u, 8 * PLANES[n].v
    for k in range(3):
        found[:, k] = 127 * (component == k)
    found[:, 3], found[:, 4] = 127 * (kind == 0), 127 * (kind == 1)
    found[:, 5], found[:, 6] = u, v
    found[:, 7] = np.minimum(127, np.hypot(u, v))
    return found


def log_activation(magnitude: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Of a magnitude ≥ 0 in 1/32: eight steps an octave of it plus one, as `span_activation` of the
    core."""
    n = np.minimum(magnitude, (1 << 15) - 2) + 1
    octave = np.frexp(n.astype(np.float64))[1] - 1
    found = 8 * octave + ((n << 3 >> octave) & 7)
    return np.where(magnitude > 0, np.minimum(found, 127), 0).astype(np.uint8)
