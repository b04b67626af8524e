"""Where tasks run: processes of this machine (`Local`), this process (`Inline`), or a cluster
(`ray_engine`).

with open_engine(jobs=4) as engine:
    outcome = engine.submit(Task(join, {...})).result()
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from gvcodec.batch.task import Engine, Outcome, Task, perform
from gvcodec.errors import UsageError
from gvcodec.util.programs import python_command, python_environment
from gvcodec.util.signals import OnAbort, defer_signals

#: Tasks a core that are asked for at a time: none idles while the next one is thought of.
AHEAD = 2
#: Part of the machine's memory that tasks may take together.
_SHARE = 0.9
_CGROUP = "/sys/fs/cgroup/memory.max"


def open_engine(jobs: int = 0, cluster: str | None = None, memory: int | None = None) -> Engine:
    """`jobs`: cores to use, 0 = all; `cluster`: address of a Ray cluster, or "local" for one that
    is started here; `memory`: bytes that tasks may take together on this machine. Raises
    `UsageError` where Ray is wanted and not there."""
    if cluster is None:
        return Local(jobs or os.cpu_count() or 1, memory or machine_memory())
    try:
        from gvcodec.batch.ray_engine import Cluster
    except ImportError:
        raise UsageError("--cluster needs Ray: pip install 'gvcodec[cluster]'") from None
    return Cluster(cluster, jobs, memory)


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


class Local(Engine):
    """Every task in another process, in the order in which they come, as many at a time as `cores`
    and `memory` have room for. The processes end with this one, however that ends."""

    def __init__(self, cores: int, memory: int) -> None:
        self.cores, self.memory = cores, memory
        self._threads = ThreadPoolExecutor(cores, "batch")
        #: Held by the task that waits for room, so that small ones do not overtake large ones.
        self._turn = threading.Lock()
        self._free = threading.Condition()
        self._cores, self._memory = cores, memory
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def submit(self, task: Task) -> Future[Outcome]:
        return self._threads.submit(self._serve, task)

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        with self._free:
            self._closed = True
            self._free.notify_all()
            processes = list(self._processes)
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _serve(self, task: Task) -> Outcome:
        cores, memory = min(task.cores, self.cores), min(task.memory, self.memory)
        with self._turn, self._free:
            self._free.wait_for(
                lambda: self._closed or (self._cores >= cores and self._memory >= memory)
            )
            self._cores -= cores
            self._memory -= memory
        outcome = Outcome(error="interrupted")
        for tries in range(1, task.tries + 1):
            if self._closed:
                break
            outcome = self._try(task, tries)
            if not (outcome.lost or outcome.again):
                break
        with self._free:
            self._cores += cores
            self._memory += memory
            self._free.notify_all()
        return outcome

    def _try(self, task: Task, tries: int) -> Outcome:
        """In a process of `gvcodec.batch.worker`, which ends when its standard input does."""
        with tempfile.TemporaryFile() as said:
            with defer_signals():
                process = subprocess.Popen(
                    python_command("gvcodec.batch.worker"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env=python_environment(OMP_NUM_THREADS=str(task.cores)),
                )
                abort = OnAbort(process.kill)
            assert process.stdin and process.stdout
            self._processes.add(process)
            if self._closed:
                process.kill()
            with process.stdin, process.stdout:
                answer = b""
                with contextlib.suppress(OSError):
                    process.stdin.write(pickle.dumps(task))
                    process.stdin.flush()
                    answer = process.stdout.read()
            code = process.wait()
            self._processes.discard(process)
            abort.cancel()
            with contextlib.suppress(EOFError, pickle.UnpicklingError):
                return replace(pickle.loads(answer), tries=tries)
            said.seek(max(0, said.seek(0, os.SEEK_END) - 2000))
            last = said.read().decode(errors="replace").strip().splitlines()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        note = f": {last[-1]}" if last and code > 0 else ""
        return Outcome(error=f"the worker died {tries} times ({how}{note})", lost=True, tries=tries)


class Inline(Local):
    """One task after the other, in this process."""

    def __init__(self, memory: int | None = None) -> None:
        super().__init__(1, memory or machine_memory())

    def _try(self, task: Task, tries: int) -> Outcome:
        return perform(task, tries)
