"""The cache of segments and the order in which they are coded."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gvcodec.serve.segments import SegmentCache
from tests.conftest import wait_for


class FakeFilm:
    """Segments that are coded when `begin` is set; `numbers` says which, `dues` until when."""

    def __init__(self) -> None:
        self.numbers, self.dues, self.closings = list[int](), list[float](), 0
        self.video, self.begin, self.is_late = self, threading.Event(), False
        self.is_coding = False
        self.begin.set()

    def segment(self, number: int, is_wanted: Callable[[], bool], due: float) -> bytes:
        self.is_coding = True
        assert self.begin.wait(60)
        if not is_wanted():
            raise ConnectionAbortedError
        self.numbers.append(number)
        self.dues.append(due)
        if number == 13:
            raise ValueError("13")
        return bytes([number]) * 1000

    def length(self, number: int) -> float:
        return 2.0

    def keyframe(self, number: int) -> int:
        return number // 5

    def close(self) -> None:
        self.closings += 1


@pytest.fixture
def cache() -> Iterator[SegmentCache]:
    cache = SegmentCache()
    yield cache
    cache.close()


def test_segments_are_coded_once_and_errors_reach_the_client(cache: SegmentCache) -> None:
    film: Any = FakeFilm()
    for number in (5, 6, 5):
        assert cache.get(film, number, lambda: True) == bytes([number]) * 1000
    assert film.numbers == [5, 6]
    with pytest.raises(ValueError, match="13"):
        cache.get(film, 13, lambda: True)
    other: Any = FakeFilm()
    cache.get(other, 0, lambda: True)
    assert film.closings == 1  # one decoder at a time


def test_the_cache_is_bounded(cache: SegmentCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gvcodec.serve.segments._MOST_BYTES", 5500)
    film: Any = FakeFilm()
    for number in (*range(0, 90, 3), 0):
        assert cache.get(film, number, lambda: True)[0] == number
    assert sum(map(len, cache._segments.values())) <= 5500
    assert len(cache._shown) <= 64


def test_clients_are_served_in_order_unless_they_have_gone(cache: SegmentCache) -> None:
    film: Any = FakeFilm()
    film.begin.clear()
    with ThreadPoolExecutor(4) as pool:
        answers = []
        for n, is_there in ((10, True), (30, True), (40, False), (20, True)):
            answers.append(pool.submit(cache.get, film, n, lambda there=is_there: there))
            wait_for(lambda: film.is_coding and cache._jobs.qsize() == len(answers) - 1, 60)
        film.begin.set()
        assert answers[3].result(60)[0] == 20
        with pytest.raises(ConnectionAbortedError):
            answers[2].result(60)
    assert film.numbers == [10, 30, 20]


def test_deadlines_follow_the_clock_of_the_player(
    cache: SegmentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    film: Any = FakeFilm()
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for number, asked in ((0, 100.0), (1, 100.0), (2, 101.0), (3, 200.0)):
        clock[0] = asked
        cache.get(film, number, lambda: True)
    # After a seek 4 s; then the clock of playback, which began at 100; then a paused player.
    assert film.dues == [104, 102, 104, 202]


def test_late_segments_are_forgotten_when_another_gop_is_coded(cache: SegmentCache) -> None:
    film: Any = FakeFilm()
    film.is_late = True
    for number in (1, 2, 1):
        cache.get(film, number, lambda: True)
    film.is_late = False
    cache.get(film, 7, lambda: True)
    cache.get(film, 1, lambda: True)
    assert film.numbers == [1, 2, 7, 1]
