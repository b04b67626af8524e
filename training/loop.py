"""The one trainer: steps with warm-up and a falling rate, averaged weights (EMA), a curve, state
that is saved every five minutes and resumed, validation, alarms.

    work = …                                # the training task, see `Work`
    loop = Loop(work, Schedule(rate=1e-3, plan_minutes=80), out=Path("out"))
    loop.run(minutes=60)

In `out`: `state.pt` (all that resuming needs), `log.jsonl` (one line every 20 seconds, one for each
validation and alarm check), and the work's files. Minutes are processor time on a processor,
since training may get only a share of it, and wall time on a GPU.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

SAVE_SECONDS, SHOW_SECONDS = 300.0, 20.0


@dataclass(frozen=True)
class Schedule:
    """`rate`: of AdamW, reached after `warm_up` steps, then falling by a cosine to `floor` of it
    over `plan_minutes`, or over `plan_steps` if there are any. `average`: share that the EMA keeps
    of itself, once it has seen enough steps. `clip`: largest norm of a gradient. A step adds the
    gradients of `accumulate` losses. Validation every `validate_minutes`, alarms every
    `check_steps`."""

    rate: float
    plan_minutes: float
    plan_steps: int = 0
    warm_up: int = 300
    floor: float = 0.05
    average: float = 0.995
    clip: float = 1.0
    accumulate: int = 1
    betas: tuple[float, float] = (0.9, 0.98)
    decay: float = 1e-4
    validate_minutes: float = 10.0
    check_steps: int = 200

    def share(self, step: int, minutes: float) -> float:
        """How much of the plan is done, 0 to 1."""
        done = step / self.plan_steps if self.plan_steps else minutes / self.plan_minutes
        return min(1.0, done)

    def rate_at(self, step: int, minutes: float) -> float:
        """Learning rate of a step, counted from 0."""
        fall = max(self.floor, 0.5 + 0.5 * math.cos(math.pi * self.share(step, minutes)))
        return self.rate * fall * min(1.0, (step + 1) / max(1, self.warm_up))


class Work(Protocol):
    """A training task: `model` learns by `loss`; other methods do nothing by default."""

    model: nn.Module

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups; "scale" multiplies the rate of a group."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The scalar to descend on, and its values for the curve; `step` counts losses."""
        ...

    def together(self, last: bool) -> AbstractContextManager[None]:
        """Around a micro-batch; processes add their gradients in the `last` one of a step."""
        return nullcontext()

    def follow_plan(self, share: float) -> None:
        """How much of the plan is done."""
        return None  # noqa: RET501 (mypy takes an empty body for abstract)

    def validate(self, average: nn.Module) -> dict[str, float]:
        """Figures of held-out material; {} where there is none."""
        return {}

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        """Figures of the alarms. Raises `alarms.Alarm`."""
        return {}

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        """The trained file."""
        return None  # noqa: RET501 (mypy takes an empty body for abstract)

    def state(self) -> dict[str, Any]:
        """State for resuming besides weights and moments; tensors and numbers."""
        return {}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        """Restores the result of `state`."""
        return None  # noqa: RET501 (mypy takes an empty body for abstract)


@torch.no_grad()
def follow(mean: nn.Module, model: nn.Module, keep: float) -> None:
    """Update the moving average `mean` with the parameters of `model`; `keep` (0 to 1): decay."""
    for a, b in zip(mean.parameters(), model.parameters(), strict=True):
        a.lerp_(b, 1 - keep)


