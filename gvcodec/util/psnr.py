"""PSNR in decibels, as everything here reports it: of a plane, and the mean over frames."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Plane

#: Largest sample of 10-bit planes.
PEAK = 1023
#: Samples that are compared at a time: they stay in cache, and in memory that is not given back
#: (`util.process`), which takes a quarter of the time of whole planes.
_STRIP = 1 << 15


def db(mean_square: float, peak: float = PEAK) -> float:
    """Of a mean square error; infinite for none."""
    return 10 * math.log10(peak**2 / mean_square) if mean_square else math.inf


def psnr(
    a: Plane | NDArray[np.uint8], b: Plane | NDArray[np.uint8], peak: float = PEAK, bits: int = 0
) -> float:
    """PSNR of two planes, in dB; infinite when they are equal. `peak`: largest value of `a`;
    `bits`: how many bits fewer `b` has."""
    total, rows = 0, max(1, _STRIP // max(1, a.shape[1]))
    for top in range(0, len(a), rows):
        difference = a[top : top + rows].astype(np.int32)
        difference -= np.left_shift(b[top : top + rows], bits, dtype=np.int32)
        difference *= difference
        total += int(difference.sum(dtype=np.int64))
    return db(total / a.size, peak)


class MeanPsnr:
    """The mean over frames. Exact ones count only when all are: the mean is infinite then."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        """One frame's, in decibels."""
        if math.isfinite(value):
            self._sum += value
            self._count += 1

    @property
    def value(self) -> float:
        return self._sum / self._count if self._count else math.inf
