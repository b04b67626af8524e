"""Frames that tokens are found on, taken while a video is coded: of each GOP some short runs of
consecutive frames, whole, spread over it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field

from gvcodec.painter.model import Strength, rate
from gvcodec.painter.sample_clips import SampleClips
from gvcodec.painter.unpainted_regions import Regions
from gvcodec.types import Planes

#: Most luma samples of a picture whose tokens are searched, for which memory holds about 24 MB for
#: each window and run.
MAX_SEARCHED_SAMPLES = 1 << 22
#: Runs of a GOP: to search on, and one to judge by; frames of each. The second frame of a run keeps
#: little detail of those before it, the third almost as much as later ones.
RUNS, FRAMES = 3, 3
#: Frames from a run to the next at first; the stride doubles when a GOP has twice as many runs.
_STRIDE = 4


@dataclass
class GopSample:
    """`first`: number of the GOP's first frame; `runs` of consecutive frames, each (base frame,
    source), all of one length; `sizes`: bytes of the packets of their frames, 0 = unknown;
    `strength` at which it is painted, None: not chosen yet; `frames` of the GOP, 0 = unknown."""

    first: int
    runs: list[list[tuple[Planes, Planes]]] = field(default_factory=list)
    sizes: list[list[int]] = field(default_factory=list)
    strength: Strength | None = None
    unpainted_regions: Regions | None = None
    frames: int = 0

    @functools.cached_property
    def rates(self) -> list[list[int]]:
        """Own entries of the condition (`model.rate`) of the frames of runs."""
        height, width = self.runs[0][0][0][0].shape
        return [[rate(size, width, height) for size in sizes] for sizes in self.sizes]

    @functools.cached_property
    def clips(self) -> SampleClips:
        """The runs with their motion."""
        return SampleClips(self.runs, self.rates, keeps_painted=True)


class TokenSampler:
    """Takes sources and base frames by number, in order, and gives GOPs that are complete."""

    def __init__(self) -> None:
        self._sources: dict[int, Planes] = {}
        self._starts: list[int] = []
        self._first, self._stop = 0, 0
        self._stride = _STRIDE
        self._runs: dict[int, list[tuple[Planes, Planes, int]]] = {}

    def send_source(self, number: int, planes: Planes) -> None:
        if number % _STRIDE < FRAMES:
            self._sources[number] = planes

    def start_gop(self, number: int) -> None:
        """A GOP begins with this frame, whose base frame is not there yet."""
        self._starts.append(number)

    def send_base(self, number: int, planes: Planes, size: int) -> Iterator[GopSample]:
        """The base frame of a number and bytes of its packet; gives the GOP that ends before it."""
        if self._starts and number >= self._starts[0]:
            if number > self._first:
                yield self._finish()
            self._first, self._stride = self._starts.pop(0), _STRIDE
        self._stop = number + 1
        source = self._sources.pop(number, None)
        place = number - number % _STRIDE
        if source is None or place < self._first or place % self._stride:
            return
        self._runs.setdefault(place, []).append((planes, source, size))
        if sum(len(run) == FRAMES for run in self._runs.values()) > 2 * RUNS:
            self._stride *= 2
            places = (place for place in self._runs if place % self._stride == 0)
            self._runs = {place: self._runs[place] for place in places}

    def finish(self) -> Iterator[GopSample]:
        """The last GOP."""
        yield self._finish()

    def _finish(self) -> GopSample:
        """`RUNS` runs, evenly over those that were kept; pairs of a GOP that is shorter, which
        may have none below six frames."""
        length = max((len(run) for run in self._runs.values()), default=0)
        complete = [run for run in self._runs.values() if len(run) == length > 1]
        self._runs = {}
        count = min(RUNS, len(complete))
        runs = [complete[(2 * n + 1) * len(complete) // (2 * count)] for n in range(count)]
        return GopSample(
            self._first,
            [[(base, source) for base, source, _ in run] for run in runs],
            [[size for _, _, size in run] for run in runs],
            frames=self._stop - self._first,
        )
