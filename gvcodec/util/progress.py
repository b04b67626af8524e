"""One bar for everything that a command does, on a terminal only.

    with ProgressBar(["code", "fit"], fit=60) as bar:
        bar.begin("encode", 300)
        ...                                # bar.coded(frames, bytes), bar.fitted(share) as work is done

The part that is done is time: that which went by over that and what is still to come. The latter is
measured where there is something to measure, and guessed from the plan where there is not. The bar
never goes back, and shows 100 % only at the end.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from gvcodec.util.messages import counted

Item = TypeVar("Item")

#: What a stage costs, where "code" is 1, before one of its kind was seen. Measured at 720p: preset
#: 8 of SVT-AV1 against 2.
_COSTS = {"count": 0.03, "probe": 0.15, "trial": 0.15, "code": 1.0}
#: Seconds of a step of fitting on two cores, until it is measured.
_STEP = 1.0
#: The bar before the end.
_ALMOST = 0.99
#: Seconds between two looks of the bar.
_REDRAW = 0.1
_BAR, _COUNT = "{desc} {percentage:3.0f}%|{bar:30}|{postfix}", "{desc}{postfix}"
#: The part of a stage from which on its speed says something.
_TELLING = 0.05


@dataclass(slots=True)
class Stage:
    """`kind`: one of `_COSTS`, or "fit". `total`: frames, None = not known. `share`: part that is
    done."""

    kind: str
    what: str
    total: int | None
    began: float
    share: float = 0.0


class Estimate:
    """How much of some stages is done. `plan`: kinds of the stages that are expected, in order,
    "fit" with its seconds."""

    def __init__(
        self, plan: Sequence[str], fit: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = list(plan)
        self._fit = fit
        self._clock = clock
        self._began = clock()
        self._stage: Stage | None = None
        #: Seconds that stages took, and how many there were, by kind.
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._count: Counter[str] = Counter()
        self._share = 0.0

    @property
    def stage(self) -> Stage | None:
        return self._stage

    def begin(self, kind: str, what: str, total: int | None = None) -> Stage:
        """The next stage; those of the plan before one of this kind are left out."""
        now = self._clock()
        if self._stage is not None:
            self._spent[self._stage.kind] += now - self._stage.began
            self._count[self._stage.kind] += 1
        if kind in self._plan:
            del self._plan[: self._plan.index(kind) + 1]
        self._stage = Stage(kind, what, total, now)
        return self._stage

    def remaining(self) -> float | None:
        """Seconds, None where nothing is known yet."""
        stage = self._stage
        if stage is None or (stage.kind != "fit" and not self._speed()):
            return None
        spent = self._clock() - stage.began
        if stage.share >= _TELLING:
            left = spent * (1 - stage.share) / stage.share
        else:
            left = max(0.0, self._cost(stage.kind) - spent)
        return left + sum(map(self._cost, self._plan))

    def share(self) -> float:
        """0…0.99, never less than before."""
        left, gone = self.remaining(), self._clock() - self._began
        if left is not None and gone > 0:
            self._share = max(self._share, min(_ALMOST, gone / (gone + left)))
        return self._share

    def _cost(self, kind: str) -> float:
        """Seconds of a whole stage of this kind."""
        if self._count[kind]:
            return self._spent[kind] / self._count[kind]
        return self._fit if kind == "fit" else _COSTS[kind] * self._speed()

    def _speed(self) -> float:
        """Seconds of "code", going by what was coded so far; 0 = nothing was."""
        seconds = sum(spent for kind, spent in self._spent.items() if kind != "fit")
        done: float = sum(
            count * _COSTS[kind] for kind, count in self._count.items() if kind != "fit"
        )
        stage = self._stage
        if stage is not None and stage.kind != "fit" and stage.share >= _TELLING:
            seconds += self._clock() - stage.began
            done += stage.share * _COSTS[stage.kind]
        return seconds / done if done else 0.0


class ProgressBar:
    """Shows an `Estimate` on standard error, if that is a terminal. It is the `Progress` of an
    encoder and the `Watch` of rate control.

    `note` may say more about what is coded, from frames and bytes. `clock`: seconds."""

    def __init__(
        self,
        plan: Sequence[str],
        fit: float = 0.0,
        note: Callable[[int, int], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._estimate = Estimate(plan, fit, clock)
        self._clock, self._note = clock, note
        self._drawn = -math.inf
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is None:
            return
        if kind is None:
            self._bar.n = 1.0
            self._bar.bar_format = _BAR
            self._bar.refresh()
        self._bar.close()

    def __call__(self, frames: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        """Begin a stage and give back its frames. Where no encoder says what is coded, those that
        were read count."""
        self.begin(what, total)
        for number, frame in enumerate(frames, 1):
            yield frame
            if what in ("count", "probe"):
                self.coded(number, 0)

    def begin(self, what: str, total: int | None) -> None:
        """The next stage: "count", "probe", "trial" or any other name for one that codes."""
        self._estimate.begin(what if what in _COSTS else "code", what, total)

    def coded(self, frames: int, size: int) -> None:
        stage = self._estimate.stage
        if stage is None:
            return
        if stage.total:
            stage.share = min(1.0, frames / stage.total)
        told = f"{frames}/{stage.total} frames" if stage.total else counted(frames, "frame")
        self._draw(told, self._note(frames, size) if self._note and size else "")

    def fitted(self, share: float) -> None:
        stage = self._estimate.stage
        if stage is None or stage.kind != "fit":
            stage = self._estimate.begin("fit", "fit")
        stage.share = share
        self._draw(now=not share)

    def say(self, line: str) -> None:
        """What fitting finds is for those who look into it."""

    def _draw(self, *notes: str, now: bool = False) -> None:
        at, stage = self._clock(), self._estimate.stage
        if stage is None or (at - self._drawn < _REDRAW and not now) or not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            # A terminal may not know its size, and the size may change.
            self._bar = tqdm(
                total=1.0, leave=False, file=sys.stderr, bar_format=_BAR, ncols=80, nrows=24
            )
        self._drawn, left = at, self._estimate.remaining()
        self._bar.ncols = shutil.get_terminal_size().columns - 1
        self._bar.n = self._estimate.share()
        self._bar.bar_format = _BAR if stage.total or stage.kind == "fit" else _COUNT
        self._bar.set_description_str(stage.what, refresh=False)
        told = filter(None, ("" if left is None else f"{_minutes(left)} left", *notes))
        self._bar.set_postfix_str("  ".join(told), refresh=False)
        self._bar.refresh()


def fitting_seconds(fit: float | None, steps: int) -> float:
    """What fitting is expected to take that counts time or, where that is None, steps."""
    return steps * _STEP if fit is None else fit


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
