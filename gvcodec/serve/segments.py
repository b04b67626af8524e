"""Coded segments: one thread codes them, the newest stay in a cache of bounded size.

Clients get segments in the order of their requests. Coding stops when the client has gone. Painting
stops, up to the next keyframe, when a segment would come later than the player shows it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from gvcodec.serve.film import Film

#: Bytes of segments in the cache; seconds that a player waits after a seek before painting stops
#: (hls.js gives up after 10); players whose clocks are kept.
_MOST_BYTES, _START, _MOST_CLOCKS = 128 << 20, 4.0, 64


class SegmentCache:
    """Segments of any number of films."""

    def __init__(self) -> None:
        #: The oldest first. Only the thread adds and removes segments.
        self._segments: dict[tuple[Film, int], bytes] = {}
        #: Segments with base frames instead of painted ones, all of one GOP; film and keyframe of
        #: the segment that was coded last.
        self._late: list[tuple[Film, int]] = []
        self._gop: tuple[Film, int] | None = None
        #: When players that got the previous segment show this one, by `time.monotonic`.
        self._shown: dict[tuple[Film, int], float] = {}
        self._shown_lock = threading.Lock()
        #: Film, number, whether the client is there, deadline, answer; None at the end.
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        self._film: Film | None = None
        self._is_open = True
        self._thread = threading.Thread(target=self._work, name="segments", daemon=True)
        self._thread.start()

    def get(self, film: Film, number: int, is_there: Callable[[], bool]) -> bytes:
        """Segment `number` of a film. Raises the errors of `Film.segment`, and
        `ConnectionAbortedError` if the client leaves before it is coded."""
        asked, shown = time.monotonic(), self._shown.get((film, number))
        # A player that was paused asks late, and has time.
        due = asked + _START if shown is None else max(shown, asked + film.length(number))
        data = self._segments.get((film, number))
        if data is None:
            answer = Future[bytes]()
            self._jobs.put((film, number, is_there, due, answer))
            data = answer.result()
        now = time.monotonic()
        begins = now if shown is None else max(shown, now)
        with self._shown_lock:
            self._shown[film, number + 1] = begins + film.length(number)
            while len(self._shown) > _MOST_CLOCKS:
                del self._shown[next(iter(self._shown))]
        return data

    def close(self) -> None:
        """End the thread."""
        self._is_open = False
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            *which, answer = job
            try:
                answer.set_result(self._code(*which))
            except Exception as error:  # noqa: BLE001 (whatever it is, a client hears of it)
                answer.set_exception(error)

    def _code(self, film: Film, number: int, is_there: Callable[[], bool], due: float) -> bytes:
        if data := self._segments.get((film, number)):
            return data
        if self._film not in (None, film):
            self._film.video.close()  # one film's decoder stays in memory
        self._film = film
        data = film.segment(number, lambda: self._is_open and is_there(), due)
        if self._gop != (gop := (film, film.keyframe(number))):
            self._gop = gop
            while self._late:
                self._segments.pop(self._late.pop(), None)
        if film.is_late:
            self._late.append((film, number))
        self._segments[film, number] = data
        while sum(map(len, self._segments.values())) > _MOST_BYTES:
            del self._segments[next(iter(self._segments))]
        return data
