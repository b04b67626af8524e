"""Fixed patterns of the direct path, without torch: the frequencies and regions of a window that
each token stands for."""

from __future__ import annotations

import math


def lowest(count: int, above: float = -1.0) -> list[tuple[int, int]]:
    """The `count` lowest (vertical, horizontal) frequencies beyond the radius `above`."""
    most = (
        math.isqrt(int(above * above) + 2 * count) + 2
    )  # a quarter of a ring has π/4 of its square
    pairs = [(u, v) for u in range(most) for v in range(most) if math.hypot(u, v) > above]
    return sorted(pairs, key=lambda p: (p[0] ** 2 + p[1] ** 2, p))[:count]


#: Period of the direct path's phases in which regions' patterns code chroma.
CHROMA_EVERY = 4


def is_chroma(phase: int) -> bool:
    """Whether regions' patterns code chroma in this phase."""
    return phase % CHROMA_EVERY == CHROMA_EVERY - 1


def region_grid(tokens: int) -> tuple[int, int]:
    """Rows and columns of regions in a window."""
    half = tokens // 2
    rows = 1 << (half.bit_length() - 1) // 2
    return rows, half // rows
