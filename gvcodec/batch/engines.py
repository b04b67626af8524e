"""Where the tasks of a batch run: in processes of this machine (`Local`), in this process
(`Inline`), or on a Ray cluster (`Cluster`).

    with open_engine(jobs=4) as engine:
        value = engine.submit(Task(join, {...})).result()

A task whose worker dies, or whose connection is lost, is tried `TRIES` times in all. Whatever else
it raises is a `TaskError` in one line. `gvcodec.batch.worker` is a process for one task."""

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
from pathlib import Path
from typing import Any, Self

import gvcodec
from gvcodec.errors import GvcodecError, UsageError
from gvcodec.util.programs import python_command, python_environment
from gvcodec.util.signals import OnAbort, defer_signals
from gvcodec.util.uris import ConnectionLostError

#: Tasks a core that are asked for at a time: none idles while the next one is thought of.
AHEAD = 2
TRIES = 3
#: Seconds that a store that stopped answering is given.
_MOMENT = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """A call of a function of a module. `cores`: how many it keeps busy."""

    call: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    cores: int = 1


class TaskError(GvcodecError):
    """A task failed; the message is one line."""


class LostError(TaskError):
    """Its worker died or its connection was lost: the same may work a little later."""


def perform(task: Task) -> Any:
    """The value of a task, made with as many threads as it has cores. Raises `TaskError`."""
    os.environ["OMP_NUM_THREADS"] = str(task.cores)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task.cores)
    try:
        return task.call(**task.arguments)
    except ConnectionLostError as lost:
        raise LostError(str(lost)) from None
    except GvcodecError as failed:
        raise TaskError(str(failed)) from None
    except OSError as failed:
        message = f"{failed.filename or 'input or output'}: {failed.strerror or failed}"
        if isinstance(failed, ConnectionError | TimeoutError):
            raise LostError(message) from None
        raise TaskError(message) from None
    except MemoryError:
        raise TaskError("out of memory") from None
    except Exception as failed:  # noqa: BLE001 (one file must not end the work on others)
        raise TaskError(f"{type(failed).__name__}: {failed}".splitlines()[0]) from None


class Engine:
    """Runs as many tasks at a time as it has `cores`, and ends with its `with` block."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._threads = ThreadPoolExecutor(cores, "batch")
        self._closed = False

    def submit(self, task: Task) -> Future[Any]:
        """Its value, which is still to come. The future raises `TaskError`."""
        return self._threads.submit(self._try, task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _try(self, task: Task) -> Any:
        for attempt in range(1, TRIES + 1):
            try:
                return self._run(task)
            except LostError:
                if attempt == TRIES or self._closed:
                    raise
                time.sleep(_MOMENT)

    def _run(self, task: Task) -> Any:
        """Perform a task once. Raises `TaskError`, `LostError` where it may be tried again."""
        raise NotImplementedError


class Inline(Engine):
    """One task after the other, in this process."""

    def __init__(self) -> None:
        super().__init__(1)

    def _run(self, task: Task) -> Any:
        return perform(task)


class Local(Engine):
    """Every task in a process of its own, which ends with this one, however that ends."""

    def __init__(self, cores: int) -> None:
        super().__init__(cores)
        self._processes: set[subprocess.Popen[bytes]] = set()

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        super().__exit__(kind, value, trace)
        for process in list(self._processes):
            process.kill()
            process.wait()

    def _run(self, task: Task) -> Any:
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
            answer = b""
            with process.stdin, process.stdout, contextlib.suppress(OSError):
                process.stdin.write(pickle.dumps(task))
                process.stdin.flush()
                answer = process.stdout.read()
            code = process.wait()
            self._processes.discard(process)
            abort.cancel()
            try:
                value, error = pickle.loads(answer)
            except (EOFError, pickle.UnpicklingError):
                raise LostError(f"the worker died ({_how(code, stderr)})") from None
        if error is not None:
            raise error
        return value


def _how(code: int, stderr: Any) -> str:
    """How a process ended, with the last line that it wrote."""
    if code < 0:
        return f"killed by signal {-code}"
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 2000))
    last = stderr.read().decode(errors="replace").strip().splitlines()[-1:]
    return ": ".join([f"exit code {code}", *last])


class Cluster(Engine):
    """Tasks on Ray, which places them by the cores that they ask for. `address`: `HOST:PORT`,
    `ray://…`, "auto" for the cluster that this machine is part of, or "local": one of `cores` cores
    (0 = all) is started here and ends with this. Raises `UsageError` where no cluster answers, or
    Ray is missing."""

    def __init__(self, address: str, cores: int = 0) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if address == "local":
            options |= {"num_cpus": cores or os.cpu_count(), "include_dashboard": False}
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
        self._ray, self._remote = ray, ray.remote(perform)
        nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        super().__init__(max(1, min(cores or sum(nodes), sum(nodes))))
        self._most = max([1, *nodes])

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        super().__exit__(kind, value, trace)
        self._ray.shutdown()

    def _run(self, task: Task) -> Any:
        remote = self._remote.options(num_cpus=min(task.cores, self._most), max_retries=0)
        try:
            return self._ray.get(remote.remote(task))
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, TaskError):
                raise cause from None
            raise LostError(f"the worker was lost ({type(error).__name__})") from None


def open_engine(jobs: int = 0, cluster: str | None = None) -> Engine:
    """`jobs`: cores to use, 0 = all; `cluster`: address of a Ray cluster, or "local" for one that
    is started here. Raises `UsageError` where Ray is wanted and not there."""
    if cluster is not None:
        return Cluster(cluster, jobs)
    return Local(jobs or os.cpu_count() or 1)


def work() -> None:
    """Perform the task read from standard input and write its value or its error to standard
    output. The process ends when standard input closes, since then its parent is gone."""

    def end_with_input() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    # Libraries print to standard output; the answer goes where it pointed to.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    task = pickle.load(sys.stdin.buffer)
    threading.Thread(target=end_with_input, daemon=True).start()
    value, error = None, None
    try:
        value = perform(task)
    except TaskError as failed:
        error = failed
    pickle.dump((value, error), answers)
    answers.flush()
    # Nothing else is left to do, whatever libraries still think.
    os._exit(0)
