"""Where tasks run: processes of this machine (`local`), or a cluster (`ray_engine`).

with open_engine(jobs=4) as engine:
    outcome = engine.submit(Task("gvcodec.batch.tasks:join", {...})).result()
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import wait

from gvcodec.batch.local import Local, machine_memory
from gvcodec.batch.task import Engine, Outcome, Task
from gvcodec.errors import UsageError


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


def results(engine: Engine, tasks: Sequence[Task]) -> list[Outcome]:
    """Outcomes of all tasks, in their order."""
    futures = [engine.submit(task) for task in tasks]
    wait(futures)
    return [future.result() for future in futures]
