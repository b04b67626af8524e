"""Where the tasks of a batch run: in processes of this machine (`Local`), in this process
(`Inline`), or on a Ray cluster (`Cluster`), one named by its address or one started on this
machine.

    with open_engine(jobs=4) as engine:
        outcome = engine.submit(Task(join, {...})).result()

A task calls a function of a module with keywords. What it raises comes back in its outcome. A
worker that dies is replaced and its task tried again, `Task.tries` times in all, as is one that
lost its connection. `gvcodec.batch.worker` is such a process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import gvcodec
from gvcodec.errors import GvcodecError, UsageError
from gvcodec.util.programs import python_command, python_environment
from gvcodec.util.signals import OnAbort, defer_signals
from gvcodec.util.uris import ConnectionLostError

#: Tasks a core that are asked for at a time: none idles while the next one is thought of.
AHEAD = 2
#: Part of the machine's memory that tasks may take together.
_SHARE = 0.9
_CGROUP = "/sys/fs/cgroup/memory.max"
#: Seconds that a store that stopped answering is given.
_MOMENT = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """`cores` it keeps busy, threads that it may start, `memory` in bytes that it takes at most."""

    call: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    cores: int = 1
    memory: int = 512 << 20
    tries: int = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """`value` of the function, or `error`, a line that says what went wrong. `again`: a repetition
    may help, since the worker died or a connection was lost."""

    value: Any = None
    error: str = ""
    again: bool = False


class Engine:
    """`cores` of all its machines, `memory` in bytes of the largest. It ends with its `with` block,
    and with it what it started."""

    cores: int
    memory: int

    def submit(self, task: Task) -> Future[Outcome]:
        """The outcome, which is still to come."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        """The end."""


def open_engine(jobs: int = 0, cluster: str | None = None, memory: int | None = None) -> Engine:
    """`jobs`: cores to use, 0 = all; `cluster`: address of a Ray cluster, or "local" for one that
    is started here; `memory`: bytes that tasks may take together on this machine. Raises
    `UsageError` where Ray is wanted and not there."""
    if cluster is None:
        return Local(jobs or os.cpu_count() or 1, memory or machine_memory())
    return Cluster(cluster, jobs, memory)


def machine_memory() -> int:
    """Bytes that tasks may take together here."""
    most = 8 << 30
    if hasattr(os, "sysconf"):
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError), open(_CGROUP) as file:
        most = min(most, int(file.read()))
    return int(_SHARE * most)


def perform(task: Task) -> Outcome:
    """Do a task with as many threads as it has cores."""
    os.environ["OMP_NUM_THREADS"] = str(task.cores)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task.cores)
    again = False
    try:
        return Outcome(task.call(**task.arguments))
    except ConnectionLostError as lost:
        # Whoever tries again finds that a moment has passed.
        time.sleep(_MOMENT)
        error, again = str(lost), True
    except GvcodecError as failed:
        error = str(failed)
    except MemoryError:
        error = "out of memory"
    except OSError as failed:
        error = f"{failed.filename or 'input or output'}: {failed.strerror or failed}"
        again = isinstance(failed, ConnectionError | TimeoutError)
    except Exception as failed:  # noqa: BLE001 (one file must not end the work on others)
        error = f"{type(failed).__name__}: {failed}".splitlines()[0]
    return Outcome(error=error, again=again)


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
            if not outcome.again:
                break
        with self._free:
            self._cores += cores
            self._memory += memory
            self._free.notify_all()
        return outcome

    def _try(self, task: Task, tries: int) -> Outcome:
        """In a process of `gvcodec.batch.worker`, which ends when its standard input does."""
        with tempfile.TemporaryFile() as stderr:
            with defer_signals():
                process = subprocess.Popen(
                    python_command("gvcodec.batch.worker"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
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
                return pickle.loads(answer)  # type: ignore[no-any-return]
            stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 2000))
            last = stderr.read().decode(errors="replace").strip().splitlines()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        note = f": {last[-1]}" if last and code > 0 else ""
        return Outcome(error=f"the worker died {tries} times ({how}{note})", again=True)


class Inline(Local):
    """One task after the other, in this process."""

    def __init__(self, memory: int | None = None) -> None:
        super().__init__(1, memory or machine_memory())

    def _try(self, task: Task, tries: int) -> Outcome:
        return perform(task)


class Cluster(Engine):
    """`address`: `HOST:PORT`, `ray://…`, "auto" for the cluster that this machine is part of, or
    "local": one of `cores` cores (0 = all) and `memory` bytes is started here and ends with this.
    Ray places tasks by the cores and the memory that they ask for, and begins those anew whose
    worker or machine is lost. Raises `UsageError` where no cluster answers, or Ray is missing."""

    def __init__(self, address: str, cores: int = 0, memory: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if address == "local":
            options |= {"num_cpus": cores or os.cpu_count(), "include_dashboard": False}
            options |= {"_memory": memory} if memory else {}
        else:
            options["address"] = address
        try:
            import ray.exceptions

            # Ray puts the working directory first on its workers' path of modules.
            with contextlib.chdir(Path(gvcodec.__file__).resolve().parents[1]):
                ray.init(**options)
        except ImportError:
            raise UsageError("--cluster needs Ray: pip install 'gvcodec[cluster]'") from None
        except (ConnectionError, RuntimeError, ValueError) as error:
            message = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"--cluster {address}: {message}") from error
        self._ray, self._remote = ray, ray.remote(_perform_or_raise)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        total = sum(int(node.get("CPU", 0)) for node in nodes)
        self.cores = max(1, min(cores, total) if cores else total)
        self._most = max([int(node.get("CPU", 0)) for node in nodes], default=1) or 1
        self.memory = max([int(node.get("memory", 0)) for node in nodes], default=0)

    def submit(self, task: Task) -> Future[Outcome]:
        """Tries beyond the first are repetitions of Ray."""
        wanted: dict[str, Any] = {
            "num_cpus": min(task.cores, self._most),
            "memory": min(task.memory, self.memory),
            "max_retries": task.tries - 1,
            "retry_exceptions": [_AgainError],
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(task.cores)}},
        }
        reference = self._remote.options(**wanted).remote(task)
        future = _Reported(partial(self._ray.cancel, reference, force=True))
        reference.future().add_done_callback(lambda done: self._settle(future, done, task.tries))
        return future

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        self._ray.shutdown()

    def _settle(self, future: Future[Outcome], done: Future[Any], tries: int) -> None:
        if future.cancelled():
            return
        try:
            outcome: Outcome = done.result()
        except (_AgainError, self._ray.exceptions.RayError) as error:
            cause = getattr(error, "cause", error)
            text = f"lost in {tries} tries ({type(error).__name__.removesuffix('Error')})"
            lost = not isinstance(cause, _AgainError)
            outcome = Outcome(error=text if lost else str(cause), again=True)
        future.set_result(outcome)


class _AgainError(Exception):
    """The outcome asks for a repetition."""


class _Reported(Future[Outcome]):
    """An outcome that is still to come; to cancel it cancels the task."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        super().__init__()
        self._cancel = cancel

    def cancel(self) -> bool:
        self._cancel()
        return super().cancel()


def _perform_or_raise(task: Task) -> Outcome:
    outcome = perform(task)
    if outcome.again:
        raise _AgainError(outcome.error)
    return outcome


def work() -> None:
    """Perform the task read from standard input and write its outcome to standard output. The
    process ends when standard input closes, since then its parent is gone."""

    def end_with_input() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    # Libraries print to standard output; the outcome goes where it pointed to.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    task = pickle.load(sys.stdin.buffer)
    threading.Thread(target=end_with_input, daemon=True).start()
    pickle.dump(perform(task), answers)
    answers.flush()
    # Nothing else is left to do, whatever libraries still think.
    os._exit(0)
