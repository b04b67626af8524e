"""Finding the quality number at which a codec reaches a target rate.

Rate falls as the quality number rises, nearly exponentially: `gvcodec.rate.bracket` follows its
logarithm. Every encode is remembered, so neighbouring targets share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from gvcodec.rate.bracket import Bracket

TARGETS = (0.005, 0.01, 0.02, 0.04, 0.08)
#: A rate this near (in natural logarithm) is taken without looking for a nearer one: half a step of
#: most quality numbers.
CLOSE = 0.07
#: A codec whose range of quality numbers ends farther than this from a target does not reach it.
REACH = math.log(1.3)
#: Change of log rate a step where only one point is known: about 12 % as in H.264 to VVC.
_SLOPE = math.log(2) / 6


@dataclass
class Search:
    """Search over integers `low`…`high` of a rate function that falls; `rate(q)`, in any unit, is
    called once a value. A rate nearer than `close` (natural logarithm) ends the search."""

    rate: Callable[[int], float]
    low: int
    high: int
    guess: int
    close: float = CLOSE
    samples: dict[int, float] = field(default_factory=dict)

    def __call__(self, target: float) -> tuple[int, bool]:
        """(q whose rate is nearest to `target` in the logarithm, whether that is near enough to
        count)."""
        log_ratios: dict[float, float] = {
            q: math.log(rate / target) for q, rate in self.samples.items()
        }
        bracket = Bracket(self.low, self.high, _SLOPE, self.guess, 1, samples=log_ratios)
        for q in bracket if self._distance(log_ratios) >= self.close else ():
            self.samples[round(q)] = self.rate(round(q))
            log_ratios[q] = math.log(self.samples[round(q)] / target)
            if abs(log_ratios[q]) < self.close:
                break
        nearest = min(log_ratios, key=lambda q: abs(log_ratios[q]))
        return round(nearest), self._distance(log_ratios) < REACH

    @staticmethod
    def _distance(log_ratios: dict[float, float]) -> float:
        return min(map(abs, log_ratios.values()), default=math.inf)
