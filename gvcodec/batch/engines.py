"""Where tasks run: `Inline` in this process, `Local` in processes of this machine; `gvcodec.batch.ray_engine` has a cluster.

    with open_engine(jobs=4) as engine:
        future = engine.submit(Task("gvcodec.batch.tasks:join", {...}))
        outcome = future.result()

A task names a function "module:function" that takes keywords and gives a dict, both of JSON. What it raises comes back in its
outcome. A worker that dies is replaced and its task tried again, `Task.tries` times in all, as is one that lost its connection.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from gvcodec.errors import UsageError
from gvcodec.signals import OnAbort, held

#: Part of the machine's memory that tasks may take together.
_SHARE = 0.9
_CGROUP = "/sys/fs/cgroup/memory.max"


@dataclass(frozen=True, slots=True)
class Task:
    """`call`: "module:function". `cores` it keeps busy, threads that it may start, `memory` in bytes that it takes at most."""

    call: str
    arguments: dict[str, Any] = field(default_factory=dict)
    cores: int = 1
    memory: int = 512 << 20
    tries: int = 3

    def packed(self) -> str:
        return json.dumps({"call": self.call, "arguments": self.arguments, "cores": self.cores})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`value` of the function, or `error`, a line that says what went wrong. `again`: a repetition may help; `lost`: the worker
    died. `tries`: how often it was begun. `seconds` of wall and `cpu` of processor time, `host` where."""

    value: Any = None
    error: str = ""
    again: bool = False
    lost: bool = False
    tries: int = 1
    seconds: float = 0.0
    cpu: float = 0.0
    host: str = ""

    def packed(self) -> str:
        return json.dumps(asdict(self))


class Engine(Protocol):
    """`cores` of all its machines, `memory` in bytes of the largest."""

    cores: int
    memory: int

    def submit(self, task: Task) -> Future[Outcome]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_engine(jobs: int = 0, cluster: str | None = None, memory: int | None = None) -> Engine:
    """`jobs`: cores to use, 0 = all; `cluster`: address of a Ray cluster, or "local" for one that is started here; `memory`: bytes that
    tasks may take together on this machine. Raises `UsageError` where Ray is wanted and not there."""
    if cluster is None:
        return Local(jobs or os.cpu_count() or 1, memory or machine_memory())
    try:
        from gvcodec.batch.ray_engine import Cluster
    except ImportError:
        raise UsageError("--cluster needs Ray: pip install 'gvcodec[cluster]'") from None
    return Cluster(cluster, jobs, memory)


def results(engine: Engine, tasks: Sequence[Task]) -> list[Outcome]:
    """Outcomes of all tasks, in their order."""
    futures = [engine.submit(task) for task in tasks]
    wait(futures)
    return [future.result() for future in futures]


def machine_memory() -> int:
    """Bytes that tasks may take together here."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30
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
        from gvcodec.batch.worker import perform

        for tries in range(1, task.tries + 1):
            outcome = perform(task.packed(), tries)
            if not outcome.again:
                break
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class Local:
    """Every task in a process of its own, in the order in which they come, as many at a time as `cores` and `memory` have room for.

    A process takes its memory with it when it ends, or when it crashes. It ends with this one, however that ends."""

    def __init__(self, cores: int, memory: int) -> None:
        self.cores, self.memory = cores, memory
        self._free = threading.Condition()
        self._cores, self._memory = cores, memory
        self._queue: deque[tuple[Task, Future[Outcome]]] = deque()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._dispatcher = threading.Thread(target=self._dispatch, name="batch", daemon=True)
        self._dispatcher.start()

    def submit(self, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        with self._free:
            self._queue.append((task, future))
            self._free.notify_all()
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._free:
            self._closed = True
            self._free.notify_all()
            running = list(self._running)
        for process in running:
            process.kill()
        for process in running:
            process.wait()
        self._dispatcher.join()

    def _dispatch(self) -> None:
        while True:
            with self._free:
                self._free.wait_for(lambda: self._closed or self._queue)
                if self._closed:
                    return
                task, future = self._queue.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                cores, memory = min(task.cores, self.cores), min(task.memory, self.memory)
                self._free.wait_for(lambda: self._closed or (self._cores >= cores and self._memory >= memory))
                if self._closed:
                    return
                self._cores -= cores
                self._memory -= memory
            threading.Thread(target=self._serve, args=(task, future, cores, memory), daemon=True).start()

    def _serve(self, task: Task, future: Future[Outcome], cores: int, memory: int) -> None:
        outcome = Outcome()
        for tries in range(1, task.tries + 1):
            outcome = self._run(task, tries)
            if self._closed or not (outcome.lost or outcome.again):
                break
        with self._free:
            self._cores += cores
            self._memory += memory
            self._free.notify_all()
        future.set_result(outcome)

    def _run(self, task: Task, tries: int) -> Outcome:
        """One process. Its standard input stays open as long as this one lives."""
        command = [sys.executable, "-m", "gvcodec.batch.worker"]
        environment = os.environ | {"OMP_NUM_THREADS": str(task.cores)}
        with tempfile.TemporaryFile() as said, contextlib.ExitStack() as stack:
            with self._free, held():
                if self._closed:
                    return Outcome(error="interrupted", tries=tries)
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment
                )
                self._running.add(process)
                stack.callback(OnAbort(process.kill).cancel)
            stack.callback(partial(self._running.discard, process))
            assert process.stdin and process.stdout
            stack.enter_context(process.stdout)
            with contextlib.suppress(OSError):
                process.stdin.write(task.packed().encode() + b"\n")
                process.stdin.flush()
            told = process.stdout.read()
            with contextlib.suppress(OSError):
                process.stdin.close()
            code = process.wait()
            with contextlib.suppress(ValueError):
                return Outcome(**(json.loads(told) | {"tries": tries}))
            said.seek(max(0, said.seek(0, os.SEEK_END) - 2000))
            last = said.read().decode(errors="replace").strip().splitlines()
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            note = f": {last[-1]}" if last and code > 0 else ""
            return Outcome(error=f"the worker died {tries} times ({how}{note})", lost=True, tries=tries)
