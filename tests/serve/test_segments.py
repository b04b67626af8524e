"""The cache of segments and the order in which they are coded."""

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from gvcodec.serve.segments import SegmentCache
from tests.conftest import wait_for


class FakeFilm:
    """Segments that are coded when `begin` is set; `numbers` says which."""

    def __init__(self) -> None:
        self.segments, self.numbers, self.closings = 100, list[int](), 0
        self.video, self.begin = self, threading.Event()
        self.begin.set()

    def segment(self, number: int) -> bytes:
        assert self.begin.wait(60)
        self.numbers.append(number)
        if number == 13:
            raise ValueError("13")
        return bytes([number]) * 1000

    def close(self) -> None:
        self.closings += 1


@pytest.fixture
def cache() -> Iterator[SegmentCache]:
    cache = SegmentCache()
    yield cache
    cache.close()


def wait_for_coding(cache: SegmentCache, film: Any) -> list[int]:
    """Segments coded once the thread has nothing to do: it takes jobs one after the other."""
    other: Any = FakeFilm()
    cache._ask(9, other, 0, lambda: True).result(60)
    return list(film.numbers)


def test_two_segments_are_coded_ahead_and_no_more(cache: SegmentCache) -> None:
    film: Any = FakeFilm()
    assert cache.get(film, 5, lambda: True) == b"\5" * 1000
    assert wait_for_coding(cache, film) == [5, 6, 7]
    cache.get(film, 6, lambda: True)
    assert wait_for_coding(cache, film) == [5, 6, 7, 8]
    cache.get(film, 99, lambda: True)
    assert wait_for_coding(cache, film) == [5, 6, 7, 8, 99]
    with pytest.raises(ValueError, match="13"):
        cache.get(film, 13, lambda: True)
    cache.get(film, 5, lambda: True)
    assert film.closings == 3  # one decoder at a time: the other film had its turn thrice


def test_the_cache_is_bounded(cache: SegmentCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gvcodec.serve.segments._MOST_BYTES", 5500)
    film: Any = FakeFilm()
    for number in (*range(0, 90, 3), 0):
        assert cache.get(film, number, lambda: True)[0] == number
        assert cache._jobs.qsize() <= 8
    wait_for_coding(cache, film)
    assert sum(map(len, cache._segments.values())) <= 5500


def test_what_clients_wait_for_comes_first_unless_they_have_gone(cache: SegmentCache) -> None:
    film: Any = FakeFilm()
    film.begin.clear()
    requests = [(1, 50, True), (0, 30, True), (0, 40, False), (0, 20, True)]
    first = cache._ask(0, film, 10, lambda: True)
    wait_for(lambda: cache._jobs.empty(), 60)  # it is being coded
    answers = [cache._ask(rank, film, n, partial(bool, there)) for rank, n, there in requests]
    film.begin.set()
    assert first.result(60)[0] == 10
    with pytest.raises(ConnectionAbortedError):
        answers[2].result(60)
    assert wait_for_coding(cache, film) == [10, 30, 20, 50]
