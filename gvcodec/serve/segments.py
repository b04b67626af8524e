"""Coded segments: one thread makes them, the newest stay in a cache of bounded size.

What clients wait for comes first; then the two segments after those that were given. A segment that
nobody waits for any more is not made.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass, field

from gvcodec.serve.film import Film

#: Bytes of segments that are kept, and segments that are made ahead: two for each of four clients.
_MOST_BYTES, _AHEAD, _MOST_AHEAD = 128 << 20, 2, 8
#: Segments that one client may wait for at a time.
MOST_WAITING = 4
#: Seconds between two looks at whether a client still waits.
_LOOK = 0.5

Key = tuple[Film, int]


class TooManyRequestsError(Exception):
    """A client asks for more segments at a time than it may wait for."""


@dataclass(slots=True)
class _Job:
    result: Future[bytes] = field(default_factory=Future)
    waiting: int = 0


class SegmentCache:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ready: OrderedDict[Key, bytes] = OrderedDict()
        self._jobs: dict[Key, _Job] = {}
        self._ahead: deque[Key] = deque(maxlen=_MOST_AHEAD)
        self._clients: Counter[str] = Counter()
        self._film: Film | None = None
        self._size, self._closed = 0, False
        self._worker = threading.Thread(target=self._work, name="segments", daemon=True)
        self._worker.start()

    def get(self, film: Film, number: int, client: str, is_there: Callable[[], bool]) -> bytes:
        """Segment `number` of a film. Raises what `Film.segment` raises, `TooManyRequestsError`,
        and `ConnectionAbortedError` once the client is not there any more."""
        key = film, number
        with self._changed:
            if self._clients[client] >= MOST_WAITING:
                raise TooManyRequestsError
            data = self._ready.get(key)
            if data is None:
                job = self._jobs.setdefault(key, _Job())
                job.waiting += 1
                self._clients[client] += 1
                self._changed.notify()
        if data is None:
            data = self._wait(key, job, client, is_there)
        with self._changed:
            if key in self._ready:
                self._ready.move_to_end(key)
            for following in range(number + 1, min(number + 1 + _AHEAD, film.segments)):
                if (film, following) not in self._ahead:
                    self._ahead.append((film, following))
            self._changed.notify()
        return data

    def close(self) -> None:
        """End the thread once it has made its segment."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    def _wait(self, key: Key, job: _Job, client: str, is_there: Callable[[], bool]) -> bytes:
        try:
            while True:
                try:
                    return job.result.result(_LOOK)
                except TimeoutError:
                    if job.result.done():
                        raise
                    if not is_there():
                        raise ConnectionAbortedError from None
        finally:
            with self._changed:
                job.waiting -= 1
                self._clients[client] -= 1
                if not job.waiting and self._jobs.get(key) is job:
                    del self._jobs[key]
                self._clients += Counter()  # without those at 0

    def _work(self) -> None:
        while (key := self._next()) is not None:
            film, number = key
            data, error = b"", None
            try:
                if self._film not in (None, film):
                    self._film.close()  # one film's decoder is kept
                self._film = film
                data = film.segment(number)
            except Exception as raised:  # noqa: BLE001 (whatever it is, a client hears of it)
                error = raised
            with self._changed:
                if error is None:
                    self._keep(key, data)
                if (job := self._jobs.pop(key, None)) is not None:
                    job.result.set_exception(error) if error else job.result.set_result(data)

    def _next(self) -> Key | None:
        """What is to be made now; None at the end."""
        with self._changed:
            while not self._closed:
                if self._jobs:
                    return next(iter(self._jobs))
                while self._ahead:
                    if (key := self._ahead.popleft()) not in self._ready:
                        return key
                self._changed.wait()
            return None

    def _keep(self, key: Key, data: bytes) -> None:
        self._ready[key] = data
        self._size += len(data)
        while self._size > _MOST_BYTES:
            self._size -= len(self._ready.popitem(last=False)[1])
