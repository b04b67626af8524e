"""The transform of base gvc1d, and where its values lie (GVC1D: Values, Transform)."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from conformance.decoder.bases import Planes
from conformance.decoder.entropy import TABLES
from conformance.decoder.networks import NO_SPAN, span

Array = np.ndarray
GREY, LONGEST = 512, 768 + 256 * 381
MEASURED_PLANES = 120


@cache
def table(name: str) -> Array:
    return np.array(json.loads((TABLES / "gvc1d.json").read_text())[name])


@cache
def plane_numbers() -> dict[tuple[int, int, int], int]:
    return {tuple(plane): p for p, plane in enumerate(table("planes").tolist())}


@cache
def pattern_numbers() -> dict[tuple[int, int], int]:
    return {tuple(uv): i for i, uv in enumerate(table("frequencies").tolist()) if i}


def halved(a: Array, n: int) -> Array:
    return (a + (1 << n - 1)) >> n


def length(level: int) -> int:
    return (0, 48, 768)[level] if level < 3 else 768 + 256 * (level - 2)


# Entries


@cache
def entries(n: int) -> list[int]:
    """Of value n of a window (Values)."""
    single: list[int | None] = [None] * 13
    spans: list[tuple[int, int] | None] = [None] * 8
    if n < 48:
        single[:5] = [n - back if n >= back else None for back in (1, 2, 3, 6, 9)]
    elif n < 768:
        _of_pattern(n, single, spans)
    else:
        _of_plane(n, single, spans)
    for i, most in ((6, 12), (7, 64)):
        spans[i] = (n - min(most, n), n - 1) if n else None
    found = [0 if one is None else n - one for one in single]
    for one in spans:
        found.append(NO_SPAN if one is None else span(n - one[0], one[1] - one[0] + 1))
    return found


def _neighbours(first: int, r: int, c: int, side: int) -> list[int | None]:
    places = ((r, c - 1), (r - 1, c), (r - 1, c + 1), (r - 1, c - 1), (r, c - 2), (r - 2, c))
    return [first + side * y + x if 0 <= y < side and 0 <= x < side else None for y, x in places]


def _of_pattern(n: int, single: list, spans: list) -> None:
    (group, j), patterns = divmod(n - 48, 16), pattern_numbers()
    i, k = group // 3 + 1, group % 3
    first = n - j
    single[:4] = _neighbours(first, j // 4, j % 4, 4)[:4]
    u, v = table("frequencies")[i].tolist()
    for e, (du, dv) in enumerate(((1, 0), (0, 1), (1, 1), (2, 0), (0, 2)), 4):
        other = patterns.get((u - du, v - dv), i)
        single[e] = 48 + (3 * (other - 1) + k) * 16 + j if other < i else None
    single[9] = n - 16 if k else None
    spans[0] = first - 16, first - 1
    spans[1] = (max(48, first - 48), first - 1) if i > 1 else None
    spans[2] = (first, n - 1) if j else None


def _of_plane(n: int, single: list, spans: list) -> None:
    p, region = divmod(n - 768, 256)
    r, c = divmod(region, 16)
    k, u, v = table("planes")[p].tolist()

    def plane(*which: int) -> int | None:
        other = plane_numbers().get(which, p)
        return 768 + 256 * other if other < p else None

    single[:6] = _neighbours(n - region, r, c, 16)
    others = [plane(k, u - du, v - dv) for du, dv in ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2))]
    others += [plane(0, u, v) if k else None, plane(1, u, v) if k == 2 else None]
    single[6:13] = [None if other is None else other + region for other in others]
    before = n - region - 256 if p else None
    rows = [other for other in (others[0], others[1], before) if other is not None][:2]
    for i, other in enumerate(rows):
        for e, row in enumerate((r, r + 1, r - 1), 3 * i):
            if 0 <= row < 16:
                at = other + 16 * row
                spans[e] = at + max(c - 1, 0), at + min(c + 1, 15)


# Transform


class Transform:
    def __init__(self, tensors: dict[str, Array]) -> None:
        self.factors = tensors["transform.factors"].astype(np.int64)
        self.tables = {
            (way, luma): tensors[f"transform.{way}_{'y' if luma else 'uv'}"].astype(np.int64)
            for way in ("analysis", "synthesis")
            for luma in (True, False)
        }
        k, u, v = table("planes").T
        self.places = np.where(k == 0, 16, 8) * u + v
        self.component = k
        self.order = k.tolist(), self.places.tolist()

    def steps(self, q: int) -> Array:
        """[387]"""
        return (table("steps")[q] * self.factors + (1 << 11)) >> 12

    def per_value(self, q: int) -> Array:
        """Step of each value of a window."""
        steps = self.steps(q)
        blocks = np.tile(np.arange(3).repeat(16), 15)
        return np.concatenate([np.tile(steps[:3], 16), steps[3 + blocks], steps[6:].repeat(256)])

    def coefficients(self, a: Array) -> list[Array]:
        """[N, 256 regions, 256 or 64] of values times their steps [N, values]."""
        means, n = table("means"), len(a)
        first = a[:, :48].reshape(n, 16, 3)
        b = halved(np.einsum("nic,ij->ncj", first, means), 14)
        blocks = a[:, 48:768].reshape(n, 15, 3, 16)
        parts = np.einsum("nicj,it->ncjt", blocks, means[1:]) + b[..., None] * means[0]
        m, planes = halved(parts, 14), a[:, 768:].reshape(n, -1, 256)
        found = []
        for c in range(3):
            made = np.zeros((n, 256, 64 if c else 256), np.int64)
            of_c = np.flatnonzero(self.component == c)
            made[:, :, self.places[of_c]] = planes[:, of_c].swapaxes(1, 2)
            made[:, :, 0] = of_regions(m[:, c])
            found.append(made)
        return found

    def add(self, a: Array, prediction: Planes) -> Planes:
        made = []
        for c, (coefficient, plane) in enumerate(
            zip(self.coefficients(a), prediction, strict=True)
        ):
            parts = coefficient @ self.tables["synthesis", c == 0]
            total = joined(parts, plane.shape, 16 if c else 32)
            made.append((plane + halved(total, 18)).clip(0, 1023))
        return made

    def sums(self, picture: Planes) -> list[Array]:
        """Σ analysis · (sample − 512), [N, 256 regions, 256 or 64]."""
        return [
            squares(plane - GREY, 16 if c else 32) @ self.tables["analysis", c == 0].T
            for c, plane in enumerate(picture)
        ]

    def measured(self, picture: Planes, q: int) -> Array:
        """Values [N, values] of a picture, of the first planes."""
        found, means = [halved(s, 10) for s in self.sums(picture)], table("means")
        a = np.zeros((len(found[0]), LONGEST), np.int64)
        for c in range(3):
            m = of_blocks(found[c][:, :, 0])
            beta = halved(np.einsum("njt,it->nji", m, means), 14)
            a[:, c:48:3] = halved(beta[:, :, 0] @ means.T, 14)
            for i in range(1, 16):
                at = 48 + (3 * (i - 1) + c) * 16
                a[:, at : at + 16] = beta[:, :, i]
        for p in range(MEASURED_PLANES):
            at = 768 + 256 * p
            a[:, at : at + 256] = found[self.component[p]][:, :, self.places[p]]
        step = self.per_value(q)
        return (2 * a + step) // (2 * step)


def of_regions(m: Array) -> Array:
    """[N, 16 blocks, 16 regions of each] as [N, 256 regions by rows]."""
    return m.reshape(-1, 4, 4, 4, 4).swapaxes(2, 3).reshape(-1, 256)


def of_blocks(m: Array) -> Array:
    return m.reshape(-1, 4, 4, 4, 4).swapaxes(2, 3).reshape(-1, 16, 16)


def squares(plane: Array, side: int) -> Array:
    """[N, 256 regions, side²]: overlapping squares of the regions, edges repeated."""
    region, (h, w) = side // 2, (n // (8 * side) for n in plane.shape)
    found = sliding_window_view(np.pad(plane, side // 4, "edge"), (side, side))[::region, ::region]
    return found.reshape(h, 16, w, 16, -1).swapaxes(1, 2).reshape(h * w, 256, -1)


def joined(parts: Array, shape: tuple[int, ...], side: int) -> Array:
    """The sum of overlapping squares [N, 256, side²] as a plane; what lies outside is dropped."""
    region, (h, w) = side // 2, (n // (8 * side) for n in shape)
    parts = parts.reshape(h, w, 16, 16, 2, region, 2, region).swapaxes(1, 2)
    parts = parts.reshape(16 * h, 16 * w, 2, region, 2, region)
    total = np.zeros((16 * h + 1, region, 16 * w + 1, region), parts.dtype)
    for i in (0, 1):
        for j in (0, 1):
            quarter = parts[:, :, i, :, j].swapaxes(1, 2)
            total[i : i + 16 * h, :, j : j + 16 * w] += quarter
    border = side // 4
    total = total.reshape((16 * h + 1) * region, -1)
    return total[border : border + shape[0], border : border + shape[1]]
