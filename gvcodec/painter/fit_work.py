"""How much work fitting is, for who forecasts it. Unit: a look at eight crops whose sources are
known; the first look at a crop, which most steps have, costs twice as much again (one core of a
2026 server, 720p, 480p and 360p, to 5 %)."""

from __future__ import annotations

#: To begin, of a step, of a look at the held-out crops, the first of which meet them.
_BEGIN, _STEP, _JUDGE = 4.5, 2.7, 1.2
#: Looks at the held-out crops in all: two before the first step, the forecast, two step sizes, the
#: last.
JUDGED = 6


def work_of(steps: float, judged: float = JUDGED) -> float:
    """Units of work of so many steps and looks at the held-out crops."""
    return _BEGIN + _STEP * steps + _JUDGE * judged
