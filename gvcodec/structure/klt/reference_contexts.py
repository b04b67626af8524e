"""Contexts of the `klt` layer's binary decisions: their families, their numbers, and the buckets
that values fall into.

Part of the reference decoder (tests/oracle/klt.py); in the core: the head of `csrc/klt/syntax.hpp`.
"""

from __future__ import annotations

import math

LEVELS, TOP = 5, 4
KINDS = 2 * LEVELS  # level, then key or inter
OLDEST = 15  # age of a golden frame that counts

#: Context families and the number of values of each coordinate; slots are numbered with the last
#: one running fastest.
FAMILIES: dict[str, tuple[int, ...]] = {
    "split.near": (LEVELS, 3, 3),
    "split.past": (LEVELS, 5, 5),
    "split.q": (LEVELS, 16),
    "merge.near": (LEVELS, 3, 3),
    "merge.q": (LEVELS, 16),
    "merge.index": (LEVELS, 5),
    "mv.zero": (2, 2),
    "mv.prefix": (2, 16),
    "mv.sign": (2,),
    "any.near": (KINDS, 3, 2),
    "any.energy": (KINDS, 6, 6),
    "any.q": (KINDS, 16),
    "any.motion": (KINDS, 5, 2, 4),
    "any.parent": (KINDS, 6, 4, 2, 2),
    "self.past": (KINDS, 6),
    "self.energy": (KINDS, 6, 6),
    "self.q": (KINDS, 16),
    "last.group": (KINDS, 17),
    "last.near": (KINDS, 17, 6),
    "last.q": (KINDS, 17, 8),
    "last.past": (KINDS, 17, 6),
    "last.bits": (17, 8),
    "sig.index": (KINDS, 72),
    "sig.near": (KINDS, 8, 9),
    "sig.run": (KINDS, 9, 8, 8),
    "sig.q": (KINDS, 16, 16),
    "sig.group": (KINDS, 17, 72),
    "big.index": (KINDS, 72),
    "big.near": (KINDS, 8, 9),
    "big.run": (KINDS, 9, 8),
    "big.q": (KINDS, 16, 16),
    "big.group": (KINDS, 17, 8),
    "more.index": (KINDS, 16, 8),
    "more.near": (16, 9, 2),
    "more.q": (16, 16, 2),
    "sign.near": (KINDS, 16, 3, 3),
    "sign.past": (KINDS, 16, 3),
    "sign.rest": (KINDS, 2),
    "becomes golden": (OLDEST + 1,),
    "uses golden": (OLDEST + 1,),
    "from.near": (2, 3, 3, 3),
    "from.level": (2, LEVELS),
    # Only in models with a refiner (`reference_refiner`).
    "sig.predicted": (KINDS, 16, 8, 3),
    "big.predicted": (KINDS, 16, 8, 3),
    "sign.predicted": (KINDS, 16, 8, 3),
    "split.finer": (LEVELS, 4, 4, 4),
    "merge.spread": (LEVELS, 5, 4),
    "merge.past": (LEVELS, 2, 3),
    "merge.index.left": (LEVELS, 4, 4),
    "merge.index.apart": (4, 4, 3, 3),
    "merge.index.past": (4, 6, 4),
    "mv.level": (38, LEVELS),
    "mv.gap": (38, 8),
    "mv.q": (38, 8),
    "mv.sign.towards": (2, 3, 3),
}
#: Weight sets of the mixer, numbered likewise.
SETS: dict[str, tuple[int, ...]] = {
    "split": (LEVELS,),
    "merge": (LEVELS,),
    "merge.index": (1,),
    "mv": (3,),
    "any": (KINDS,),
    "self": (KINDS,),
    "last": (KINDS,),
    "last.bits": (1,),
    "sig": (KINDS, 8),
    "big": (KINDS, 8),
    "more": (1,),
    "sign": (2,),
    "golden": (2,),
    "from": (2,),
}
GROUP_FIRST = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
GROUP_BITS = (0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7)


class Numbering:
    """Number of an entry of the families above."""

    def __init__(self, families: dict[str, tuple[int, ...]]) -> None:
        self._families, self._first, self.count = families, {}, 0
        for name, shape in families.items():
            self._first[name] = self.count
            self.count += math.prod(shape)

    def __call__(self, name: str, *index: int) -> int:
        offset = 0
        for i, n in zip(index, self._families[name], strict=True):
            assert 0 <= i < n, (name, index)
            offset = offset * n + i
        return self._first[name] + offset


SLOT, SET = Numbering(FAMILIES), Numbering(SETS)
#: A family or set and the coordinates of an entry.
Entry = tuple[str, *tuple[int, ...]]


def bucket(value: int, edges: tuple[int, ...]) -> int:
    """How many edges the value has reached."""
    return sum(value >= e for e in edges)


def index8(i: int) -> int:
    return bucket(i, (1, 2, 3, 5, 9, 21, 64))


def index16(i: int) -> int:
    return bucket(i, (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 40, 64, 128, 256))


def index72(i: int) -> int:
    return i if i < 48 else 48 + (i - 48) // 16


def energy6(energy: int) -> int:
    return bucket(energy, (1, 2, 4, 8, 16))


def sign3(v: int) -> int:
    return 2 if v > 0 else 1 if v < 0 else 0


def small(v: int) -> int:
    return min(2, abs(v))


def group_of(last: int) -> int:
    """Group of a last index; six coarse ones (0: no token) stand for it as a context."""
    return bucket(last, GROUP_FIRST) - 1


def coarse_group(last: int) -> int:
    return 0 if last < 0 else min(5, 1 + group_of(last) // 3)
