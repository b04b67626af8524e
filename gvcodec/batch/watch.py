"""One bar for a whole batch, on a terminal only: frames that are coded, and how long the rest will
take."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from gvcodec.batch.task import Outcome, Task


class Bar:
    """Is told of every task that is done (`heard`). `files`: how many there are; those whose frames
    are not known yet count as many as the others on average."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._planned: dict[str, int] = {}
        self._coded = 0
        self._bar: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(unit=" frames", leave=False, file=sys.stderr, dynamic_ncols=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def heard(self, task: Task, outcome: Outcome) -> None:
        uri, call = task.arguments.get("uri", ""), task.call.partition(":")[2]
        plan = task.arguments.get("plan") or (outcome.value or {}).get("plan")
        if plan:
            self._planned[uri] = sum(chunk["frames"] for chunk in plan["chunks"])
        if call == "encode" and outcome.value:
            self._coded += outcome.value["frames"]
        elif outcome.error:
            self._planned[uri] = 0
        if self._bar is not None and self._planned:
            known = sum(self._planned.values())
            self._bar.total = max(self._coded, known * max(1, self._files // len(self._planned)))
            self._bar.n = self._coded
            self._bar.refresh()
