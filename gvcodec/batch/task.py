"""What an engine is given, what it gives back, and what an engine is.

A task calls a function of a module with keywords. What it raises comes back in its outcome. A
worker that dies is replaced and its task tried again, `Task.tries` times in all, as is one that
lost its connection."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

from gvcodec.errors import GvcodecError
from gvcodec.util.uris import ConnectionLostError

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
    may help; `lost`: the worker died. `tries`: how often it was begun."""

    value: Any = None
    error: str = ""
    again: bool = False
    lost: bool = False
    tries: int = 1


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


def perform(task: Task, tries: int = 1) -> Outcome:
    """Do a task with as many threads as it has cores."""
    os.environ["OMP_NUM_THREADS"] = str(task.cores)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task.cores)
    again = False
    try:
        return Outcome(task.call(**task.arguments), tries=tries)
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
    return Outcome(error=error, again=again, tries=tries)
