"""Search over q, for sizes, bitrates, targets and comparisons: finds the `q` at which a value that
falls with q meets a target.

    bracket = Bracket(0, 63, slope=0.1, guess=40)
    for q in bracket:
        bracket.samples[q] = log(size(q) / limit)    # above 0: q has to rise
        if ...: break

Outside of the samples it extrapolates from the nearest two; between two samples around the target
it interpolates, and bisects if the last guess hardly narrowed the interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Least steps beyond the samples for a bisection if extrapolation fails.
_MIN_BISECTION = 4.0
#: Largest ratio of measured slopes to the usual one.
_SLOPE_RANGE = 3.0


@dataclass(slots=True)
class Bracket:
    """q from `low` to `high` in steps of `q_step`; `slope`: usual fall of the excess by a step of
    1; `guess`: first q; `least_step`: least step beyond the samples, `margin`: addition to such
    steps. `samples`: excess over the target by q."""

    low: float
    high: float
    slope: float
    guess: float
    q_step: float = 0.25
    margin: float = 0.0
    least_step: float = 1.0
    samples: dict[float, float] = field(default_factory=dict)
    _width: float = math.inf
    _was_halved: bool = False

    def __iter__(self) -> Iterator[float]:
        while (q := self.propose()) is not None:
            yield q

    def round(self, q: float) -> float:
        """The nearest q of the grid."""
        q = min(max(q, self.low), self.high)
        return min(max(round(q / self.q_step) * self.q_step, self.low), self.high)

    def propose(self) -> float | None:
        """The next q to try, None if no other can be nearer."""
        if not self.samples:
            return self.round(self.guess)
        fine, coarse = self.sides
        if fine is not None and coarse is not None:
            return self._interpolate(fine, coarse)
        near = fine if coarse is None else coarse
        assert near is not None
        step = max(abs(self.samples[near] / self.local_slope), self.least_step) + self.margin
        q = self.round(near + (step if coarse is None else -step))
        return None if q in self.samples else q

    @property
    def estimate(self) -> float:
        """The q of the target by the samples."""
        near = min(self.samples, key=lambda q: abs(self.samples[q]))
        return min(max(near + self.samples[near] / self.local_slope, self.low), self.high)

    @property
    def sides(self) -> tuple[float | None, float | None]:
        """The coarsest sample whose q has to rise, and the next coarser one."""
        fine = max((q for q, excess in self.samples.items() if excess > 0), default=None)
        coarse = min((q for q in self.samples if fine is None or q > fine), default=None)
        return fine, coarse

    @property
    def local_slope(self) -> float:
        """Fall of the excess by a step of q, nearest to the target."""
        points = sorted(self.samples, key=lambda q: abs(self.samples[q]))[:2]
        fine, coarse = self.sides
        if fine is not None and coarse is not None:
            points = [fine, coarse]
        if len(points) < 2 or any(math.isinf(self.samples[q]) for q in points):
            return self.slope
        a, b = points
        slope = (self.samples[a] - self.samples[b]) / (b - a)
        return min(max(slope, self.slope / _SLOPE_RANGE), self.slope * _SLOPE_RANGE)

    def _interpolate(self, fine: float, coarse: float) -> float | None:
        width, at, to = coarse - fine, self.samples[fine], self.samples[coarse]
        if width <= 1.001 * self.q_step:
            return None
        self._was_halved = not self._was_halved and width > max(
            _MIN_BISECTION * self.least_step, self._width / 2
        )
        self._width = width
        part = 0.5 if self._was_halved or math.isinf(at) else at / (at - to)
        q = min(max(fine + part * width, fine + self.q_step), coarse - self.q_step)
        return self.round(q)
