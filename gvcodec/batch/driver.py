"""Leads all files through their flows on one engine, and writes the table."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from gvcodec.batch import table
from gvcodec.batch.engines import AHEAD
from gvcodec.batch.flow import Claim, FileFailed, Flow, encode_file
from gvcodec.batch.ledger import Job, Ledger
from gvcodec.batch.task import Engine, Outcome, Task
from gvcodec.errors import GvcodecError

#: Seconds between two tables while work goes on.
_TABLE_EVERY = 30.0

#: Told of every task that is done.
Heard = Callable[[Task, Outcome], None]
#: Told of every file that ended, with its error, "" = none.
Ended = Callable[[Job, str], None]


@dataclass(slots=True)
class _Running:
    """A file on its way: tasks that it waits for, and outcomes of those that are done."""

    job: Job
    flow: Flow
    futures: dict[Future[Outcome], int] = field(default_factory=dict)
    tasks: Sequence[Task] = ()
    values: dict[int, Any] = field(default_factory=dict)
    claims: str = ""


class Driver:
    """Of one batch. `errors`: by the names of the jobs that failed."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        heard: Heard | None = None,
        ended: Ended | None = None,
    ) -> None:
        self.engine, self.ledger, self._heard, self._ended = engine, ledger, heard, ended
        self.errors: dict[str, str] = {}
        self._futures: dict[Future[Outcome], _Running] = {}
        self._claimed: dict[str, deque[_Running]] = {}
        #: Files whose turn at a claim has come.
        self._ready: deque[_Running] = deque()
        self._written = time.monotonic()

    def run(self, jobs: Sequence[Job]) -> None:
        """Encode all that is not done yet. Errors of single files are in `errors`, and in the
        table."""
        self.ledger.expect(jobs)
        waiting = deque(jobs)
        while waiting or self._futures or self._ready:
            while self._ready:
                self._advance(self._ready.popleft(), [])
            while waiting and len(self._futures) < AHEAD * self.engine.cores:
                job = waiting.popleft()
                self._advance(
                    _Running(job, encode_file(job, self.ledger, self.engine.memory)), None
                )
            if self._futures:
                done, _ = wait(self._futures, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take(future)
            if time.monotonic() - self._written > _TABLE_EVERY:
                self._write_table(jobs)
        self._write_table(jobs)

    def _write_table(self, jobs: Sequence[Job]) -> None:
        table.write(self.ledger, jobs)
        self._written = time.monotonic()

    def _take(self, future: Future[Outcome]) -> None:
        running = self._futures.pop(future, None)
        if running is None or future.cancelled():
            return
        outcome, number = future.result(), running.futures.pop(future)
        if self._heard is not None:
            self._heard(running.tasks[number], outcome)
        if outcome.error:
            self._forget(running)
            self._advance(running, FileFailed(outcome.error))
            return
        running.values[number] = outcome.value
        if not running.futures:
            values = [running.values[n] for n in range(len(running.tasks))]
            running.values.clear()
            self._advance(running, values)

    def _forget(self, running: _Running) -> None:
        """The other tasks of a file are of no use."""
        for future in running.futures:
            future.cancel()
            self._futures.pop(future, None)
        running.futures.clear()

    def _advance(self, running: _Running, given: list[Any] | GvcodecError | None) -> None:
        """Let a file go on until it waits for tasks, for another file, or has ended."""
        try:
            if isinstance(given, GvcodecError):
                wanted = running.flow.throw(given)
            else:
                wanted = running.flow.send(given)
            while isinstance(wanted, Claim):
                running.claims = wanted.key
                if wanted.key in self._claimed:
                    self._claimed[wanted.key].append(running)
                    return
                self._claimed[wanted.key] = deque()
                wanted = running.flow.send([])
        except StopIteration:
            self._end(running, "")
            return
        except GvcodecError as error:
            self._end(running, str(error))
            return
        running.tasks = wanted
        running.futures = {self.engine.submit(task): number for number, task in enumerate(wanted)}
        self._futures |= dict.fromkeys(running.futures, running)

    def _end(self, running: _Running, error: str) -> None:
        if error:
            if running.job.uri not in error:
                error = f"{running.job.uri}: {error}"
            self.errors[running.job.name] = error
            self.ledger.fail(running.job, error)
        if self._ended is not None:
            self._ended(running.job, error)
        followers = self._claimed.pop(running.claims, deque())
        if followers:
            self._ready.append(followers.popleft())
            self._claimed[running.claims] = followers
