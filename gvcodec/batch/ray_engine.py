"""Tasks on a cluster of Ray: one that runs, named by its address, or one that is started on this
machine.

Ray places tasks by the cores and the memory that they ask for, and begins those anew whose worker
or machine is lost."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

import gvcodec
from gvcodec.batch.task import Engine, Outcome, Task, perform
from gvcodec.errors import UsageError


class _AgainError(Exception):
    """The outcome asks for a repetition."""


class Cluster(Engine):
    """`address`: `HOST:PORT`, `ray://…`, "auto" for the cluster that this machine is part of, or
    "local": one of `cores` cores (0 = all) and `memory` bytes is started here and ends with this.
    Raises `UsageError` where no cluster answers."""

    def __init__(self, address: str, cores: int = 0, memory: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if address == "local":
            options |= {"num_cpus": cores or os.cpu_count(), "include_dashboard": False}
            options |= {"_memory": memory} if memory else {}
        else:
            options["address"] = address
        try:
            # Ray puts the working directory first on its workers' path of modules.
            with contextlib.chdir(Path(gvcodec.__file__).resolve().parents[1]):
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"--cluster {address}: {said}") from error
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
        reference = _perform.options(**wanted).remote(task)
        future: Future[Outcome] = _Reported(reference)
        reference.future().add_done_callback(lambda done: _settle(future, done, task.tries))
        return future

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        ray.shutdown()


class _Reported(Future[Outcome]):
    """An outcome that is still to come; to cancel it cancels the task."""

    def __init__(self, reference: Any) -> None:
        super().__init__()
        self._reference = reference

    def cancel(self) -> bool:
        ray.cancel(self._reference, force=True)
        return super().cancel()


@ray.remote
def _perform(task: Task) -> Outcome:
    outcome = perform(task)
    if outcome.again:
        raise _AgainError(outcome.error)
    return outcome


def _settle(future: Future[Outcome], done: Future[Any], tries: int) -> None:
    if future.cancelled():
        return
    try:
        outcome: Outcome = done.result()
    except _AgainError as error:
        outcome = Outcome(error=str(error), again=True, tries=tries)
    except RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, _AgainError):
            outcome = Outcome(error=str(cause), again=True, tries=tries)
        else:
            said = type(error).__name__.removesuffix("Error")
            outcome = Outcome(error=f"lost in {tries} tries ({said})", lost=True, tries=tries)
    future.set_result(outcome)
