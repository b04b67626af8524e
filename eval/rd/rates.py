"""Finding the quality number at which a codec reaches a target rate.

Rate falls as the quality number rises, nearly exponentially: the search brackets the target,
guesses inside the bracket by linear interpolation of log rate, and halves the bracket whenever a
guess did not shrink it by half (so it never takes more steps than plain bisection plus one). Every
encode is remembered, so neighbouring targets share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

TARGETS = (0.005, 0.01, 0.02, 0.04, 0.08)
#: A rate this near (in natural logarithm) is taken without looking for a nearer one: half a step of
#: most quality numbers.
CLOSE = 0.07
#: A codec whose range of quality numbers ends farther than this from a target does not reach it.
REACH = math.log(1.3)
#: Change of log rate a step where only one point is known: about 12 % as in H.264 to VVC.
_SLOPE = -math.log(2) / 6


@dataclass
class Search:
    """Search over integers `low`…`high` of a rate function that falls; `rate(q)`, in any unit, is
    called once a value. A rate nearer than `close` (natural logarithm) ends the search."""

    rate: Callable[[int], float]
    low: int
    high: int
    guess: int
    close: float = CLOSE
    known: dict[int, float] = field(default_factory=dict)

    def __call__(self, target: float) -> tuple[int, bool]:
        """(q whose rate is nearest to `target` in the logarithm, whether that is near enough to
        count)."""
        previous_width, halve = self.high - self.low + 2, False
        while True:
            nearest = self._nearest(target)
            if nearest is not None and self._distance(nearest, target) < self.close:
                break
            above = max((q for q, r in self.known.items() if r >= target), default=self.low - 1)
            below = min(
                (q for q, r in self.known.items() if r < target and q > above),
                default=self.high + 1,
            )
            if below - above <= 1:
                break
            width = below - above
            halve = not halve and width > previous_width / 2
            q = (above + below) // 2 if halve else self._predict(target, above, below)
            previous_width = width
            self._look(min(max(q, above + 1), below - 1))
        assert nearest is not None
        return nearest, self._distance(nearest, target) < REACH

    def _look(self, q: int) -> None:
        if q not in self.known:
            self.known[q] = self.rate(q)

    def _nearest(self, target: float) -> int | None:
        return min(self.known, key=lambda q: self._distance(q, target), default=None)

    def _distance(self, q: int, target: float) -> float:
        return abs(math.log(self.known[q] / target))

    def _predict(self, target: float, above: int, below: int) -> int:
        """Where the line through the two nearest known points meets the target."""
        if not self.known:
            return self.guess
        points = sorted(self.known, key=lambda q: self._distance(q, target))
        q = points[0]
        slope = _SLOPE
        inside = [p for p in (above, below) if p in self.known]
        pair = inside if len(inside) == 2 else points[:2]
        if len(pair) == 2:
            measured = (math.log(self.known[pair[1]]) - math.log(self.known[pair[0]])) / (
                pair[1] - pair[0]
            )
            slope = measured if measured < -1e-3 else _SLOPE
        return round(q + (math.log(target) - math.log(self.known[q])) / slope)
