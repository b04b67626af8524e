"""The equal-slope oracle: what a frame's windows should get, by coding it at several lambdas.

Of each window's points (bits, weighted squared error) only those on the lower convex hull can be
best for some price of a bit. Going down the hulls of all windows by steepest slope gives the best
error for every number of bits (D. Shoham and A. Gersho, "Efficient bit allocation for an arbitrary
set of quantizers", 1988). It takes the error that a frame has at multiplier 1 with the bits it has
there, or better both. `Survey` asks the same of all frames of a video at once: one slope for all of
them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gvcodec.allocation.windows import Outcome, Trial, Windows, grid
from gvcodec.types import Planes

#: Multipliers that are tried.
LADDER = (0.4, 0.63, 1.0, 1.6, 2.5)


class Oracle:
    """Codes every frame five times more: for comparison, not for use."""

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        bits, error, _ = _options(planes, weights, trial)
        chosen = best_within(bits, error, LADDER.index(1.0))
        return np.array(LADDER)[chosen].reshape(grid(planes[0]))

    def coded(self, outcome: Outcome) -> None:
        pass


class Survey:
    """Changes nothing, and learns what every window of a video would come to at each multiplier,
    the frames before it coded plainly.

    An error counts by the price of a bit in its frame: a frame that others are predicted from is
    coded finer, since its errors live on."""

    def __init__(self) -> None:
        self._bits, self._error = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
        self._shape = (0, 0)

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        bits, error, price = _options(planes, weights, trial)
        self._bits.append(bits)
        self._error.append(error / price)
        self._shape = grid(planes[0])
        return None

    def coded(self, outcome: Outcome) -> None:
        pass

    def planned(self) -> Planned:
        """For a second encode of the same video: the best for the sum of its errors, at no more
        bits than it took."""
        chosen = best_within(
            np.concatenate(self._bits, 1), np.concatenate(self._error, 1), LADDER.index(1.0)
        )
        return Planned(np.array(LADDER)[chosen].reshape(-1, *self._shape))


class Planned:
    """Multipliers that are known beforehand, one array a frame in coding order."""

    def __init__(self, multipliers: Iterable[Windows]) -> None:
        self._multipliers = iter(multipliers)

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        return next(self._multipliers)

    def coded(self, outcome: Outcome) -> None:
        pass


def _options(
    planes: Planes, weights: Windows, trial: Trial
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Bits and weighted squared errors (options, windows) at each multiplier, and the price of a
    bit."""
    outcomes = [trial(np.full(grid(planes[0]), multiplier)) for multiplier in LADDER]
    bits = np.stack([o.bits.ravel() for o in outcomes])
    error = np.stack([(o.squared_error * weights).ravel() for o in outcomes])
    return bits, error, outcomes[LADDER.index(1.0)].bit_price


def best_within(
    bits: NDArray[np.float64], error: NDArray[np.float64], reference: int
) -> NDArray[np.int64]:
    """One option for each window: the least sum of errors for no more bits than all windows at
    option `reference` take.

    `bits`, `error`: (options, windows). Never worse than the reference in either sum.
    """
    windows = np.arange(bits.shape[1])
    budget, limit = bits[reference].sum(), error[reference].sum()
    hulls = [lower_hull(bits[:, w], error[:, w]) for w in windows]
    chosen = np.array([hull[0] for hull in hulls])
    steps = sorted(
        (
            ((error[b, w] - error[a, w]) / (bits[b, w] - bits[a, w]), w, b)
            for w, hull in enumerate(hulls)
            for a, b in itertools.pairwise(hull)
        ),
        key=lambda step: step[0],
    )
    used = bits[chosen, windows].sum()
    for _, w, option in steps:
        # A hull gets flatter, so a window's steps come in order; one that does not fit ends that
        # window's way.
        if option not in hulls[w] or used + bits[option, w] - bits[chosen[w], w] > budget:
            hulls[w] = []
            continue
        used += bits[option, w] - bits[chosen[w], w]
        chosen[w] = option
    better = error[chosen, windows].sum() <= limit and used <= budget
    return chosen if better else np.full(len(windows), reference)


def lower_hull(bits: NDArray[np.float64], error: NDArray[np.float64]) -> list[int]:
    """Options on the lower convex hull of (bits, error), from the fewest bits to the least
    error."""
    hull: list[int] = []
    for option in sorted(range(len(bits)), key=lambda o: (bits[o], error[o])):
        if hull and error[option] >= error[hull[-1]]:
            continue
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (error[b] - error[a]) * (bits[option] - bits[a]) < (error[option] - error[a]) * (
                bits[b] - bits[a]
            ):
                break
            hull.pop()
        hull.append(option)
    return hull
