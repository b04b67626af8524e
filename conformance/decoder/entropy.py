"""rANS, Laplace tables, integers (Entropy coding)."""

from __future__ import annotations

import json
from bisect import bisect_right
from functools import cache
from itertools import accumulate
from pathlib import Path

from conformance.decoder.wire import require

TABLES = Path(__file__).resolve().parents[2] / "docs" / "spec" / "tables"


class Rans:
    """One byte string of the range coder (rANS)."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.x = data, 0, 0
        self._refill()

    def _refill(self) -> None:
        while self.x < 1 << 23 and self.at < len(self.data):
            self.x = self.x << 8 | self.data[self.at]
            self.at += 1

    def peek(self) -> int:
        return self.x & 0xFFFF

    def advance(self, start: int, size: int) -> None:
        self.x = size * (self.x >> 16) + (self.x & 0xFFFF) - start
        self._refill()

    def symbol(self, edges: list[int]) -> int:
        """The symbol whose part [edges[s], edges[s + 1]) of 2^16 holds the next value."""
        symbol = bisect_right(edges, self.peek()) - 1
        self.advance(edges[symbol], edges[symbol + 1] - edges[symbol])
        return symbol

    def raw(self, bits: int) -> int:
        value = 0
        while bits:
            group = min(bits, 8)
            part = self.peek() >> 16 - group
            self.advance(part << 16 - group, 1 << 16 - group)
            value, bits = value << group | part, bits - group
        return value

    def is_whole(self) -> bool:
        return self.x == 0 and self.at == len(self.data)

    def close(self) -> None:
        require(self.is_whole(), "a range coder's string is not whole")

    def integer(self, scale: int, mean: int = 0, inflation: int = 0) -> int:
        """An integer of the Laplace table of `scale`, around `mean` eighths."""
        centre = (mean + 4) >> 3
        edges = _edges(scale, centre, mean - 8 * centre + 4, inflation)
        golomb, escape = _tables()[scale]["golomb"], len(edges) - 2
        k = self.symbol(edges)
        if k == escape:
            b = golomb
            while b < golomb + 33 and self.raw(1):
                b += 1
            k += (1 << b) + self.raw(b) - (1 << golomb)
        value = centre + (k // 2 + 1 if k & 1 else -(k // 2))
        return min(max(value, -(2**31)), 2**31 - 1)


@cache
def _tables() -> list[dict]:
    return json.loads((TABLES / "laplace.json").read_text())


def laplace(scale: int) -> list[int]:
    """Frequencies of the symbols of the table of `scale` and mean 0."""
    return _tables()[scale]["frequencies"][4]


@cache
def _edges(scale: int, centre: int, eighth: int, inflation: int) -> list[int]:
    """E(0) … E(S) of one table."""
    edges = [0, *accumulate(_tables()[scale]["frequencies"][eighth])]
    last = len(edges) - 2
    zero = min(-2 * centre - 1 if centre < 0 else 2 * centre, last)
    share = (16 - (inflation & 7)) << 12 >> (inflation >> 3)
    moved = (1 << 16) - len(edges) + 1
    moved -= moved * share >> 16
    return [
        s + ((edge - s) * share >> 16) + (moved if s > zero else 0) for s, edge in enumerate(edges)
    ]
