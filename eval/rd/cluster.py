"""Work of the evaluation on the engine of `gvcodec batch`: functions and their arguments, as an
executor takes them."""

from __future__ import annotations

import base64
import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from eval.tools import EvalError
from gvcodec.batch.engines import open_engine
from gvcodec.batch.task import Outcome, Task

#: Bytes that encoding, decoding and measuring a clip take.
_MEMORY = 4 << 30


class ClusterPool(Executor):
    """`cluster`: as `gvcodec batch --cluster`. Every call has `threads` cores. What it raises comes
    back as `EvalError`."""

    def __init__(self, cluster: str, threads: int) -> None:
        # For the workers of a cluster that this process starts: they import `eval` by name.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(os.path.isabs, sys.path))
        self._engine = open_engine(0, cluster)
        self._threads = threads

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        packed = base64.b64encode(pickle.dumps((function, arguments, named))).decode()
        task = Task("eval.rd.cluster:call", {"packed": packed}, self._threads, _MEMORY)
        future: Future[Any] = Future()
        self._engine.submit(task).add_done_callback(lambda done: _settle(future, done.result()))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._engine.__exit__(None, None, None)


def call(packed: str) -> None:
    """What a worker does."""
    function, arguments, named = pickle.loads(base64.b64decode(packed))
    function(*arguments, **named)


def _settle(future: Future[Any], outcome: Outcome) -> None:
    if outcome.error:
        future.set_exception(EvalError(outcome.error))
    else:
        future.set_result(None)
