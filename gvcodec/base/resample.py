"""Fixed-point resampling filters: `Planes` to 3/4 or 1/2 of their size and back.

The result is the same on every machine, since the upsampled frame is a base frame. Output n·P + p
of a line lies at (n·P + p + 1/2)·Q/P − 1/2 of the input (P outputs for Q inputs, pixel centres
aligned). Its taps are sampled from a Lanczos window at the cutoff min(1, P/Q), with three lobes for
smaller and four for larger pictures, rounded to a sum of 128; lines and columns are filtered in
int32 and rounded once. Picture edges are replicated.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Plane, Planes

_PEAK = 1023
_SHIFT = 14


@dataclass(frozen=True, slots=True)
class Filter:
    """P = len(taps) outputs for `step` inputs. Output phase p takes its taps from input n·step +
    first[p] on."""

    step: int
    first: tuple[int, ...]
    taps: tuple[tuple[int, ...], ...]


DOWN = {
    Fraction(1, 2): Filter(2, (-5,), ((1, 2, -4, -9, 17, 57, 57, 17, -9, -4, 2, 1),)),
    Fraction(3, 4): Filter(
        4,
        (-3, -2, -1),
        (
            (3, -10, 12, 93, 42, -14, 2, 0),
            (1, -3, -8, 74, 74, -8, -3, 1),
            (0, 2, -14, 42, 93, 12, -10, 3),
        ),
    ),
}
UP = {
    Fraction(1, 2): Filter(
        1, (-4, -3), ((0, 4, -12, 36, 114, -19, 7, -2), (-2, 7, -19, 114, 36, -12, 4, 0))
    ),
    Fraction(3, 4): Filter(
        3,
        (-4, -3, -2, -1),
        (
            (0, 2, -6, 16, 125, -12, 4, -1),
            (-1, 6, -18, 58, 99, -22, 8, -2),
            (-2, 8, -22, 99, 58, -18, 6, -1),
            (-1, 4, -12, 125, 16, -6, 2, 0),
        ),
    ),
}


class Resampler:
    """Between the full size (width, height) and the size that is coded.

    `coded_width`, `coded_height`: even, at least 64, `scale` times the full size padded by edge
    replication.
    """

    def __init__(self, width: int, height: int, scale: Fraction) -> None:
        self._width, self._height = width, height
        self._scale = scale
        # Chroma of the padded picture has to split into whole filter periods as well.
        multiple = 2 * scale.denominator
        self._padded = tuple(
            -(-max(side, int(64 / scale)) // multiple) * multiple for side in (width, height)
        )
        self.coded_width, self.coded_height = (int(side * scale) for side in self._padded)

    def downsample(self, planes: Planes) -> Planes:
        """Full size to coded size."""
        width, height = self._padded
        y, u, v = (
            _resize(_pad(plane, height // ratio, width // ratio), DOWN.get(self._scale))
            for plane, ratio in zip(planes, (1, 2, 2), strict=True)
        )
        return y, u, v

    def upsample(self, planes: Planes) -> Planes:
        """Coded size to full size."""
        y, u, v = (
            np.ascontiguousarray(
                _resize(plane, UP.get(self._scale))[
                    : -(-self._height // ratio), : -(-self._width // ratio)
                ]
            )
            for plane, ratio in zip(planes, (1, 2, 2), strict=True)
        )
        return y, u, v


def _pad(plane: Plane, height: int, width: int) -> Plane:
    rows, columns = plane.shape
    if (rows, columns) == (height, width):
        return plane
    return np.pad(plane, ((0, height - rows), (0, width - columns)), mode="edge")


def _resize(plane: Plane, kernel: Filter | None) -> Plane:
    if kernel is None:
        return plane
    rows = _filter_rows(plane.astype(np.int32), kernel)
    both = _filter_rows(np.ascontiguousarray(rows.T), kernel).T
    both += 1 << (_SHIFT - 1)
    both >>= _SHIFT
    return np.clip(both, 0, _PEAK).astype(np.uint16)


def _filter_rows(lines: NDArray[np.int32], kernel: Filter) -> NDArray[np.int32]:
    """Filter along the first axis; the result is scaled by 128."""
    phases, taps = len(kernel.taps), len(kernel.taps[0])
    periods = lines.shape[0] // kernel.step
    before = -min(kernel.first)
    after = max(kernel.first) + taps
    padded = np.pad(lines, ((before, after), (0, 0)), mode="edge")
    out = np.zeros((periods * phases, lines.shape[1]), np.int32)
    product = np.empty((periods, lines.shape[1]), np.int32)
    for phase, (first, row) in enumerate(zip(kernel.first, kernel.taps, strict=True)):
        total = out[phase::phases]
        for tap, weight in enumerate(row):
            if weight:
                start = before + first + tap
                np.multiply(
                    padded[start : start + periods * kernel.step : kernel.step], weight, out=product
                )
                total += product
    return out
