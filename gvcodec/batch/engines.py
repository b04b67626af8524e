"""Where tasks run: processes of this machine (`local`), or a cluster (`ray_engine`).

with open_engine(jobs=4) as engine:
    outcome = engine.submit(Task("gvcodec.batch.tasks:join", {...})).result()
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from gvcodec.batch.local import Local, machine_memory
from gvcodec.batch.task import Engine, Outcome, Task
from gvcodec.errors import UsageError

#: Tasks a core that are asked for at a time: none idles while the next one is thought of.
AHEAD = 2


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


def each(engine: Engine, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
    """Tasks with their outcomes, in the order in which they are done. The next ones are taken as
    cores come free."""
    waiting: dict[Future[Outcome], Task] = {}
    coming = iter(tasks)
    while True:
        for task in itertools.islice(coming, max(0, AHEAD * engine.cores - len(waiting))):
            waiting[engine.submit(task)] = task
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future.result()
