"""Cost model of fitting, for forecasts of its time. Unit: a look at seven crops that were seen
before; the first look at a crop, which falls to the first steps, costs more (one core of a 2026
server, three clips of 480p and 360p, to 10 %)."""

from __future__ import annotations

#: To load torch, to meet the held-out crops, of a look at them.
_LOAD, _MEET, _JUDGE = 4.0, 1.8, 1.2
#: Steps, and looks at the held-out crops, after which fitting may end: see `fit`.
LOOK, _LOOKED = 3, 3
#: Of these steps, which meet most crops, and of later ones.
_STEP, _LATER = 3.7, 2.8
#: Looks at the held-out crops in all: two before the first step, the forecast, two step sizes, the
#: last.
JUDGED = 6
#: Weight of what goes on after the look.
_ON = 0.6


def work_of(steps: float, judged: float = JUDGED) -> float:
    """Units of work of so many steps and looks at the held-out crops."""
    early = min(steps, LOOK)
    work = _STEP * early + _LATER * (steps - early) + _JUDGE * judged
    return _LOAD + _MEET * (judged > 0) + work


def expected_work(steps: float) -> float:
    """Units to expect of so many steps while nobody knows whether they end after `LOOK`, as they do
    for a third of the videos: a geometric mean of both, so that neither is far off."""
    whole = work_of(steps)
    return work_of(LOOK, _LOOKED) ** (1 - _ON) * whole**_ON if steps > LOOK else whole


def share_done(done: float, judged: float, steps: float) -> float:
    """Part, 0…1, of the work of `steps` steps that so many steps and looks are. It may fall after
    `LOOK` steps, when it is known that there will be more."""
    whole = work_of(steps) if done > LOOK else expected_work(steps)
    return min(1.0, work_of(done, judged) / whole)
