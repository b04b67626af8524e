"""Sample clips: short runs of base frames and sources, kept while a video is coded, evenly over its
unknown length. A video of several GOPs is cut into a few parts of whole GOPs, so that each part has
clips of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gvcodec.types import Planes, VideoFormat

Sample = list[tuple[Planes, Planes]]

#: Least frames in a part, and most parts.
_FRAMES, _PARTS = 48, 3
#: Steps in parts of the picture from a window to the next, which spread them evenly (down, along).
_SPREAD = 0.7548776662466927, 0.5698402909980532


@dataclass(frozen=True, slots=True)
class Gop:
    """Number of its first frame, bytes of its frames in the file."""

    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """Number of the first frame, samples and bytes of some GOPs. A sample: a run of (base_frame,
    source). `sizes`: bytes of the packet of each frame of the samples, 0 = unknown; `firsts`:
    number of the first frame of each sample; `gops`: the part's GOPs."""

    first: int
    samples: list[Sample]
    size: int
    sizes: list[list[int]] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    gops: list[Gop] = field(default_factory=list)


class ClipSampler:
    """Short runs of consecutive (base, source) frames, evenly over a clip of unknown length, in
    bounded memory: of larger pictures a window, at another place in every run.

    A run begins at every `stride`-th frame. When there are too many, every other run goes and the
    stride doubles.
    """

    #: Frames of a run; runs for one part; side of the windows. All together about 130 MB.
    RUN, RUNS, WINDOW = 3, 24, 320

    def __init__(self, fmt: VideoFormat) -> None:
        self._size = fmt.height, fmt.width
        self._stride = self.RUN
        self._pairs: dict[int, tuple[Planes | None, Planes]] = {}
        self._sizes: dict[int, int] = {}

    def send_source(self, number: int, planes: Planes) -> None:
        if number // self._stride >= _PARTS * self.RUNS:
            self._stride *= 2
            self._pairs = {n: pair for n, pair in self._pairs.items() if self._is_sampled(n)}
        if self._is_sampled(number):
            self._pairs[number] = (None, self._cut(number, planes))

    def send_base(self, number: int, planes: Planes, size: int = 0) -> None:
        if number in self._pairs:
            self._sizes[number] = size
            self._pairs[number] = (self._cut(number, planes), self._pairs[number][1])

    def parts(self, gops: Sequence[Gop], frames: int) -> list[Part]:
        """All runs in order, by parts of the video, which has these GOPs and `frames` frames."""
        runs: dict[int, Sample] = {}
        for number, (base_frame, source) in sorted(self._pairs.items()):
            if base_frame is not None:
                runs.setdefault(number - number % self._stride, []).append((base_frame, source))
        starts = _starts([gop.first for gop in gops], frames, _PARTS)
        parts = []
        for start, end in zip(starts, [*starts[1:], frames], strict=True):
            clip_starts = [
                first for first, run in runs.items() if start <= first and first + len(run) <= end
            ]
            while len(clip_starts) > self.RUNS:
                clip_starts = clip_starts[::2]
            part_gops = [gop for gop in gops if start <= gop.first < end]
            size = sum(gop.size for gop in part_gops)
            sizes = [
                [self._sizes[n] for n in range(first, first + len(runs[first]))]
                for first in clip_starts
            ]
            samples = [runs[first] for first in clip_starts]
            parts.append(Part(start, samples, size, sizes, clip_starts, part_gops))
        return parts

    def _cut(self, number: int, planes: Planes) -> Planes:
        """The window of the run that this frame is in; its place does not depend on the stride."""
        if max(self._size) <= self.WINDOW:
            return planes
        y, u, v = planes
        top, left = (
            int((number // self.RUN * step) % 1 * (max(0, side - self.WINDOW) // 2 + 1)) * 2
            for step, side in zip(_SPREAD, self._size, strict=True)
        )
        half = self.WINDOW // 2
        y = y[top : top + self.WINDOW, left : left + self.WINDOW]
        u, v = (c[top // 2 : top // 2 + half, left // 2 : left // 2 + half] for c in (u, v))
        return y.copy(), u.copy(), v.copy()

    def _is_sampled(self, number: int) -> bool:
        return number % self._stride < self.RUN


def _starts(gops: Sequence[int], frames: int, most: int) -> list[int]:
    """First frames of at most `most` parts, as equal in length as GOPs that begin at `gops`
    allow."""
    most = min(most, max(1, frames // _FRAMES))
    starts = [0]
    for number in range(1, most):
        nearest = min(gops, key=lambda first: abs(first - number * frames / most), default=0)
        if min(nearest - starts[-1], frames - nearest) >= _FRAMES:
            starts.append(nearest)
    return starts
