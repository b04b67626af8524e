"""Coded segments: one thread codes them, the newest stay in a cache of bounded size.

Segments that clients wait for come first, unless the clients have gone; then the two segments after
those that clients got.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import PriorityQueue
from typing import Any

from gvcodec.serve.film import Film

#: Bytes of segments in the cache; segments that are coded ahead of a client; jobs that wait while
#: more of these are added.
_MOST_BYTES, _AHEAD, _MOST_JOBS = 128 << 20, 2, 8


class SegmentCache:
    """Segments of any number of films."""

    def __init__(self) -> None:
        #: The oldest first. Only the thread adds and removes segments.
        self._segments: dict[tuple[Film, int], bytes] = {}
        #: Rank (0: asked for, 1: ahead), order, film, number, whether the client is there, answer;
        #: a rank alone at the end.
        self._jobs: PriorityQueue[Any] = PriorityQueue()
        self._order = itertools.count()
        self._film: Film | None = None
        self._thread = threading.Thread(target=self._work, name="segments", daemon=True)
        self._thread.start()

    def get(self, film: Film, number: int, is_there: Callable[[], bool]) -> bytes:
        """Segment `number` of a film. Raises the errors of `Film.segment`, and
        `ConnectionAbortedError` where the client is not there any more when its turn comes."""
        data = self._segments.get((film, number)) or self._ask(0, film, number, is_there).result()
        for following in range(number + 1, min(number + 1 + _AHEAD, film.segments)):
            if self._jobs.qsize() < _MOST_JOBS:
                self._ask(1, film, following, lambda: True)
        return data

    def close(self) -> None:
        """End the thread once it has coded its segment."""
        self._jobs.put((-1,))
        self._thread.join()

    def _ask(
        self, rank: int, film: Film, number: int, is_there: Callable[[], bool]
    ) -> Future[bytes]:
        answer = Future[bytes]()
        self._jobs.put((rank, next(self._order), film, number, is_there, answer))
        return answer

    def _work(self) -> None:
        while len(job := self._jobs.get()) > 1:
            *_, film, number, is_there, answer = job
            try:
                answer.set_result(self._code(film, number, is_there))
            except Exception as error:  # noqa: BLE001 (whatever it is, a client hears of it)
                answer.set_exception(error)

    def _code(self, film: Film, number: int, is_there: Callable[[], bool]) -> bytes:
        if data := self._segments.get((film, number)):
            return data
        if not is_there():
            raise ConnectionAbortedError
        if self._film not in (None, film):
            self._film.video.close()  # one film's decoder stays in memory
        self._film = film
        data = self._segments[film, number] = film.segment(number)
        while sum(map(len, self._segments.values())) > _MOST_BYTES:
            del self._segments[next(iter(self._segments))]
        return data
