"""Base motion: AV1 pictures and coded motion trees between them (Motion)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from conformance.decoder.bases import Planes, coded_side, full_size, pictures, temporal_unit
from conformance.decoder.entropy import TABLES, Rans
from conformance.decoder.header import Header
from conformance.decoder.networks import IntegerNetwork, loud, predicted
from conformance.decoder.wire import Bytes, digest, require

VALUES, LEAVES, PER_LEAF = 206, 30, 11
REFRESH, RUN = 0xC0, 0xC1
NEAR, MEAN, FAR = 0, 1, 2
Array = np.ndarray


@dataclass(frozen=True)
class Value:
    """Which step or source of a window a value is."""

    kind: int
    k: int  # its node
    component: int = 0
    quarter: int = 0

    def of(self, k: int, other: bool = False) -> int:
        """The same or the other component of the step of node k."""
        return step(k, self.component ^ other)


def step(k: int, component: int = 0, quarter: int = -1) -> int:
    """Number of a component of the step of node k, or of a quarter of leaf k."""
    if k < 16:
        return 2 * (k - 1) + component
    return source(k) + 3 + 2 * quarter + component


def source(k: int) -> int:
    return LEAVES + PER_LEAF * (k - 16)


@cache
def described() -> list[Value]:
    found = [Value(k.bit_length() - 1, k, c) for k in range(1, 16) for c in (0, 1)]
    for k in range(16, 32):
        found += [Value(6, k), Value(4, k, 0), Value(4, k, 1)]
        found += [Value(5, k, c, j) for j in range(4) for c in (0, 1)]
    return found


SOURCES = np.array([value.kind == 6 for value in described()])


def relatives(value: Value) -> list[int | None]:
    """Entries but 7 and 8, the windows around: values of the same window, by their numbers."""
    k, a, j = value.k, value.component, value.quarter
    found: list[int | None] = [None] * 11
    if value.kind == 6:
        found[0], found[1] = step(k // 2), step(k // 2, 1)
        found[6] = source(k - 1) if k > 16 else None
        found[9] = source(k - 2) if k > 17 else None
        return found
    found[5] = (step(k, 0, j) if value.kind == 5 else step(k)) if a else None
    found[6] = source(k) if k > 15 else None
    if value.kind == 5:
        found[:3] = value.of(k), value.of(k, other=True), value.of(k // 2)
        if j > 0:
            found[3], found[9] = step(k, a, j - 1), step(k, 1 - a, j - 1)
        found[4] = step(k, a, j - 2) if j > 1 else None
        found[10] = step(k, a, 0) if j == 3 else None
        return found
    if k > 1:
        found[0], found[1] = value.of(k // 2), value.of(k // 2, other=True)
    found[2] = value.of(k // 4) if k > 3 else None
    if k & 1 and k > 1:
        found[3], found[9] = value.of(k - 1), value.of(k - 1, other=True)
    found[4] = value.of(k - 2) if k > 3 and k & (k - 1) else None
    return found


@dataclass
class Frame:
    """Memory of contexts, and for each cell which AV1 pictures it comes from, and where."""

    last: Array  # [windows, values]
    level: Array
    sign: int
    origin: Array  # bool [2, rows, columns]: from A, from B
    place: Array  # [2, rows, columns, 2]: x, y in quarters
    planes: Planes
    symbols: dict[str, Any] | None = None  # what Conformance asks for; None: an AV1 picture


class MotionBase:
    """Frames of a stream of base motion, GOP by GOP."""

    def __init__(self, header: Header, network: IntegerNetwork) -> None:
        self.header, self.network = header, network
        sides = header.width, header.height
        reduced = header.scale != 1
        self.w, self.h = (coded_side(s, header.scale) if reduced else s for s in sides)
        self.coded = coded_side(self.w, header.scale**0), coded_side(self.h, header.scale**0)
        self.cells = -(-self.h // 4), -(-self.w // 4)
        self.grid = -(-self.h // 256), -(-self.w // 256)
        self.windows = self.grid[0] * self.grid[1]
        self.symbols: list[dict[str, Any] | None] = []

    def gop(self, payloads: list[bytes]) -> Iterator[Planes]:
        for frame in self._gop(payloads):
            self.symbols.append(frame.symbols)
            yield full_size(frame.planes, self.header)

    def _gop(self, payloads: list[bytes]) -> Iterator[Frame]:
        require(len(payloads[0]) > 0 and payloads[0][0] < 64, "q of the motion")
        self.q = payloads[0][0]
        refreshes = [p[1:] for p in payloads[1:] if p[:1] == bytes([REFRESH])]
        units = [temporal_unit(unit) for unit in [payloads[0][1:], *refreshes]]
        decoded = iter(pictures("libdav1d", units, self.coded))
        self.a = self.b = self._cropped(next(decoded))
        shown, kept, in_run = self._picture(0), [], False
        yield shown
        for payload in payloads[1:]:
            if payload[:1] == bytes([REFRESH]):
                self.b = self._cropped(next(decoded))
                if in_run:
                    frames = self._run(kept, shown)
                    yield from frames
                    shown, kept, in_run = frames[-1], [], False
                last, level, sign = shown.last, shown.level, shown.sign
                self.a = self.b
                shown = self._picture(0)
                shown.last, shown.level, shown.sign = last, level, sign
                yield shown
            elif in_run or payload[:1] == bytes([RUN]):
                kept.append(payload if in_run else payload[1:])
                in_run = True
                require(len(kept) <= 16, "frames of a run")
            else:
                shown = self._motion(payload, shown, None, (-1, 0))
                yield shown
        yield from [replace(shown, symbols=None)] * len(kept)

    def _cropped(self, planes: Planes) -> Planes:
        w, h = self.w, self.h
        y, *chroma = planes
        return [y[:h, :w], *(p[: (h + 1) // 2, : (w + 1) // 2] for p in chroma)]

    def _picture(self, which: int) -> Frame:
        """A frame that is an AV1 picture: 0: A, 1: B."""
        empty = np.zeros((2, self.windows, VALUES), np.int64)
        origin = np.zeros((2, *self.cells), bool)
        origin[which] = True
        place = np.zeros((2, *self.cells, 2), np.int64)
        return Frame(*empty, -1, origin, place, self.b if which else self.a)

    def _run(self, payloads: list[bytes], before: Frame) -> list[Frame]:
        first, last = 0, len(payloads) + 1
        frames = {first: before, last: self._picture(1)}
        refresh = frames[last]
        refresh.last, refresh.level, refresh.sign = before.last, before.level, before.sign

        def make(i: int, near: int, far: int) -> None:
            times = near - i, far - i
            frames[i] = self._motion(payloads[i - 1], frames[near], frames[far], times)

        while last - first > 1:
            make(first + 1, first, last)
            first += 1
            if last - first > 1:
                make(last - 1, last, first)
                last -= 1
        return [frames[i + 1] for i in range(len(payloads))]

    def _motion(
        self, payload: bytes, near: Frame, far: Frame | None, times: tuple[int, int]
    ) -> Frame:
        if not payload:
            return self._copied(near)
        read, sign = Bytes(payload), 1 if times[0] > 0 else -1
        levels = self._levels(read)
        known = near.last if sign == near.sign else np.where(SOURCES, near.last, -near.last)
        values = self._values(read, levels, known, near.level, far is not None, times)
        coded = levels[:, None] > 0
        level = near.level + ((32 * abs(values).clip(None, 31) - near.level + 2) >> 2)
        level = np.where(coded, level, near.level)
        cells = self._cells(values, levels, near, far, times)
        said = {"levels": levels.tolist(), "values": digest(values, "<i2")}
        frame = Frame(np.where(coded, values, known), level, sign, *cells, [], said)
        frame.planes = [self._samples(frame, i) for i in range(3)]
        return frame

    def _copied(self, near: Frame) -> Frame:
        values = np.zeros((self.windows, VALUES))
        said = {"levels": [0] * self.windows, "values": digest(values, "<i2")}
        return replace(near, symbols=said)

    # Levels and values

    def _levels(self, read: Bytes) -> Array:
        head, n = read.number(1), self.windows
        level = head & 63
        if head == 0x80:
            rans = Rans(read.take(read.var()))
            levels = np.array([rans.integer(30, 16) for _ in range(n)])
            rans.close()
        else:
            require(head < 0x80 and 1 <= level <= 5, "head of a motion frame")
            levels = np.full(n, level)
            if head & 64:
                bits = int.from_bytes(read.take(-(-n // 8)), "little")
                require(bits >> n == 0, "levels of windows that there are not")
                levels = np.array([level * (bits >> i & 1) for i in range(n)])
        require(bool(((levels >= 0) & (levels <= 5)).all() and levels.any()), "levels of windows")
        return levels

    def _values(
        self,
        read: Bytes,
        levels: Array,
        known: Array,
        level: Array,
        has_far: bool,
        times: tuple[int, int],
    ) -> Array:
        values = np.zeros((self.windows, VALUES), np.int64)
        groups = [range(n, min(n + 16, self.windows)) for n in range(0, self.windows, 16)]
        groups = [group for group in groups if levels[group.start : group.stop].any()]
        for group in groups:
            data = read.rest() if group is groups[-1] else read.take(read.var())
            coded = [(n, i) for n in group for i in _coded(int(levels[n]), has_far)]
            place = {at: t for t, at in enumerate(coded)}
            frame = min(2 * self.q, 127), 127 * has_far, *(min(8 * abs(t), 127) for t in times)
            active = [_activations(i, int(levels[n]), known[n], level[n], frame) for n, i in coded]
            entries = [
                [t - place.get(at, t) for at in self._around(*coded[t])] for t in place.values()
            ]
            found = predicted(self.network, data, np.array(active), np.array(entries))
            for (n, i), value in zip(coded, found, strict=True):
                holds = 0 <= value <= 2 if SOURCES[i] else abs(value) <= 127
                require(holds, "a value of a motion tree")
                values[n, i] = value
        return values

    def _around(self, n: int, i: int) -> list[tuple[int, int | None]]:
        """The entries of a value, each a window and a value of it."""
        found: list[tuple[int, int | None]] = [(n, one) for one in relatives(described()[i])]
        found[7] = n - 1 if n % self.grid[1] else -1, i
        found[8] = n - self.grid[1], i
        return found

    # Motion of cells

    def _cells(
        self, values: Array, levels: Array, near: Frame, far: Frame | None, times: tuple[int, int]
    ) -> tuple[Array, Array]:
        rows, columns = self.cells
        field = np.zeros((self.grid[0] * 64, self.grid[1] * 64, 6), np.int64)
        for n in np.flatnonzero(levels):
            y, x = n // self.grid[1] * 64, n % self.grid[1] * 64
            quarters = _quarters(values[n].tolist(), times)
            field[y : y + 64, x : x + 64] = quarters.repeat(8, 0).repeat(8, 1)
        field = field[:rows, :columns]
        origin, place = near.origin.copy(), near.place.copy()
        coded = field[..., 0] == 1
        origin[:, coded] = False
        row, column = np.arange(rows)[:, None], np.arange(columns)
        for frame, other, v in ((near, FAR, field[..., 2:4]), (far, NEAR, field[..., 4:6])):
            if frame is None:
                continue
            used = coded & (field[..., 1] != other)
            r = ((16 * row + 8 + v[..., 1]) >> 4).clip(0, rows - 1)
            c = ((16 * column + 8 + v[..., 0]) >> 4).clip(0, columns - 1)
            for p in (0, 1):
                takes = used & frame.origin[p, r, c] & ~origin[p]
                at = frame.place[p, r, c] + v
                x = at[..., 0].clip(-64 - 16 * column, 4 * (self.w + 16) - 16 * column)
                y = at[..., 1].clip(-64 - 16 * row, 4 * (self.h + 16) - 16 * row)
                place[p][takes] = np.stack([x, y], -1)[takes]
                origin[p] |= takes
        return origin, place

    # Samples

    def _samples(self, frame: Frame, i: int) -> Array:
        """Overlapped blocks of plane i."""
        side, bits = (2, 8) if i else (4, 10)
        h, w = self.a[i].shape
        ways = []
        for n, cells in zip((h, w), self.cells, strict=True):
            at = np.arange(n)
            cell, share = at // side, abs(2 * (at % side) + 1 - side)
            other = (cell + np.where(at % side < side // 2, -1, 1)).clip(0, cells - 1)
            ways.append(((cell, 2 * side - share), (other, share)))
        total = np.zeros((h, w), np.int64)
        for row, by_row in ways[0]:
            for column, by_column in ways[1]:
                total += by_row[:, None] * by_column * self._fetched(frame, i, row[:, None], column)
        return ((total + (1 << bits - 1)) >> bits).clip(0, 1023)

    def _fetched(self, frame: Frame, i: int, row: Array, column: Array) -> Array:
        origin, found = frame.origin[:, row, column], []
        for p, picture in enumerate((self.a, self.b)):
            if origin[p].any():
                found.append(_interpolated(picture[i], frame.place[p, row, column], i > 0))
        if len(found) == 1:
            return found[0]
        mean = (found[0] + found[1] + 1) >> 1
        return np.where(origin.all(0), mean, np.where(origin[0], *found))


def _coded(level: int, has_far: bool) -> list[int]:
    if level == 5:
        return [i for i in range(VALUES) if has_far or not SOURCES[i]]
    return list(range(2 * (2**level - 1) if level else 0))


def _activations(
    i: int, window: int, known: Array, level: Array, frame: tuple[int, ...]
) -> list[int]:
    """`frame`: activations 17, 19, 20, 21."""
    value = described()[i]
    is_source, k, j = value.kind == 6, value.k, value.quarter
    x = [127 * (value.kind == n) for n in range(7)] + [127 * value.component]
    bit = j >> 1 if value.kind == 5 else k & 1 if k > 1 else 0
    other = i if is_source else i + 1 - 2 * value.component
    x += [127 * bit, 127 * (j & 1)]
    x += [64 if is_source else 64 + min(max(8 * int(known[n]), -64), 63) for n in (i, other)]
    x.append(0 if is_source else loud(int(level[i])))
    around = step(k if value.kind == 5 else k // 2) if k > 1 else None
    x.append(0 if around is None else loud(int(level[around] + level[around + 1])))
    total = int(level[~SOURCES].sum())
    x += [loud(total), loud(int(abs(known[~SOURCES]).sum()))]
    x.append(min(50 * int(known[source(k)]), 127) if value.kind >= 4 else 0)
    x += [frame[0], 25 * window, *frame[1:], 127 * (total != 0)]
    return [*x, 0 if is_source else loud(int(level[other])), 127 * (value.kind < 4)]


def _scaled(v: tuple[int, int], origin: int, to: int) -> tuple[int, int]:
    made = []
    for part in v:
        p = part // 2 * to
        s = (2 * abs(p) + abs(origin)) // (2 * abs(origin))
        made.append(-2 * s if (p < 0) != (origin < 0) else 2 * s)
    return made[0], made[1]


def _quarters(values: list[int], times: tuple[int, int]) -> Array:
    """[8, 8, 6] of a window: 1, source, near x, y, far x, y."""
    at = [(0, 0)]
    for k in range(1, 16):
        x, y = at[k // 2]
        at.append((x + 2 * values[step(k)], y + 2 * values[step(k, 1)]))
    made = np.zeros((8, 8, 6), np.int64)
    for k in range(16, 32):
        says = values[source(k)]
        around = _scaled(at[k // 2], *times) if says == FAR else at[k // 2]
        for j in range(4):
            v = [around[c] + 2 * (values[step(k, c)] + values[step(k, c, j)]) for c in (0, 1)]
            x, y = v[0], v[1]
            far = _scaled((x, y), *times) if says == MEAN else (x, y)
            made[_position(4 * k + j)] = 1, says, x, y, *far
    return made


def _position(node: int) -> tuple[int, int]:
    """Row and column of a node of 32×32: halves are left and right, top and bottom in turn."""
    y = x = 0
    for n in range(5, -1, -2):
        x, y = 2 * x + (node >> n & 1), 2 * y + (node >> n - 1 & 1)
    return y, x


@cache
def _taps(chroma: bool) -> Array:
    return np.array(
        json.loads((TABLES / "motion.json").read_text())["chroma" if chroma else "luma"]
    )


def _interpolated(picture: Array, place: Array, chroma: bool) -> Array:
    """What the places (x, y) [H, W, 2] fetch for each sample, in sixteenths."""
    taps, bits = _taps(chroma), 3 if chroma else 2
    count, (h, w) = taps.shape[1], picture.shape
    u, v = place[..., 0], place[..., 1]
    across, down = taps[u & (1 << bits) - 1], taps[v & (1 << bits) - 1]
    left = np.arange(w) + (u >> bits) - count // 2 + 1
    top = np.arange(h)[:, None] + (v >> bits) - count // 2 + 1
    columns = [(left + t).clip(0, w - 1) for t in range(count)]
    found = np.zeros((h, w), np.int32)
    for i in range(count):
        row, mid = (top + i).clip(0, h - 1) * w, np.zeros((h, w), np.int32)
        for t, column in enumerate(columns):
            mid += across[..., t] * picture.take(row + column)
        found += down[..., i] * (mid >> 2)
    return found >> 6
