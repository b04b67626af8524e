"""The task graph of a batch on so many cores, from the times of its tasks: plan, chunks, join of
each file, as `gvcodec.batch.driver` hands them out.

makespan([FileTimes(0.1, [30.0, 28.0], 1.0), …], cores=64)
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gvcodec.batch.engines import AHEAD


@dataclass(frozen=True, slots=True)
class FileTimes:
    """Seconds of planning, of every chunk and of joining, each on one core."""

    plan: float
    chunks: Sequence[float]
    join: float

    @property
    def work(self) -> float:
        return self.plan + sum(self.chunks) + self.join


def makespan(files: Sequence[FileTimes], cores: int) -> float:
    """Seconds until all is done. Tasks are taken in the order in which they are asked for; a file
    is begun while fewer than `AHEAD` tasks a core are asked for."""
    coming = deque(range(len(files)))
    queue: deque[tuple[int, float]] = deque()
    left = [0] * len(files)
    stage = [0] * len(files)
    running: list[tuple[float, int]] = []
    now, free, asked = 0.0, cores, 0
    while True:
        while coming and asked < AHEAD * cores:
            number = coming.popleft()
            queue.append((number, files[number].plan))
            left[number], asked = 1, asked + 1
        while queue and free:
            number, seconds = queue.popleft()
            heapq.heappush(running, (now + seconds, number))
            free -= 1
        if not running:
            return now
        now, number = heapq.heappop(running)
        free, asked, left[number] = free + 1, asked - 1, left[number] - 1
        if not left[number] and stage[number] < 2:
            stage[number] += 1
            following = files[number].chunks if stage[number] == 1 else [files[number].join]
            queue.extend((number, seconds) for seconds in following)
            left[number] = len(following)
            asked += len(following)
