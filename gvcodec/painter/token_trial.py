"""Tries tokens that steer the painter, on runs of frames of their GOP: what is painted with them,
by the samples that decoders show.

Tokens are tried as files paint them: at the strength that the GOP will have, each run painted
afresh and on, by the exact painter. Of each window nothing is sent, its own token, those of its
quadrants, or all, of one of several finds: whatever lowers a judge's distance most, after what
bytes and lost PSNR-Y would earn in base frames (`payload.RATE_SLOPE`, `HOLD`) and after what it
changes more from frame to frame than the unsteered picture does (`STEADY`, `MOST_FLICKER`). Change
is seen in all runs, along the motion of the source; the judge sees one picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gvcodec.painter.model import Ints, Model
from gvcodec.painter.payload import RATE_SLOPE
from gvcodec.painter.token_samples import GopSample
from gvcodec.painter.tokens import (
    SIDES,
    WINDOW,
    Tokens,
    decompose,
    keep,
    levels_of,
    no_tokens,
    rounded,
)
from gvcodec.types import BLOCK, Plane, Planes

#: Top, left, height and width of a window of the picture.
Window = tuple[int, int, int, int]
Numbers = NDArray[np.float64]

#: What as much more change from frame to frame as the unsteered pictures of a GOP have costs, in
#: parts of their loss.
STEADY = 0.1
#: How much a steered GOP may change from frame to frame beyond the source's own change, in parts of
#: what it does unsteered.
MOST_FLICKER = 1.1
#: How often flicker gets dearer until a GOP has little enough of it.
_DEARER = 24
#: Cost of a decibel of PSNR-Y below that of the unsteered picture: base frames take a fifth more
#: bytes for it, which would take about as much off the distance.
HOLD = 0.05
#: Changes between frames that nobody sees, in 0…1.
_INVISIBLE = 2e-5
#: Windows smaller than this are not tried.
_SMALLEST = 48
#: Bits that an integer v is taken to cost while windows are chosen: these, the second times
#: log2(1 + |v|).
_BITS = 0.7, 2.0
#: Largest sample of the painter's planes.
_WHITE = 1023


class Judge(Protocol):
    """Says how far painted pictures are from their source."""

    def distances(
        self, source: Planes, painted: Sequence[Planes], windows: Sequence[Window]
    ) -> Numbers:
        """Of each painted picture by window, (pictures, windows); planes in 10 bits."""
        ...


class Verdict(NamedTuple):
    """Of windows (W,): what is to be small, and by how much more than the source they change from
    frame to frame, in 0…1."""

    loss: Numbers
    flicker: Numbers


def windows_of(height: int, width: int) -> list[Window]:
    """Windows of a picture that are tried; sides are even."""
    found = [
        (top, left, min(WINDOW, height - top) & -2, min(WINDOW, width - left) & -2)
        for top in range(0, height, WINDOW)
        for left in range(0, width, WINDOW)
    ]
    return [window for window in found if min(window[2:]) >= _SMALLEST]


class GopTrial:
    """Trials of one GOP by a `judge`; `model` has the strength at which it will be painted."""

    def __init__(self, model: Model, stream: Ints, sample: GopSample, judge: Judge) -> None:
        self._model, self._stream, self._judge = model, stream, judge
        self._runs = sample.moving
        self._sources = [run[-1][1] for run in sample.runs]
        self._height, self._width = self._sources[0][0].shape
        self.windows = windows_of(self._height, self._width)

    def choose(
        self,
        found: Sequence[NDArray[np.floating]],
        size: int,
        kinds_tried: Sequence[int] = (3,),
    ) -> Tokens:
        """Of each window the tokens that serve it best: of the integers (rows, columns, D), not
        rounded, that were `found`, and how many kinds of them. `size`: bytes of the GOP."""
        assert self._model.tokens is not None
        chosen = no_tokens(self._height, self._width, self._model.tokens.dims)
        options = [
            keep(decompose(rounded(regions), self._height, self._width), kinds)
            for regions, kinds in itertools.product(found, kinds_tried)
        ]
        if not self.windows or not options:
            return chosen
        plain, *verdicts = self.weigh([None, *options])
        sizes = [[bytes_of(tokens, window) for window in self.windows] for tokens in options]
        for window, number in zip(
            self.windows, best_of(plain, verdicts, np.array(sizes), size), strict=True
        ):
            if number is not None:
                _copy_window(options[number], chosen, window)
        return chosen

    def weigh(self, options: Sequence[Tokens | None]) -> list[Verdict]:
        """What is painted with each of them; losses of PSNR-Y are against the first."""
        shown, errors, flickers = [], [], []
        middle = len(self._sources) // 2
        for tokens in options:
            levels = None if tokens is None else levels_of(tokens)
            painted = list(self._runs.paint(self._model, self._stream, levels))
            shown.append(painted[middle][-1])
            excess = self._runs.block_excess([[planes[0] for planes in run] for run in painted])
            flickers.append(self._by_window(excess, BLOCK) / _WHITE)
            errors.append(self._errors([run[-1][0] for run in painted]))
        distances = self._judge.distances(self._sources[middle], shown, self.windows)
        return [
            Verdict(distance + HOLD * np.maximum(0, error - errors[0]), flicker)
            for distance, error, flicker in zip(distances, errors, flickers, strict=True)
        ]

    def _errors(self, lumas: Sequence[Plane]) -> Numbers:
        """Mean squared errors of windows of the runs' last frames, in decibels."""
        found = []
        for luma, source in zip(lumas, self._sources, strict=True):
            square = np.square((luma.astype(np.float32) - source[0]) / _WHITE)
            found.append(self._by_window(square, 1))
        decibels: Numbers = 10 * np.log10(np.mean(found, 0) + 1e-6)
        return decibels

    def _by_window(self, values: NDArray[np.floating], side: int) -> Numbers:
        """Means of windows of values of squares of `side` samples."""
        means = []
        for top, left, height, width in self.windows:
            rows = slice(top // side, (top + height) // side)
            means.append(values[rows, left // side : (left + width) // side].mean())
        return np.array(means, np.float64)


def best_of(
    plain: Verdict, tried: Sequence[Verdict], sizes: NDArray[np.floating], size: int
) -> list[int | None]:
    """For each window the number of the best option, None where nothing is as good. `plain`: of
    unsteered windows; `tried`: of every option, and its bytes `sizes` (options, windows); `size`:
    bytes of the GOP. Flicker gets dearer until there is at most `MOST_FLICKER` times as much."""
    count = len(plain.loss)
    if not len(tried):
        return [None] * count
    # What a byte has to take off the sum of the windows' losses.
    price = float(plain.loss.sum()) * RATE_SLOPE / max(1, size)
    steady = price_of_flicker(float(plain.loss.mean()), float(plain.flicker.mean()))
    most = MOST_FLICKER * float(plain.flicker.sum()) + count * _INVISIBLE
    losses, flickers = (np.stack(parts) for parts in zip(*tried, strict=True))
    gains = plain.loss - losses - price * sizes
    more = np.maximum(0, flickers - plain.flicker)
    chosen: list[int | None] = []
    for _ in range(_DEARER):
        left = gains - steady * more
        best = left.argmax(0)
        pays = left.max(0) > 0
        chosen = [int(n) if pay else None for n, pay in zip(best, pays, strict=True)]
        taken = np.where(pays, flickers[best, np.arange(count)], plain.flicker)
        if float(taken.sum()) <= most:
            break
        steady *= 1.5
    return chosen


def price_of_flicker(loss: float, flicker: float) -> float:
    """What more of it costs where unsteered pictures have this loss and flicker."""
    return STEADY * loss / (flicker + _INVISIBLE)


def _copy_window(source: Tokens, goal: Tokens, window: Window) -> None:
    """All that is of a window."""
    top, left, height, width = window
    for given, taken, side in zip(source[:3], goal[:3], SIDES, strict=True):
        rows = slice(top // side, -(-(top + height) // side))
        columns = slice(left // side, -(-(left + width) // side))
        taken[rows, columns] = given[rows, columns]
    place = top // WINDOW, left // WINDOW
    goal.kinds[place] = source.kinds[place]


def bytes_of(tokens: Tokens, window: Window) -> float:
    """About what the tokens of a window take."""
    top, left, height, width = window
    bits, kinds = 0.0, int(tokens.kinds[top // WINDOW, left // WINDOW])
    for part, side in list(zip(tokens[:3], SIDES, strict=True))[:kinds]:
        inside = part[top // side : -(-(top + height) // side)]
        inside = inside[:, left // side : -(-(left + width) // side)]
        bits += float((_BITS[0] + _BITS[1] * np.log2(1 + np.abs(inside))).sum())
    return bits / 8
