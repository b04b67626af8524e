"""A worker: tasks, a line of JSON each, come on standard input, their outcomes go to standard
output. `gvcodec.batch.local` starts it. It ends when standard input does, since then nobody waits
for it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from importlib import import_module

from gvcodec.batch.task import Outcome
from gvcodec.errors import GvcodecError
from gvcodec.util.uris import ConnectionLostError

#: Seconds that a store that stopped answering is given.
_MOMENT = 1.0


def perform(packed: str, tries: int = 1) -> Outcome:
    """Do a task (see `Task.packed`) with as many threads as it has cores."""
    task = json.loads(packed)
    module, _, name = task["call"].partition(":")
    os.environ["OMP_NUM_THREADS"] = str(task["cores"])
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task["cores"])
    began = time.monotonic()
    value, error, again = None, "", False
    try:
        value = getattr(import_module(module), name)(**task["arguments"])
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
    return Outcome(value, error, again, False, tries, round(time.monotonic() - began, 3))


def cpu_seconds() -> float:
    """Of processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def main() -> None:
    # Libraries print to standard output; outcomes go where it pointed to.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    while True:
        answers.write(perform(tasks.get()).packed() + "\n")
        answers.flush()


def _listen(tasks: queue.SimpleQueue[str]) -> None:
    """Whoever started this process is gone when its end of the pipe is."""
    for line in sys.stdin:
        tasks.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
