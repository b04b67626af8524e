"""Where the tasks of a batch run: in processes of this machine (`Local`), in this process
(`Inline`), or on a Ray cluster (`Cluster`).

    with open_engine(jobs=4) as engine:
        value = engine.submit(Task(join, {...})).result()

A task whose worker dies, or whose connection is lost, is tried `TRIES` times in all. An output that
cannot be written is an `OutputError`; whatever else a task raises is a `TaskError` in one line.
`gvcodec.batch.worker` is a process for one task."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, Self

import gvcodec
from gvcodec.errors import GvcodecError, OutputError, UsageError
from gvcodec.util.process import count_cores
from gvcodec.util.programs import python_command, python_environment
from gvcodec.util.signals import OnAbort, defer_signals
from gvcodec.util.uris import ConnectionLostError

#: Tasks per core that are submitted at a time, so that no core idles.
AHEAD = 2
TRIES = 3
#: Seconds before a task whose connection was lost is tried again.
_RETRY_SECONDS = 1.0
#: Seconds that a killed worker may take to end.
_KILL_SECONDS = 0.5


#: Errors of a full disk and a used-up quota.
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


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
    """The value of a task, computed with as many threads as it has cores. Raises `TaskError`, or
    `OutputError` if the output cannot be written: then no other task can write either."""
    os.environ["OMP_NUM_THREADS"] = str(task.cores)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task.cores)
    try:
        return task.call(**task.arguments)
    except ConnectionLostError as error:
        raise LostError(str(error)) from None
    except OutputError:
        raise
    except GvcodecError as error:
        raise TaskError(str(error)) from None
    except OSError as error:
        message = f"{error.filename or 'input or output'}: {error.strerror or error}"
        if isinstance(error, ConnectionError | TimeoutError):
            raise LostError(message) from None
        if error.errno in _NO_ROOM:
            raise OutputError.of(error.filename or "temporary files", error) from None
        raise TaskError(message) from None
    except MemoryError:
        raise TaskError("out of memory") from None
    except Exception as error:  # noqa: BLE001 (one file must not end the work on others)
        raise TaskError(f"{type(error).__name__}: {error}".splitlines()[0]) from None


class Engine:
    """Runs as many tasks at a time as it has `cores`, and ends with its `with` block. Then every
    future is done: those of tasks that were waiting or running raise `CancelledError`."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._queue = SimpleQueue[tuple["Future[Any]", Task]]()
        self._unfinished: set[Future[Any]] = set()
        self._threads = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def submit(self, task: Task) -> Future[Any]:
        """The future raises `TaskError`, or `OutputError` if the output cannot be written."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed.is_set():
                future.cancel()
                return future
            self._unfinished.add(future)
            if self._threads < min(self.cores, len(self._unfinished)):
                self._threads += 1
                # Threads of the interpreter's pools are waited for when it ends; these are not.
                threading.Thread(target=self._serve, name="batch", daemon=True).start()
        future.add_done_callback(self._unfinished.discard)
        self._queue.put((future, task))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        with self._lock:
            self._closed.set()
        for future in list(self._unfinished):
            if not future.cancel():
                _resolve(future, CancelledError())

    def _serve(self) -> None:
        """Perform tasks until the process ends."""
        while True:
            future, task = self._queue.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                value = self._try(task)
            except BaseException as error:  # noqa: BLE001 (the future has to end, whatever happens)
                _resolve(future, error)
            else:
                _resolve(future, None, value)

    def _try(self, task: Task) -> Any:
        for attempt in range(1, TRIES + 1):
            try:
                return self._run(task)
            except LostError:
                if attempt == TRIES or self._closed.wait(_RETRY_SECONDS):
                    raise

    def _run(self, task: Task) -> Any:
        """Perform a task once. Raises `TaskError`, `LostError` if it may be tried again."""
        raise NotImplementedError


def _resolve(future: Future[Any], error: BaseException | None, value: Any = None) -> None:
    """Set the outcome, unless the engine closed first."""
    with contextlib.suppress(InvalidStateError):
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


class Inline(Engine):
    """One task after the other, in this process."""

    def __init__(self) -> None:
        super().__init__(1)

    def _run(self, task: Task) -> Any:
        return perform(task)


class Local(Engine):
    """Every task in a separate process, which ends with this one, however that ends."""

    def __init__(self, cores: int) -> None:
        super().__init__(cores)
        self._processes: set[subprocess.Popen[bytes]] = set()

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        super().__exit__(kind, value, trace)
        for process in list(self._processes):
            process.kill()
        for process in list(self._processes):
            # One that waits for a dead disk cannot be killed; the driver ends without it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_SECONDS)

    def _run(self, task: Task) -> Any:
        with contextlib.ExitStack() as stack:
            try:
                stderr = stack.enter_context(tempfile.TemporaryFile())
            except OSError as error:
                raise OutputError.of("temporary files", error) from error
            process, abort = self._start(task, stderr)
            try:
                answer = self._ask(process, task)
                code = process.wait()
            finally:
                self._processes.discard(process)
                abort.cancel()
            try:
                value, failure = pickle.loads(answer)
            except (EOFError, pickle.UnpicklingError):
                raise LostError(f"the worker died ({_describe_end(code, stderr)})") from None
        if failure is not None:
            raise failure
        return value

    def _start(self, task: Task, stderr: IO[bytes]) -> tuple[subprocess.Popen[bytes], OnAbort]:
        """A worker that `__exit__` and signals kill."""
        with defer_signals():
            if self._closed.is_set():
                raise CancelledError
            try:
                process = subprocess.Popen(
                    python_command("gvcodec.batch.worker"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=python_environment(OMP_NUM_THREADS=str(task.cores)),
                )
            except OSError as error:
                raise LostError(f"no worker can be started: {error.strerror or error}") from error
            self._processes.add(process)
            abort = OnAbort(process.kill)
        if self._closed.is_set():
            process.kill()
        return process, abort

    def _ask(self, process: subprocess.Popen[bytes], task: Task) -> bytes:
        """Give a worker its task and read its answer, b"" if it dies first."""
        assert process.stdin and process.stdout
        answer = b""
        with process.stdin, process.stdout, contextlib.suppress(OSError):
            process.stdin.write(pickle.dumps(task))
            process.stdin.flush()
            answer = process.stdout.read()
        return answer


def _describe_end(code: int, stderr: IO[bytes]) -> str:
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
            options |= {"num_cpus": cores or count_cores(), "include_dashboard": False}
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
            if isinstance(cause, GvcodecError):
                raise cause from None
            raise LostError(f"the worker was lost ({type(error).__name__})") from None


def open_engine(jobs: int = 0, cluster: str | None = None) -> Engine:
    """`jobs`: cores to use, 0 = all; `cluster`: address of a Ray cluster, or "local" for one that
    is started here. Raises `UsageError` where Ray is wanted and not there."""
    if cluster is not None:
        return Cluster(cluster, jobs)
    return Local(jobs or count_cores())


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
    except GvcodecError as failure:
        error = failure
    pickle.dump((value, error), answers)
    answers.flush()
    # Nothing else is left to do, whatever libraries still think.
    os._exit(0)