class Loop:
    """State of a run; see the module. Without `out` nothing is written."""

    def __init__(self, work: Work, schedule: Schedule, out: Path | None = None) -> None:
        self.work, self.schedule, self.out = work, schedule, out
        self.average = copy.deepcopy(work.model)
        self.optimizer = torch.optim.AdamW(
            work.groups(), lr=schedule.rate, betas=schedule.betas, weight_decay=schedule.decay
        )
        device = next(work.model.parameters()).device
        self.device = device
        self._clock = time.process_time if device.type == "cpu" else time.monotonic
        self.steps, self.minutes, self.validated = 0, 0.0, -1e9
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            if (out / "state.pt").is_file():
                self._resume(out / "state.pt")

    def _resume(self, path: Path) -> None:
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.work.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.steps, self.minutes = saved["steps"], saved["minutes"]
        self.validated = saved["validated"]
        self.work.resume(saved, self.steps)

    def save(self) -> None:
        """Write `state.pt`, to a temporary name first, and the trained file."""
        if self.out is None:
            return
        state = self.work.state() | {"model": self.work.model.state_dict()}
        state |= {name: getattr(self, name).state_dict() for name in ("average", "optimizer")}
        state |= {"steps": self.steps, "minutes": self.minutes, "validated": self.validated}
        partial = self.out / "state.part"
        torch.save(state, partial)
        os.replace(partial, self.out / "state.pt")
        self.work.write(self.average, self.steps, self.minutes)

    def log(self, entry: dict[str, object]) -> None:
        """Append a line to `log.jsonl`, and print it."""
        if self.out is None:
            return
        line = json.dumps({"step": self.steps, "minutes": round(self.minutes, 2), **entry})
        with open(self.out / "log.jsonl", "a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def step(self) -> dict[str, float]:
        """One update; returns the loss values to show."""
        tick, schedule = self._clock(), self.schedule
        self.work.follow_plan(schedule.share(self.steps, self.minutes))
        self.optimizer.zero_grad(set_to_none=True)
        figures: dict[str, float] = {}
        for part in range(schedule.accumulate):
            with self.work.together(part + 1 == schedule.accumulate):
                loss, parts = self.work.loss(self.steps * schedule.accumulate + part)
                (loss / schedule.accumulate).backward()
            figures |= parts
        torch.nn.utils.clip_grad_norm_(self.work.model.parameters(), schedule.clip)
        rate = schedule.rate_at(self.steps, self.minutes)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        self.optimizer.step()
        self.steps += 1
        keep = min(schedule.average, self.steps / (self.steps + 20))
        follow(self.average, self.work.model, keep)
        self.minutes = _together(self.minutes + (self._clock() - tick) / 60, self.device)
        return figures

    def check(self) -> None:
        """Log the figures of the alarms. Raises `alarms.Alarm`, when all is saved."""
        figures = self.work.check(self.average, self.minutes)
        if figures:
            self.log({"alarms": figures})

    def run(self, minutes: float, steps: int = 0) -> None:
        """Train for `minutes` of the clock, to step `steps` (0: no limit), or until SIGTERM or
        SIGINT, whichever comes first; then save, also when an alarm is raised."""
        begin = last_save = last_log = time.monotonic()
        sums: dict[str, list[float]] = {}
        with _stops() as stopped:
            try:
                while not _together(
                    bool(stopped)
                    or (steps > 0 and self.steps >= steps)
                    or time.monotonic() - begin > 60 * minutes,
                    self.device,
                ):
                    for name, value in self.step().items():
                        sums.setdefault(name, []).append(value)
                    if self.steps % self.schedule.check_steps == 0:
                        self.check()
                    if time.monotonic() - last_log > SHOW_SECONDS:
                        means = {name: round(float(np.mean(v)), 4) for name, v in sums.items()}
                        self.log({"loss": means})
                        sums, last_log = {}, time.monotonic()
                    if self.minutes - self.validated > self.schedule.validate_minutes:
                        self.validated = self.minutes
                        if figures := self.work.validate(self.average):
                            self.log({"validation": figures})
                    if time.monotonic() - last_save > SAVE_SECONDS:
                        self.save()
                        last_save = time.monotonic()
            finally:
                self.save()


def _together(value: float, device: torch.device) -> float:
    """The first process's value, for all of them."""
    if not torch.distributed.is_initialized():
        return value
    shared = torch.tensor(float(value), dtype=torch.float64, device=device)
    torch.distributed.broadcast(shared, 0)
    return float(shared)


@contextlib.contextmanager
def _stops() -> Iterator[list[int]]:
    """A list that SIGTERM and SIGINT are appended to meanwhile."""
    stopped: list[int] = []
    note = lambda number, frame: stopped.append(number)
    before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
