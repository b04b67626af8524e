"""How far a command is, on standard error: a bar on a terminal, a line every ten seconds elsewhere,
or JSON.

    with ProgressBar(["code", "fit"], Work(frame=1.1, fit=75)) as bar:
        bar.begin("encode", 300)
        ...  # bar.coded(frames, bytes), bar.fitted(share) as work is done

The part that is done is time: that which went by over that and what is still to come (`estimate`).
It never goes back, and is 100 % only at the end.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, TypedDict, TypeVar

from gvcodec.util.estimate import COSTS, Estimate, Work, processor_seconds
from gvcodec.util.messages import count_noun, say

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class State:
    """How far it is: `share` 0…1 of all, `left` seconds (None = unknown). `frames` of `total` (None
    = unknown) are coded or painted, None where fitting is done. `kbps`: of the coded frames."""

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
        return "  ".join(filter(None, (left, count, self.note)))

    def json(self) -> str:
        """One object, in one line."""
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


class ProgressOptions(TypedDict):
    """How to show it, as `ProgressBar` takes it."""

    mode: Mode
    verbose: bool


#: Those of the command line.
MODES = ("auto", "json", "none")
#: Seconds between two looks of the bar, two objects of JSON, two lines.
_REDRAW, _OBJECT, _LINE = 0.1, 1.0, 10.0
#: Seconds between two looks while nothing comes out of an encoder.
_TICK = 0.5
_BAR, _COUNT = "{desc} {percentage:3.0f}%|{bar:30}|{postfix}", "{desc}{postfix}"


class Display:
    """Shows states on standard error, as often as is of use, or hands them to a function."""

    def __init__(self, mode: Mode = "auto", clock: Callable[[], float] = time.monotonic) -> None:
        self._mode, self._clock = mode, clock
        self._shown: float | None = None
        self._stage = ""
        self._bar: Any = None
        self._begun = clock()

    def wants(self, stage: str) -> bool:
        """Whether it is time for the next state."""
        if self._mode == "none":
            return False
        now, terminal = self._clock(), self._mode == "auto" and sys.stderr.isatty()
        since = self._begun if self._shown is None else self._shown
        if terminal or self._mode != "auto":
            pause = _OBJECT if self._mode == "json" else _REDRAW
            return self._shown is None or stage != self._stage or now - since >= pause
        return now - since >= _LINE

    def show(self, state: State) -> None:
        self._shown, self._stage = self._clock(), state.stage
        if callable(self._mode):
            self._mode(state)
        elif self._mode == "json":
            print(state.json(), file=sys.stderr, flush=True)
        elif sys.stderr.isatty():
            self._draw(state)
        else:
            share = f"{100 * state.share:.0f} %  " * (state.left is not None)
            say(f"{state.stage}: {share}{state.words}")

    def close(self, whole: bool) -> None:
        """The end; `whole`: all is done."""
        if whole and self._mode not in ("auto", "none") and self._shown is not None:
            self.show(State(self._stage, 1.0, 0.0))
        if self._bar is None:
            return
        if whole:
            self._bar.n = 1.0
            self._bar.bar_format = _BAR
            self._bar.refresh()
        self._bar.close()

    def _draw(self, state: State) -> None:
        if self._bar is None:
            from tqdm import tqdm

            # A terminal may not know its size, and the size may change.
            self._bar = tqdm(
                total=1.0, leave=False, file=sys.stderr, bar_format=_BAR, ncols=80, nrows=24
            )
        self._bar.ncols = shutil.get_terminal_size().columns - 1
        self._bar.n = state.share
        self._bar.bar_format = _BAR if state.total or state.frames is None else _COUNT
        self._bar.set_description_str(state.stage, refresh=False)
        self._bar.set_postfix_str(state.words, refresh=False)
        self._bar.refresh()


class ProgressBar:
    """Shows an `Estimate`. It is the `Progress` of an encoder and the `Watch` of rate control.

    `plan` and `work` as for `Estimate`. `rate` gives kb/s and a note from the number of coded
    frames and their bytes. `verbose`: a line for each stage that ended, and what fitting found."""

    def __init__(
        self,
        plan: Sequence[str],
        work: Work | None = None,
        rate: Callable[[int, int], tuple[float, str]] | None = None,
        mode: Mode = "auto",
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = processor_seconds,
    ) -> None:
        self._estimate = Estimate(plan, work, clock, processor)
        self._display = Display(mode, clock)
        self._rate, self._verbose = rate, verbose
        self._size = 0
        self._lock, self._over = threading.RLock(), threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._shows = mode in ("auto", "json")

    def __enter__(self) -> Self:
        if self._shows:
            self._ticker.start()
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        self._over.set()
        if self._shows:
            self._ticker.join()
        self._display.close(kind is None)
        self._end()

    def __call__(self, frames: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        """Begin a stage and give back its frames. Where no encoder says what is coded, those that
        were read count."""
        self.begin(what, total)
        for number, frame in enumerate(frames, 1):
            yield frame
            if self._estimate.stage is not None:
                self._estimate.stage.fed = number
            if what in ("count", "probe"):
                self.coded(number, 0)
            else:
                self._show()

    def begin(self, what: str, total: int | None) -> None:
        """The next stage: "count", "probe", "trial" or any other name for one that codes."""
        self._next(what if what in COSTS else "code", what, total)

    def coded(self, frames: int, size: int) -> None:
        if self._estimate.stage is not None:
            self._estimate.stage.done = frames
            self._size = size
            self._show()

    def fitted(self, share: float) -> None:
        stage = self._estimate.stage
        if stage is None or stage.kind != "fit":
            self._next("fit", "fit", None)
            stage = self._estimate.stage
        assert stage is not None
        stage.fed = stage.done = share
        self._show()

    def painted(self, frames: int, total: int) -> None:
        """So many frames are painted for the hash; while others are coded that is part of it."""
        stage = self._estimate.stage
        if stage is None or (stage.kind not in ("fit", "paint") and stage.done < total):
            return
        if stage.kind != "paint":
            self._next("paint", "paint", total)
            stage = self._estimate.stage
        assert stage is not None
        stage.fed = stage.done = frames
        self._show()

    def say(self, line: str) -> None:
        """What fitting finds is for those who look into it."""
        if self._verbose:
            say(line)

    def _next(self, kind: str, what: str, total: int | None) -> None:
        with self._lock:
            self._end()
            self._size = 0
            self._estimate.begin(kind, what, total)
            self._look()

    def _end(self) -> None:
        stage = self._estimate.stage
        took = self._estimate.end()
        if stage is not None and self._verbose:
            say(f"{stage.what}: {took:.1f} s")

    def _tick(self) -> None:
        """An encoder with look-ahead may be silent for minutes."""
        while not self._over.wait(_TICK):
            with contextlib.suppress(OSError, ValueError):  # nobody is there to see it
                self._show()

    def _show(self) -> None:
        with self._lock:
            self._look()

    def _look(self) -> None:
        stage = self._estimate.stage
        if stage is None or not self._display.wants(stage.what):
            return
        left, share = self._estimate.remaining(), self._estimate.share()
        if stage.kind == "fit":
            self._display.show(State(stage.what, share, left))
            return
        frames = int(stage.done)
        kbps, note = None, ""
        if self._rate and self._size and frames:
            kbps, note = self._rate(frames, self._size)
        self._display.show(State(stage.what, share, left, frames, stage.total, note, kbps))


def minutes(seconds: float) -> str:
    """`1:05`, `1:02:05`."""
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{rest // 60}:{rest % 60:02d}"
