"""Tries tokens that steer the painter: paints runs of frames of their GOP with them, and judges the
samples that decoders show.

Tokens are tried as files paint them: at the strength that the GOP will have, each run painted
afresh and on, by the exact painter. Of each window nothing is sent, its own token, those of its
quadrants, or all, of one of several candidates: the choice that lowers the metric most, less the
gain of as many bytes and as much PSNR-Y in base frames (`payload.RATE_SLOPE`, `PSNR_PRICE`) and the
price of flicker beyond the unsteered picture's (`FLICKER_PRICE`, `MAX_FLICKER`). Flicker is taken
from all runs, along the motion of the source; the metric sees one picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gvcodec.painter.model import Ints, Model
from gvcodec.painter.payload import RATE_SLOPE
from gvcodec.painter.token_coding import (
    SIDES,
    WINDOW,
    Tokens,
    decompose,
    keep_kinds,
    no_tokens,
    round_integers,
    style_offsets_of,
)
from gvcodec.painter.tokens.samples import GopSample
from gvcodec.painter.unpainted_regions import show_base
from gvcodec.types import BLOCK, Plane, Planes

#: Top, left, height and width of a window of the picture.
Window = tuple[int, int, int, int]
Numbers = NDArray[np.float64]

#: Cost of doubling the change between frames of a GOP's unsteered pictures, in parts of their loss.
FLICKER_PRICE = 0.1
#: Largest flicker of a steered GOP (change between frames beyond the source's), in parts of that of
#: the unsteered one.
MAX_FLICKER = 1.03
#: The same for each window: tokens beyond it are never sent. At 1.03 for each
#: window nearly half of the gain is lost, because windows that hardly flicker have much of it.
MAX_WINDOW_FLICKER = 1.5
#: Allowance of both, in 0…1, for unsteered pictures that are still.
_SLACK = 5e-6
#: Most increases of the flicker price until a GOP meets its bound.
_PRICE_ROUNDS = 24
#: Cost of a decibel of PSNR-Y below that of the unsteered picture: base frames take a fifth more
#: bytes for it, which would take about as much off the distance.
PSNR_PRICE = 0.05
#: Changes between frames that nobody sees, in 0…1.
_INVISIBLE = 2e-5
#: Windows smaller than this are not tried.
_SMALLEST = 48
#: Side of the middle of a window that the metric compares: in files of 26 clips as good as whole
#: windows (LPIPS-Alex -0.27 and -0.20 %), for a quarter of the time.
_COMPARED = 128
#: Bits that an integer v is taken to cost while windows are chosen: these, the second times
#: log2(1 + |v|).
_BITS = 0.7, 2.0
#: Largest sample of the painter's planes.
_WHITE = 1023


class WindowMetric(Protocol):
    """Says how far painted pictures are from their source."""

    def distances(
        self, source: Planes, painted_frames: Sequence[Planes], windows: Sequence[Window]
    ) -> Numbers:
        """Distances of painted pictures by window, (pictures, windows); planes in 10 bits."""
        ...


class WindowCosts(NamedTuple):
    """Costs of windows (W,): the loss, and the flicker (change between frames beyond the source's),
    in 0…1."""

    loss: Numbers
    flicker: Numbers


def trial_windows(height: int, width: int) -> list[Window]:
    """Windows of a picture that are tried; sides are even."""
    windows = [
        (top, left, min(WINDOW, height - top) & -2, min(WINDOW, width - left) & -2)
        for top in range(0, height, WINDOW)
        for left in range(0, width, WINDOW)
    ]
    return [window for window in windows if min(window[2:]) >= _SMALLEST]


def middle_of(window: Window, side: int) -> Window:
    """The middle of a window, at most `side` samples high and wide; its corner is even."""
    top, left, height, width = window
    high, wide = min(height, side), min(width, side)
    return top + (height - high) // 4 * 2, left + (width - wide) // 4 * 2, high, wide


class GopTrial:
    """Trials of one GOP by a `metric`; `model` has the strength at which it will be painted."""

    def __init__(self, model: Model, stream: Ints, sample: GopSample, metric: WindowMetric) -> None:
        self._model, self._stream, self._metric = model, stream, metric
        self._clips, self._unpainted_regions = sample.clips, sample.unpainted_regions
        self._bases = [[base for base, _ in run] for run in sample.runs]
        self._sources = [run[-1][1] for run in sample.runs]
        self._height, self._width = self._sources[0][0].shape
        self.windows = trial_windows(self._height, self._width)
        self._compared = [middle_of(window, _COMPARED) for window in self.windows]

    def choose(
        self,
        candidates: Sequence[NDArray[np.floating]],
        size: int,
        kinds_tried: Sequence[int] = (3,),
    ) -> Tokens:
        """The best tokens for each window, of `candidates`: integers (rows, columns, D), not
        rounded, each with `kinds_tried` numbers of kinds. `size`: bytes of the GOP."""
        assert self._model.tokens is not None
        selected = no_tokens(self._height, self._width, self._model.tokens.dims)
        options = [
            keep_kinds(decompose(round_integers(regions), self._height, self._width), kinds)
            for regions, kinds in itertools.product(candidates, kinds_tried)
        ]
        if not self.windows or not options:
            return selected
        plain, *costs = self.measure([None, *options])
        sizes = [[estimate_bytes(tokens, window) for window in self.windows] for tokens in options]
        for window, number in zip(
            self.windows, choose_best(plain, costs, np.array(sizes), size), strict=True
        ):
            if number is not None:
                _copy_window(options[number], selected, window)
        return selected

    def measure(self, options: Sequence[Tokens | None]) -> list[WindowCosts]:
        """Painted pictures with each of them; losses of PSNR-Y are against the first."""
        pictures, errors, flickers = [], [], []
        middle = len(self._sources) // 2
        for tokens in options:
            style_offsets = None if tokens is None else style_offsets_of(tokens)
            painted_frames = list(self._clips.paint(self._model, self._stream, style_offsets))
            if self._unpainted_regions is not None and self._unpainted_regions.any():
                painted_frames = [
                    [
                        show_base(*pair, self._unpainted_regions)
                        for pair in zip(run, bases, strict=True)
                    ]
                    for run, bases in zip(painted_frames, self._bases, strict=True)
                ]
            pictures.append(painted_frames[middle][-1])
            excess = self._clips.block_excess(
                [[planes[0] for planes in run] for run in painted_frames]
            )
            flickers.append(self._by_window(excess, BLOCK) / _WHITE)
            errors.append(self._errors([run[-1][0] for run in painted_frames]))
        distances = self._metric.distances(self._sources[middle], pictures, self._compared)
        return [
            WindowCosts(distance + PSNR_PRICE * np.maximum(0, error - errors[0]), flicker)
            for distance, error, flicker in zip(distances, errors, flickers, strict=True)
        ]

    def _errors(self, lumas: Sequence[Plane]) -> Numbers:
        """Mean squared errors of windows of the runs' last frames, in decibels."""
        window_errors = []
        for luma, source in zip(lumas, self._sources, strict=True):
            square = np.square((luma.astype(np.float32) - source[0]) / _WHITE)
            window_errors.append(self._by_window(square, 1))
        decibels: Numbers = 10 * np.log10(np.mean(window_errors, 0) + 1e-6)
        return decibels

    def _by_window(self, values: NDArray[np.floating], side: int) -> Numbers:
        """Means of windows of values of squares of `side` samples."""
        means = []
        for top, left, height, width in self.windows:
            rows = slice(top // side, (top + height) // side)
            means.append(values[rows, left // side : (left + width) // side].mean())
        return np.array(means, np.float64)


def choose_best(
    plain: WindowCosts, options: Sequence[WindowCosts], sizes: NDArray[np.floating], size: int
) -> list[int | None]:
    """For each window the number of the best option, None if nothing is as good. `plain`: of
    unsteered windows; `options`: of every option, and its bytes `sizes` (options, windows); `size`:
    bytes of the GOP. No window flickers more than `MAX_WINDOW_FLICKER` times as much as unsteered,
    and the flicker price rises until the GOP has at most `MAX_FLICKER` times as much."""
    count = len(plain.loss)
    if not len(options):
        return [None] * count
    # The loss, summed over windows, that a byte must save.
    price = float(plain.loss.sum()) * RATE_SLOPE / max(1, size)
    flicker_price = price_of_flicker(float(plain.loss.mean()), float(plain.flicker.mean()))
    most = MAX_FLICKER * float(plain.flicker.sum()) + count * _SLACK
    losses, flickers = (np.stack(parts) for parts in zip(*options, strict=True))
    gains = plain.loss - losses - price * sizes
    gains[flickers > MAX_WINDOW_FLICKER * plain.flicker + _SLACK] = -np.inf
    extra_flicker = np.maximum(0, flickers - plain.flicker)
    selected: list[int | None] = []
    for _ in range(_PRICE_ROUNDS):
        net_gains = gains - flicker_price * extra_flicker
        best = net_gains.argmax(0)
        is_worth_it = net_gains.max(0) > 0
        selected = [int(n) if pay else None for n, pay in zip(best, is_worth_it, strict=True)]
        selected_flicker = np.where(is_worth_it, flickers[best, np.arange(count)], plain.flicker)
        if float(selected_flicker.sum()) <= most:
            break
        flicker_price *= 1.5
    return selected


def price_of_flicker(loss: float, flicker: float) -> float:
    """The cost of more flicker, given the loss and flicker of unsteered pictures."""
    return FLICKER_PRICE * loss / (flicker + _INVISIBLE)


def _copy_window(source: Tokens, target: Tokens, window: Window) -> None:
    """All that is of a window."""
    top, left, height, width = window
    for source_part, target_part, side in zip(source[:3], target[:3], SIDES, strict=True):
        rows = slice(top // side, -(-(top + height) // side))
        columns = slice(left // side, -(-(left + width) // side))
        target_part[rows, columns] = source_part[rows, columns]
    place = top // WINDOW, left // WINDOW
    target.kinds[place] = source.kinds[place]


def estimate_bytes(tokens: Tokens, window: Window) -> float:
    """About the bits of a window's tokens."""
    top, left, height, width = window
    bits, kinds = 0.0, int(tokens.kinds[top // WINDOW, left // WINDOW])
    for part, side in list(zip(tokens[:3], SIDES, strict=True))[:kinds]:
        inside = part[top // side : -(-(top + height) // side)]
        inside = inside[:, left // side : -(-(left + width) // side)]
        bits += float((_BITS[0] + _BITS[1] * np.log2(1 + np.abs(inside))).sum())
    return bits / 8
