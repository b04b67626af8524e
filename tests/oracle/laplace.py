"""Plain Python reference of the integer coder by Laplace tables (`csrc/entropy/cdf.*`): same tables, same bytes.

Scale i (0…63) means a mean absolute deviation of 64 · 2^((i - 63) / 6); the mean comes in eighths. Symbols of a table
are the distances from the integer nearest to the mean, 0, 1, -1, 2, -2 …, and an escape that an exp-Golomb code of the
rest follows. Zero inflation i (0…127) leaves about 2^(-i / 8) of the probability, the rest goes to the value zero. Only integer arithmetic makes the tables. Speed: tests and tools only; the codec uses `_core.cdf_encode`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cache

from tests.oracle.rans import PROB_ONE, RansDecoder, RansEncoder, clamp

SCALES, INFLATIONS = 64, 128
_ONE = 1 << 32
_LONGEST_PREFIX = 33
# 2^32 · exp(-1 / (8 b)) of the six widest scales b; six steps down b is halved, so the value is squared.
_DECAY = (4280046474, 4281671832, 4283120382, 4284411306, 4285561716, 4286586875)


@dataclass(frozen=True, slots=True)
class Table:
    edges: tuple[int, ...]  # 0 … 2^16; the last symbol is the escape
    golomb: int  # order of the exp-Golomb code

    @property
    def escape(self) -> int:
        return len(self.edges) - 2


@cache
def table(scale: int, fraction: int) -> Table:
    """Table of a scale for a mean that lies `fraction` (-4…3) eighths above the centre."""
    decay = _DECAY[(scale + 2) % 6]
    for _ in range(scale, SCALES - 6, 6):
        decay = (decay * decay + _ONE // 2) >> 32
    tail = [_ONE]  # 2^32 · exp(-n / (8 b))
    while len(tail) <= 16 or tail[-1] > _ONE >> 9 or len(tail) % 8 != 1:
        tail.append((tail[-1] * decay + _ONE // 2) >> 32)
    radius = len(tail) // 8
    for _ in range(8):
        tail.append((tail[-1] * decay + _ONE // 2) >> 32)

    def below(n: int) -> int:
        return tail[-n] if n < 0 else 2 * _ONE - tail[n]

    symbols = 2 * radius + 2
    masses = []
    for s in range(symbols - 1):
        centre = 8 * _distance(s) - fraction
        masses.append(below(centre + 4) - below(centre - 4))
    outer = 8 * radius + 4
    masses.append(below(-outer - fraction) + tail[outer - fraction])
    frequencies = [1 + (mass * (PROB_ONE - symbols) >> 33) for mass in masses]
    frequencies[0] += PROB_ONE - sum(frequencies)
    edges = [0]
    for frequency in frequencies:
        edges.append(edges[-1] + frequency)
    return Table(tuple(edges), max(0, (scale - 21) // 6))


def _distance(index: int) -> int:
    """0, 1, 2, 3, 4 … to 0, 1, -1, 2, -2 …"""
    return index // 2 + 1 if index & 1 else -(index // 2)


def _model(scale: int, mean: int, inflation: int) -> tuple[int, Table]:
    centre = (mean + 4) >> 3
    plain = table(scale, mean - 8 * centre)
    zero = min(-2 * centre - 1 if centre < 0 else 2 * centre, plain.escape)
    kept = (16 - inflation % 8 << 12) >> inflation // 8
    free = PROB_ONE - plain.escape - 1
    moved = free - (free * kept >> 16)
    edges = (
        s + ((edge - s) * kept >> 16) + (moved if s > zero else 0)
        for s, edge in enumerate(plain.edges)
    )
    return centre, Table(tuple(edges), plain.golomb)


def encode_integer(
    coder: RansEncoder, scale: int, mean: int, value: int, inflation: int = 0
) -> None:
    centre, model = _model(scale, mean, inflation)
    distance = value - centre
    index = 2 * distance - 1 if distance > 0 else -2 * distance
    s = min(index, model.escape)
    coder.put(model.edges[s], model.edges[s + 1] - model.edges[s])
    if s < model.escape:
        return
    rest = index - model.escape + (1 << model.golomb)
    bits = model.golomb
    while rest >> (bits + 1):
        coder.raw(1, 1)
        bits += 1
    if bits < model.golomb + _LONGEST_PREFIX:
        coder.raw(1, 0)
    while bits:
        n = min(bits, 8)
        coder.raw(n, rest >> (bits - n) & ((1 << n) - 1))
        bits -= n


def decode_integer(coder: RansDecoder, scale: int, mean: int, inflation: int = 0) -> int:
    """Any bytes decode to some value; what lies beyond int32 is clamped."""
    centre, model = _model(scale, mean, inflation)
    index = bisect_right(model.edges, coder.peek()) - 1
    coder.advance(model.edges[index], model.edges[index + 1] - model.edges[index])
    if index == model.escape:
        bits = model.golomb
        while bits < model.golomb + _LONGEST_PREFIX and coder.raw(1):
            bits += 1
        rest, left = 1, bits
        while left:
            n = min(left, 8)
            rest = rest << n | coder.raw(n)
            left -= n
        index += rest - (1 << model.golomb)
    return clamp(centre + _distance(index), -(1 << 31), (1 << 31) - 1)
