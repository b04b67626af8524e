"""Progress of a command on standard error: a bar for each stage on a terminal, a line every ten
seconds elsewhere, or JSON.

    with ProgressBar() as bar:
        bar.begin("encode", 300)
        ...  # bar.coded(frames, bytes) as work is done
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypeVar

from gvcodec.util.deprecation import renamed_attributes
from gvcodec.util.messages import count_noun, is_terminal, log_line, write_above, write_line

Item = TypeVar("Item")
#: Stages that are counted as frames are read; in others the encoder counts coded frames.
_READING = ("count", "probe")
#: Seconds of a stage after which its pace says how long it takes, and the share of it before which
#: only frames after the first ones count: encoders look ahead before these.
_FIRST, _EARLY = 2.0, 0.05


@renamed_attributes(left="seconds_left", words="summary_line")
@dataclass(frozen=True, slots=True)
class State:
    """How far a stage is: `share` 0…1 of it, `seconds_left` seconds (None = not known yet).
    `frames` of `total` (None = unknown) are coded or painted. `kbps`: of the coded frames."""

    stage: str
    share: float
    seconds_left: float | None
    frames: int | None = None
    total: int | None = None
    note: str = ""
    kbps: float | None = None

    @property
    def summary_line(self) -> str:
        frames = self.frames
        count = "" if frames is None else count_noun(frames, "frame")
        if frames is not None and self.total:
            count = f"{frames}/{self.total} frames"
        remaining = "" if self.seconds_left is None else f"{format_minutes(self.seconds_left)} left"
        if self.seconds_left is None and (self.total or frames is None):
            remaining = "estimating…"
        return "  ".join(part for part in (remaining, count, self.note) if part)

    def json(self) -> str:
        seconds_left = None if self.seconds_left is None else round(self.seconds_left, 1)
        values = {
            "stage": self.stage,
            "share": round(self.share, 4),
            "seconds_left": seconds_left,
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


class ProgressBar:
    """The `Progress` of an encoder and the `ProgressWrapper` of rate control. `rate` gives kb/s and
    a note from the number of coded frames and their bytes. `verbose`: a line for each stage that
    ended."""

    def __init__(
        self,
        mode: Mode = "auto",
        verbose: bool = False,
        rate: Callable[[int, int], tuple[float, str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate, self._mode, self._verbose, self._clock = rate, mode, verbose, clock
        self._stage, self._start = "", clock()
        #: Frames of the stage.
        self._done: float = 0
        #: When the first of them were done, and how many these were.
        self._pace_start: tuple[float, float] | None = None
        self._total: int | None = None
        self._size = 0
        #: Frames of a stage that is counted in shares, and a note on it.
        self._coded_frames: int | None = None
        self._note = ""
        #: When a state was shown last, and of which stage; the bar on a terminal.
        self._last_report, self._last_stage = self._start, ""
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        if kind is None and self._last_stage and self._mode != "auto":
            self._report(State(self._last_stage, 1.0, 0.0))
        self._end()

    def __call__(self, frames: Iterable[Item], stage: str, total: int | None) -> Iterator[Item]:
        """Begin a stage and give back its frames, counted where no encoder says more."""
        self.begin(stage, total)
        for number, frame in enumerate(frames, 1):
            yield frame
            if stage in _READING:
                self._done = number
            self._show()

    def begin(self, stage: str, total: int | None) -> None:
        """The next stage."""
        self._end()
        self._stage, self._total, self._start = stage, total, self._clock()
        self._done = self._size = 0
        self._coded_frames = None
        self._pace_start = None
        self._show()

    def expect(self, total: int) -> None:
        """The frames of this stage, where they become known later."""
        self._total = total

    def coded(self, frames: int, size: int) -> None:
        self._done, self._size = frames, size
        self._show()

    def done_share(self, share: float, frames: int, note: str) -> None:
        """So much of the stage is done, and `frames` of an unknown number."""
        self._done, self._total, self._coded_frames, self._note = share, 1, frames, note
        self._show()

    def painted(self, frames: int, total: int) -> None:
        """So many frames are painted for the hash; while others are coded that is part of it."""
        if self._stage != "paint" and self._done < total:
            return
        if self._stage != "paint":
            self.begin("paint", total)
        self.coded(frames, 0)

    def _end(self) -> None:
        if self._bar is not None:
            write_above(None)
            self._bar.close()
            self._bar = None
        if self._stage and self._verbose:
            log_line(f"{self._stage}: {self._clock() - self._start:.1f} s")
        self._stage = ""

    def _show(self) -> None:
        if self._done and self._pace_start is None:
            self._pace_start = self._clock(), self._done
        if not self._stage or not self._is_due():
            return
        share = min(1.0, self._done / self._total) if self._total else 0.0
        seconds_left = self._seconds_left()
        if self._coded_frames is not None:
            frames, note = self._coded_frames, self._note
            self._report(State(self._stage, share, seconds_left, frames, None, note))
            return
        frames, kbps, note = int(self._done), None, ""
        if self.rate and self._size and frames:
            kbps, note = self.rate(frames, self._size)
        self._report(State(self._stage, share, seconds_left, frames, self._total, note, kbps))

    def _seconds_left(self) -> float | None:
        """Seconds until the stage ends at the pace that it has, None while nobody can tell."""
        if not self._total or not self._pace_start:
            return None
        now, (start, done_before) = self._clock(), self._pace_start
        if self._done == done_before or now - start < _FIRST:
            if self._done < _EARLY * self._total:
                return None
            start, done_before = self._start, 0
        if now - start < _FIRST:
            return None
        return (now - start) / (self._done - done_before) * max(0.0, self._total - self._done)

    def _is_due(self) -> bool:
        """Whether to show the next state: only as often as useful."""
        if self._mode == "none":
            return False
        elapsed = self._clock() - self._last_report
        if self._mode == "auto" and not is_terminal():
            return elapsed >= _LINE
        interval = _OBJECT if self._mode == "json" else _REDRAW
        return self._last_stage != self._stage or elapsed >= interval

    def _report(self, state: State) -> None:
        """Show a state on standard error, or hand it to a function."""
        self._last_report, self._last_stage = self._clock(), state.stage
        if callable(self._mode):
            self._mode(state)
        elif self._mode == "json":
            write_line(state.json())
        elif is_terminal():
            self._draw(state)
        else:
            share = f"{100 * state.share:.0f} %  " if state.seconds_left is not None else ""
            log_line(f"{state.stage}: {share}{state.summary_line}")

    def _draw(self, state: State) -> None:
        if self._bar is None:
            from tqdm import tqdm

            # Nothing is drawn before there is something to say.
            self._bar = tqdm(
                total=1.0, leave=False, file=sys.stderr, dynamic_ncols=True, delay=1e-9
            )
            write_above(partial(tqdm.write, file=sys.stderr))
        has_share = bool(state.total or state.share) or state.frames is None
        share = "{percentage:3.0f}%|{bar:20}| " if has_share else ""
        self._bar.n = state.share
        self._bar.bar_format = f"{state.stage} {share}{state.summary_line}"
        self._bar.refresh()


def format_minutes(seconds: float) -> str:
    """`1:05`, `1:02:05`."""
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{rest // 60}:{rest % 60:02d}"
