"""Block vectors, found by the decoder (Block search)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

HALVED_FROM = 500_000
BORDER = 80  # reads reach from −67 to W + 69
T = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ]
)
Vector = tuple[int, int]  # x, y, in quarters of a sample
ZERO = 0, 0


def _hadamard(n: int) -> np.ndarray:
    return np.ones((1, 1), int) if n == 1 else np.kron([[1, 1], [1, -1]], _hadamard(n // 2))


H8 = _hadamard(8)


def padded(plane: np.ndarray) -> np.ndarray:
    """Pad to multiples of 16 by repeating the last row and column."""
    rows, columns = (-side % 16 for side in plane.shape)
    return np.pad(plane, ((0, rows), (0, columns)), "edge")


def search(luma: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(dy, dx) in whole samples of each 16×16 block of a picture, [rows, columns, 2]."""
    rows, columns = (-(-side // 16) for side in luma.shape)
    halved = luma.size >= HALVED_FROM
    if halved:
        luma, before = _half(luma), _half(before)
    vectors = _Search(padded(luma), padded(before), halved).field()
    if not halved:
        return vectors[:rows, :columns] >> 2
    row, column = (np.arange(n)[:, None] >> 1 for n in (rows, columns))
    row, column = row.clip(0, len(vectors) - 1), column.clip(0, vectors.shape[1] - 1)
    return vectors[row, column.T] >> 1


def _half(plane: np.ndarray) -> np.ndarray:
    even = plane[: plane.shape[0] & ~1, : plane.shape[1] & ~1]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) >> 2


def _quarter(plane: np.ndarray) -> np.ndarray:
    h, w = plane.shape
    return (plane.reshape(h // 4, 4, w // 4, 4).sum((1, 3)) + 8) >> 4


def _length(a: int) -> int:
    return 1 + 2 * abs(a).bit_length()


class Reference:
    """A plane of whole blocks from which blocks are fetched."""

    def __init__(self, plane: np.ndarray) -> None:
        self.h, self.w = plane.shape
        self.plane = np.pad(plane, BORDER, "edge")

    def source(self, y: int, x: int, v: Vector, before: int = 0, after: int = 0) -> np.ndarray:
        """Samples at the source of the block at (y, x), with a margin before and after."""
        y = min(max(y + (v[1] >> 2), -64), self.h + 48) + BORDER
        x = min(max(x + (v[0] >> 2), -64), self.w + 48) + BORDER
        return self.plane[y - before : y + 16 + after, x - before : x + 16 + after]

    def moved(self, y: int, x: int, v: Vector) -> np.ndarray:
        source, fx, fy = self.source(y, x, v, 3, 4), v[0] & 3, v[1] & 3
        mid = source[:, 3:19] << 4
        if fx:
            mid = sum(T[fx][t] * source[:, t : t + 16] for t in range(8)) >> 2
        out = (mid[3:19] + 8) >> 4
        if fy:
            out = (512 + sum(T[fy][t] * mid[t : t + 16] for t in range(8))) >> 10
        return out.clip(0, 1023)


class _Search:
    def __init__(self, cur: np.ndarray, ref: np.ndarray, halved: bool) -> None:
        self.cur, self.halved = cur, halved
        self.ref = Reference(ref)
        quarters = _quarter(cur).astype(np.int16), _quarter(ref).astype(np.int16)
        self.quarters = [np.pad(plane, 32, "edge") for plane in quarters]

    def field(self) -> np.ndarray:
        """(y, x) of each block, in quarters."""
        rows, columns = (side // 16 for side in self.cur.shape)
        vectors = np.zeros((rows, columns, 2), int)
        for by in range(rows):
            p = ZERO
            for bx in range(columns):
                p = self._block(by, bx, p)
                vectors[by, bx] = p[1], p[0]
        return vectors

    def _coarse(self, by: int, bx: int) -> Vector:
        cur, ref = self.quarters
        h, w = (side // 4 for side in self.cur.shape)
        y = min(max(4 * by - 2, 0), max(0, h - 8))
        x = min(max(4 * bx - 2, 0), max(0, w - 8))
        dy = np.arange(-16, min(16, h + 8 - y) + 1)
        dx = np.arange(-16, min(16, w + 8 - x) + 1)
        area = ref[y + 16 : y + 32 + dy[-1] + 8, x + 16 : x + 32 + dx[-1] + 8]
        windows = sliding_window_view(area, (8, 8))
        cost = np.abs(windows - cur[y + 32 : y + 40, x + 32 : x + 40]).sum((2, 3), np.int64)
        cost = cost + 4 * (np.abs(dy)[:, None] + np.abs(dx))
        best = np.unravel_index(cost.argmin(), cost.shape)
        return 16 * int(dx[best[1]]), 16 * int(dy[best[0]])

    def _sad(self, v: Vector) -> int:
        return int(np.abs(self.block - self.ref.source(self.y, self.x, v)).sum())

    def _satd(self, v: Vector) -> int:
        difference = (
            (self.block - self.ref.moved(self.y, self.x, v)).reshape(2, 8, 2, 8).swapaxes(1, 2)
        )
        return (int(np.abs(H8 @ difference @ H8).sum()) + 4) >> 3

    def _try(self, v: Vector, measure: Callable[[Vector], int]) -> None:
        if max(abs(v[0]), abs(v[1])) <= 4095:
            cost = measure(v) + 4 * (_length(v[0] - self.p[0]) + _length(v[1] - self.p[1]))
            if cost < self.best:
                self.best, self.m = cost, v

    def _block(self, by: int, bx: int, p: Vector) -> Vector:
        """Refinement."""
        self.y, self.x, self.p = 16 * by, 16 * bx, p
        self.block = self.cur[self.y : self.y + 16, self.x : self.x + 16]
        self.best, self.m = 1 << 62, ZERO
        for v in (ZERO, p, self._coarse(by, bx)):
            self._try(v, self._sad)
        self._restart((self.m[0] & ~3, self.m[1] & ~3), self._sad)
        for turn in range(16):
            (x, y), s = self.m, 4 if turn else 8
            for v in ((x - s, y), (x + s, y), (x, y - s), (x, y + s)):
                self._try(v, self._sad)
            if turn and self.m == (x, y):
                break
        self._restart(self.m, self._satd)
        if self.halved:
            self._half_samples()
        self._try(p, self._satd)
        self._try(ZERO, self._satd)
        return self.m

    def _restart(self, v: Vector, measure: Callable[[Vector], int]) -> None:
        self.best = 1 << 62
        self._try(v, measure)

    def _half_samples(self) -> None:
        (x, y), a = self.m, []
        for v in ((x - 2, y), (x + 2, y), (x, y - 2), (x, y + 2)):
            beyond = max(abs(v[0]), abs(v[1])) > 4095
            a.append(1 << 62 if beyond else self._satd(v))
            self._try(v, self._satd)
        corner = x + (-2 if a[0] < a[1] else 2), y + (-2 if a[2] < a[3] else 2)
        self._try(corner, self._satd)
