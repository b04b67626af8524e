"""Progress of a whole batch: frames that are coded, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from gvcodec.batch.task import Outcome, Task
from gvcodec.util.messages import say
from gvcodec.util.progress import Display, Mode, State

_ALMOST = 0.99
#: Part of all frames that has to be coded before the rest is foretold.
_EARLY = 0.03


class Bar:
    """`heard`: called for every task that is done. `files`: how many there are; those whose frames
    are not known yet count as many as the others on average. `mode` and `verbose` as for
    `ProgressBar`; `verbose`: a line for every file whose frames are all coded."""

    def __init__(
        self,
        files: int,
        mode: Mode = "auto",
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._verbose, self._clock = files, verbose, clock
        self._display = Display(mode, clock)
        self._planned: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._coded, self._began = 0, clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        self._display.close(kind is None)

    def heard(self, task: Task, outcome: Outcome) -> None:
        uri, call = task.arguments.get("uri", ""), task.call.partition(":")[2]
        plan = task.arguments.get("plan") or (outcome.value or {}).get("plan")
        if plan and uri not in self._planned:
            self._planned[uri] = self._left[uri] = sum(c["frames"] for c in plan["chunks"])
        if call == "encode" and outcome.value:
            self._coded += outcome.value["frames"]
            self._left[uri] = self._left.get(uri, 0) - outcome.value["frames"]
            if self._verbose and self._left[uri] == 0:
                say(f"{uri}: {self._planned.get(uri, 0)} frames coded")
        elif outcome.error:
            self._planned[uri] = 0
        if self._planned and self._display.wants("encode"):
            self._display.show(self._state())

    def _state(self) -> State:
        known = sum(self._planned.values())
        total = max(self._coded, known * self._files // len(self._planned))
        gone = self._clock() - self._began
        # The first files may be short ones.
        left = gone * (total - self._coded) / self._coded if self._coded > _EARLY * total else None
        share = min(_ALMOST, self._coded / total) if total else 0.0
        return State("encode", share, left, self._coded, total)
