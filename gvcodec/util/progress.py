"""Progress of a command on standard error: a bar on a terminal, a line every ten seconds elsewhere,
or JSON.

    with ProgressBar(["code", "fit"]) as bar:
        bar.begin("encode", 300)
        ...  # bar.coded(frames, bytes), bar.fitted(share) as work is done

Share done = work of the stages so far / work of all stages, by `COSTS`; it never goes back, and is
100 % only at the end. Time left = that of this stage, by its pace or by an earlier one of its kind,
and of those to come, by one of their kind or by `COSTS`; "estimating…" before that is known.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypeVar

from gvcodec.util.messages import count_noun, say, write_above

Item = TypeVar("Item")
#: Work of a stage, relative to "code"; trials and probes code with a fast preset.
COSTS = {"count": 0.02, "probe": 0.08, "trial": 0.08, "code": 1.0, "fit": 0.28, "paint": 0.04}
#: Seconds, and share of the frames sent to the encoder, after which the time so far predicts the
#: time left: frames inside an encoder's look-ahead are not measured yet.
_FIRST, _ENOUGH = 2.0, 0.3
#: Most of the bar before the end.
_ALMOST = 0.99


@dataclass(frozen=True, slots=True)
class State:
    """How far it is: `share` 0…1 of all, `left` seconds (None = not known yet). `frames` of `total`
    (None = unknown) are coded or painted, None where fitting is done. `kbps`: of the coded
    frames."""

    stage: str
    share: float
    left: float | None
    frames: int | None = None
    total: int | None = None
    note: str = ""
    kbps: float | None = None

    @property
    def words(self) -> str:
        frames = self.frames
        count = "" if frames is None else count_noun(frames, "frame")
        if frames is not None and self.total:
            count = f"{frames}/{self.total} frames"
        left = "" if self.left is None else f"{minutes(self.left)} left"
        if self.left is None and (self.total or frames is None):
            left = "estimating…"
        return "  ".join(part for part in (left, count, self.note) if part)

    def json(self) -> str:
        left = None if self.left is None else round(self.left, 1)
        values = {
            "stage": self.stage,
            "share": round(self.share, 4),
            "seconds_left": left,
            "frames": self.frames,
            "total": self.total,
            "kbps": None if self.kbps is None else round(self.kbps, 1),
        }
        return json.dumps({name: value for name, value in values.items() if value is not None})


#: A bar on a terminal and lines elsewhere, JSON, nothing; or a function that gets the states, in
#: the thread that does the work.
Mode: TypeAlias = Literal["auto", "json", "none"] | Callable[[State], None]


#: Those of the command line.
MODES = ("auto", "json", "none")
#: Seconds between two looks of the bar, two objects of JSON, two lines.
_REDRAW, _OBJECT, _LINE = 0.1, 1.0, 10.0


@dataclass(slots=True)
class _Stage:
    """`total`: frames, None = not known, 1 for "fit". `fed`: frames that went in, `done`: that came
    out; for "fit" both are the share, 0…1."""

    kind: str
    what: str
    total: int | None
    began: float
    fed: float = 0
    done: float = 0

    @property
    def part(self) -> float:
        """An encoder with look-ahead works on what went in, too."""
        return min(1.0, (0.55 * self.fed + 0.45 * self.done) / self.total) if self.total else 0.0

    @property
    def is_measured(self) -> bool:
        """Whether the time so far says how long the stage takes."""
        if self.kind == "code":
            return self.done >= max(1.0, _ENOUGH * self.fed)
        return self.part >= (_ENOUGH if self.kind == "fit" else 1e-9)


class ProgressBar:
    """The `Progress` of an encoder and the `Watch` of rate control. `plan`: kinds of `COSTS` that
    are expected, in order. `rate` gives kb/s and a note from the number of coded frames and their
    bytes. `verbose`: a line for each stage that ended, and what fitting found."""

    def __init__(
        self,
        plan: Sequence[str],
        rate: Callable[[int, int], tuple[float, str]] | None = None,
        mode: Mode = "auto",
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self.rate, self._verbose, self._clock = list(plan), rate, verbose, clock
        self._mode, self._began = mode, clock()
        #: When a state was shown last, and of which stage; the bar on a terminal.
        self._shown: tuple[float, str] | None = None
        self._bar: Any = None
        self._stage: _Stage | None = None
        #: Work of the stages that ended.
        self._gone = 0.0
        #: Seconds of the last one that ended, by kind.
        self._took: dict[str, float] = {}
        self._share = 0.0
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        done = State(self._shown[1], 1.0, 0.0) if self._shown and kind is None else None
        if done and self._mode not in ("auto", "none"):
            self._tell(done)
        if self._bar is not None:
            write_above(None)
            if done:
                self._draw(done)
            self._bar.close()
        self._end()

    def __call__(self, frames: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        """Begin a stage and give back its frames, counted where no encoder says more."""
        self.begin(what, total)
        for number, frame in enumerate(frames, 1):
            yield frame
            if self._stage is not None:
                self._stage.fed = number
            if what in ("count", "probe"):
                self.coded(number, 0)
            else:
                self._show()

    def begin(self, what: str, total: int | None) -> None:
        """The next stage: "count", "probe", "trial" or any other name for one that codes."""
        self._next(what if what in COSTS else "code", what, total)

    def expect(self, total: int) -> None:
        """The frames of this stage, where they become known later."""
        if self._stage is not None:
            self._stage.total = total

    def coded(self, frames: int, size: int) -> None:
        if self._stage is not None:
            self._size = size
            self._take(self._stage, frames)

    def fitted(self, share: float) -> None:
        if self._stage is None or self._stage.kind != "fit":
            self._next("fit", "fit", 1)
        assert self._stage is not None
        self._take(self._stage, share)

    def painted(self, frames: int, total: int) -> None:
        """So many frames are painted for the hash; while others are coded that is part of it."""
        stage = self._stage
        if stage is None or (stage.kind not in ("fit", "paint") and stage.done < total):
            return
        if stage.kind != "paint":
            self._next("paint", "paint", total)
        assert self._stage is not None
        self._take(self._stage, frames)

    def say(self, line: str) -> None:
        """Print a line about fitting, with `--verbose` only."""
        if self._verbose:
            say(line)

    def _take(self, stage: _Stage, done: float) -> None:
        stage.done, stage.fed = done, max(stage.fed, done)
        self._show()

    def _next(self, kind: str, what: str, total: int | None) -> None:
        """Begin a stage; planned stages before the next one of this kind are skipped."""
        self._end()
        if kind in self._plan:
            del self._plan[: self._plan.index(kind) + 1]
        self._size = 0
        self._stage = _Stage(kind, what, total, self._clock())
        self._show()

    def _end(self) -> None:
        stage, self._stage = self._stage, None
        if stage is not None:
            took = self._took[stage.kind] = self._clock() - stage.began
            self._gone += COSTS[stage.kind]
            if self._verbose:
                say(f"{stage.what}: {took:.1f} s")

    def _show(self) -> None:
        stage = self._stage
        if stage is None or not self._is_time(stage.what):
            return
        own = COSTS[stage.kind]
        whole = self._gone + own + sum(COSTS[kind] for kind in self._plan)
        work = self._gone + own * stage.part
        self._share = max(self._share, min(_ALMOST, work / whole))
        left = self._left(stage, work)
        if stage.kind == "fit":
            self._tell(State(stage.what, self._share, left))
            return
        frames, kbps, note = int(stage.done), None, ""
        if self.rate and self._size and frames:
            kbps, note = self.rate(frames, self._size)
        self._tell(State(stage.what, self._share, left, frames, stage.total, note, kbps))

    def _is_time(self, what: str) -> bool:
        """Whether the next state is to be shown: as often as is of use."""
        if self._mode == "none":
            return False
        now, (last, stage) = self._clock(), self._shown or (self._began, None)
        if self._mode == "auto" and not sys.stderr.isatty():
            return now - last >= _LINE
        return what != stage or now - last >= (_OBJECT if self._mode == "json" else _REDRAW)

    def _tell(self, state: State) -> None:
        """Show a state on standard error, or hand it to a function."""
        self._shown = self._clock(), state.stage
        if callable(self._mode):
            self._mode(state)
        elif self._mode == "json":
            print(state.json(), file=sys.stderr, flush=True)
        elif sys.stderr.isatty():
            self._draw(state)
        else:
            share = f"{100 * state.share:.0f} %  " * (state.left is not None)
            say(f"{state.stage}: {share}{state.words}")

    def _draw(self, state: State) -> None:
        if self._bar is None:
            from tqdm import tqdm

            # Nothing is drawn before there is something to say.
            self._bar = tqdm(
                total=1.0, leave=False, file=sys.stderr, dynamic_ncols=True, delay=1e-9
            )
            write_above(partial(tqdm.write, file=sys.stderr))
        bar = "{percentage:3.0f}%|{bar:20}| " * (bool(state.total) or state.frames is None)
        self._bar.n = state.share
        self._bar.bar_format = f"{state.stage} {bar}{state.words}"
        self._bar.refresh()

    def _left(self, stage: _Stage, work: float) -> float | None:
        """Seconds, None where too little is known to say. `work` is done, by `COSTS`."""
        now, took = self._clock(), self._took
        here = now - stage.began
        if not stage.total or now - self._began < _FIRST:
            return None
        if stage.is_measured:
            whole = here / stage.part
        elif stage.kind in took:
            whole = max(took[stage.kind], here)
        else:
            return None
        coding = whole if stage.kind == "code" else took.get("code", (now - self._began) / work)
        return whole - here + sum(took.get(kind, coding * COSTS[kind]) for kind in self._plan)


def minutes(seconds: float) -> str:
    """`1:05`, `1:02:05`."""
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{rest // 60}:{rest % 60:02d}"
