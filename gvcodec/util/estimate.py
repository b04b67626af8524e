"""How long a command takes: work of its stages in processor seconds, over the rate at which this
process gets them.

    estimate = Estimate(["code", "fit", "paint"], Work(frame=1.1, fit=75, paint=0.03))
    estimate.begin("code", "encode", frames)
    estimate.stage.fed, estimate.stage.done = 40, 3
    estimate.remaining()  # seconds, None before the first one is over

An encoder with look-ahead gives nothing out for a long time, but it works, and the processor time
of this process says how much. `Work` has what the stages take on the machine where it was measured;
frames that come out, and steps of fitting, replace it by what they take here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Seconds after which the rate of a process says something.
_FIRST = 1.0
#: Processor seconds a second below which the work is done by processes that are not counted.
_IDLE = 0.02
#: Part of a frame inside the encoder that is done: SVT-AV1 at preset 2, which took 72 frames before
#: the first one came out, had done more than half of the work for 100 of them by then.
_INSIDE = 0.8
#: Least work for frames that did not come out yet, over the mean of the others.
_LEAST = 0.3
#: Most of the bar before the end.
_ALMOST = 0.99
#: What a stage costs, where "code" is 1: preset 8 of SVT-AV1 against 2, and reading alone.
COSTS = {"count": 0.03, "probe": 0.15, "trial": 0.15, "code": 1.0}


@dataclass(frozen=True, slots=True)
class Work:
    """Processor seconds: of coding a `frame`, of painting one, and of all of `fit`. `fit_limit`:
    seconds on the clock, where fitting ends by it."""

    frame: float = 1.0
    paint: float = 0.0
    fit: float = 0.0
    fit_limit: float | None = None


@dataclass(slots=True)
class Stage:
    """`kind`: of `COSTS`, "fit" or "paint". `total`: frames, None = not known, 1 for "fit". `fed`:
    frames that went in, `done`: that came out; for "fit" both are the share, 0…1."""

    kind: str
    what: str
    total: int | None
    began: float
    spent: float
    fed: float = 0
    done: float = 0


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


class Estimate:
    """Time of some stages. `plan`: kinds of those that are expected, in order. `clock`,
    `processor`: seconds that go by, and that are worked."""

    def __init__(
        self,
        plan: Sequence[str],
        work: Work | None = None,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = processor_seconds,
    ) -> None:
        self._plan, self._work = list(plan), work or Work()
        self._clock, self._processor = clock, processor
        self._began, self._spent = clock(), processor()
        self.stage: Stage | None = None
        self._frames: int | None = None
        #: Seconds of the stages of a kind that ended, by kind.
        self._took: dict[str, list[float]] = {}
        #: Work of what was coded over what was expected.
        self._factor = 1.0
        self._share = 0.0

    @property
    def elapsed(self) -> float:
        return self._clock() - self._began

    def begin(self, kind: str, what: str, total: int | None = None) -> Stage:
        """The next stage; those of the plan before one of this kind are left out."""
        self.end()
        if kind in self._plan:
            del self._plan[: self._plan.index(kind) + 1]
        self._frames = total or self._frames
        total = 1 if kind == "fit" else total
        self.stage = Stage(kind, what, total, self._clock(), self._processor())
        return self.stage

    def end(self) -> float:
        """The current stage is over. Gives its seconds."""
        stage, self.stage = self.stage, None
        if stage is None:
            return 0.0
        took = self._clock() - stage.began
        self._took.setdefault(stage.kind, []).append(took)
        return took

    def remaining(self) -> float | None:
        """Seconds; None where nothing is known yet."""
        stage = self.stage
        if stage is None or not stage.total:
            return None
        seconds = self._clock() - stage.began
        spent = self._processor() - stage.spent
        if seconds < _FIRST and not stage.done and not self._took:
            return None
        rate = spent / seconds if seconds >= _FIRST else self._rate()
        if stage.kind == "fit" and self._work.fit_limit is not None:
            left = max(0.0, self._work.fit_limit - seconds)
        elif rate <= _IDLE:
            # Other processes work, or none can be measured: what came out has to do.
            if not stage.done:
                return None
            rate = 1.0
            left = seconds * (stage.total - stage.done) / stage.done
        else:
            left = (self._whole(stage, spent) - spent) / rate
        return left + sum(self._plan_seconds(kind, rate) for kind in self._plan)

    def share(self) -> float:
        """0…0.99, never less than before."""
        left, gone = self.remaining(), self.elapsed
        if left is not None and gone > 0:
            self._share = max(self._share, min(_ALMOST, gone / (gone + left)))
        return self._share

    def _whole(self, stage: Stage, spent: float) -> float:
        """Work of a stage of which so much is spent: what was expected, more and more replaced by
        what the frames took, and between the bounds that they set."""
        total = stage.total or 1
        fed, done = min(total, max(stage.fed, stage.done)), min(total, stage.done)
        whole = expected = self._expect(stage.kind, total) or spent
        if done:
            sure = (done / fed) ** 3
            measured = spent * total / (done + _INSIDE * (fed - done))
            whole = min(expected ** (1 - sure) * measured**sure, spent * total / done)
        whole = max(whole, spent * (1 + _LEAST * (total - done) / total))
        if stage.kind not in ("fit", "paint"):
            # Half of it is the machine and holds for what follows, half is this video (root).
            self._factor = min(10.0, max(0.1, whole / expected)) ** 0.5
        return whole

    def _expect(self, kind: str, frames: int) -> float:
        """Work of a whole stage of this kind."""
        work = self._work
        if kind == "fit":
            return work.fit * self._factor
        if kind == "paint":
            return work.paint * frames * self._factor
        return COSTS[kind] * work.frame * frames

    def _plan_seconds(self, kind: str, rate: float) -> float:
        """Seconds of a stage that is to come."""
        if took := self._took.get(kind):
            return sum(took) / len(took)
        if kind == "fit" and self._work.fit_limit is not None:
            return self._work.fit_limit
        return self._expect(kind, self._frames or 0) / rate

    def _rate(self) -> float:
        """Processor seconds a second since the start."""
        return max(_IDLE, (self._processor() - self._spent) / max(self.elapsed, 1e-9))
