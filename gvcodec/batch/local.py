"""Engines of this machine: `Inline` is this process, `Local` starts others."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Self

from gvcodec.batch.task import Outcome, Task
from gvcodec.batch.worker import perform
from gvcodec.util.programs import make_environment, python_command
from gvcodec.util.signals import OnAbort, defer_signals

#: Part of the machine's memory that tasks may take together.
_SHARE = 0.9
_CGROUP = "/sys/fs/cgroup/memory.max"
#: A worker whose task took fewer seconds takes another one, since starting it may take as long.
#: Others end, and their memory goes back to the system.
_SHORT = 10.0


def machine_memory() -> int:
    """Bytes that tasks may take together here."""
    most = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if hasattr(os, "sysconf")
        else 8 << 30
    )
    with contextlib.suppress(OSError, ValueError), open(_CGROUP) as file:
        most = min(most, int(file.read()))
    return int(_SHARE * most)


class Inline:
    """One task after the other, in this process."""

    cores = 1

    def __init__(self, memory: int | None = None) -> None:
        self.memory = memory or machine_memory()
        self._thread = ThreadPoolExecutor(1, "batch")

    def submit(self, task: Task) -> Future[Outcome]:
        return self._thread.submit(self._perform, task)

    def _perform(self, task: Task) -> Outcome:
        for tries in range(1, task.tries + 1):
            outcome = perform(task.pack(), tries)
            if not outcome.again:
                break
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class Local:
    """Every task in another process, in the order in which they come, as many at a time as `cores`
    and `memory` have room for. The processes end with this one, however that ends."""

    def __init__(self, cores: int, memory: int) -> None:
        self.cores, self.memory = cores, memory
        self._threads = ThreadPoolExecutor(cores, "batch")
        #: Held by the task that waits for room, so that small ones do not overtake large ones.
        self._turn = threading.Lock()
        self._free = threading.Condition()
        self._cores, self._memory = cores, memory
        self._workers: set[_Worker] = set()
        #: Those that have nothing to do, by their threads.
        self._idle: defaultdict[int, list[_Worker]] = defaultdict(list)
        self._closed = False

    def submit(self, task: Task) -> Future[Outcome]:
        return self._threads.submit(self._serve, task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        with self._free:
            self._closed = True
            self._free.notify_all()
            workers = list(self._workers)
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.wait()
        self._threads.shutdown(cancel_futures=True)

    def _serve(self, task: Task) -> Outcome:
        cores, memory = min(task.cores, self.cores), min(task.memory, self.memory)
        with self._turn, self._free:
            self._free.wait_for(
                lambda: self._closed or (self._cores >= cores and self._memory >= memory)
            )
            self._cores -= cores
            self._memory -= memory
        outcome = Outcome()
        for tries in range(1, task.tries + 1):
            outcome = self._try(task, tries)
            if self._closed or not (outcome.lost or outcome.again):
                break
        with self._free:
            self._cores += cores
            self._memory += memory
            self._free.notify_all()
        return outcome

    def _try(self, task: Task, tries: int) -> Outcome:
        with self._free:
            if self._closed:
                return Outcome(error="interrupted", tries=tries)
            idle = self._idle[task.cores]
            worker = idle.pop() if idle else _Worker(task.cores)
            self._workers.add(worker)
        outcome = worker.perform(task, tries)
        with self._free:
            if outcome.lost or outcome.seconds > _SHORT:
                worker.end()
                self._workers.discard(worker)
            else:
                self._idle[task.cores].append(worker)
        return outcome


class _Worker:
    """A process of `gvcodec.batch.worker` with so many threads. It ends when its standard input
    does, so with this process too."""

    def __init__(self, threads: int) -> None:
        command = python_command("gvcodec.batch.worker")
        pipe = subprocess.PIPE
        self._said: BinaryIO = tempfile.TemporaryFile()  # type: ignore[assignment]  # noqa: SIM115
        with defer_signals():
            self.process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=self._said,
                env=make_environment(OMP_NUM_THREADS=str(threads)),
            )
            self._abort = OnAbort(self.process.kill)

    def perform(self, task: Task, tries: int) -> Outcome:
        assert self.process.stdin and self.process.stdout
        line = b""
        with contextlib.suppress(OSError):
            self.process.stdin.write(task.pack().encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        with contextlib.suppress(ValueError):
            return Outcome(**(json.loads(line) | {"tries": tries}))
        code = self.process.wait()
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 2000))
        last = self._said.read().decode(errors="replace").strip().splitlines()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        note = f": {last[-1]}" if last and code > 0 else ""
        return Outcome(error=f"the worker died {tries} times ({how}{note})", lost=True, tries=tries)

    def end(self) -> None:
        assert self.process.stdin and self.process.stdout
        self._abort.cancel()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._said):
            with contextlib.suppress(OSError):
                stream.close()
