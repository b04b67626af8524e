"""Uniqueness (UniComp): windows and frames that resemble others get less.

u_ij = 1 - cos of feature vectors. Three parts, each a switch: frames that resemble their group's
leader are skipped (`fusion`), windows share a frame's bits by a softmax of how unlike the others
they are (`allocation`), and of windows that resemble each other all but one are left to prediction
(`selection`). Thresholds are quantiles over training clips; the paper's are 0.005 and 0.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.allocation.windows import LEAST, MOST, SIDE, Outcome, Trial, Windows, grid
from gvcodec.types import Plane, Planes

#: 5 % quantiles of u over training clips, of consecutive frames and of windows of a frame.
FUSION_QUANTILE, SELECTION_QUANTILE = 0.0005, 0.019

Features = NDArray[np.float64]  # (windows, values), of length 1

#: Side of an area in the halved picture.
_CELL = 8


@dataclass(frozen=True, slots=True)
class UniquenessOptions:
    """`fusion` and `selection` are the thresholds of u, 0 = off; `allocation` is the exponent from
    shares to multipliers, 0 = off. A group has at most `group` frames."""

    fusion: float = 0.0
    allocation: float = 0.5
    selection: float = 0.0
    group: int = 8


class Uniqueness:
    """See the module."""

    def __init__(self, options: UniquenessOptions | None = None) -> None:
        self._options = options or UniquenessOptions()
        self._leader: Features | None = None
        self._group = 0

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        options, shape = self._options, grid(planes[0])
        features = window_features(planes[0])
        if options.fusion and self._joins(features):
            return np.full(shape, 64.0)
        result = np.ones(len(features))
        if options.allocation:
            result = shares(features) ** -options.allocation
            result /= math.exp(float(np.log(result).mean()))
        if options.selection:
            result[~independent(features, options.selection)] *= 2
        return np.clip(result, LEAST, MOST).reshape(shape)

    def coded(self, outcome: Outcome) -> None:
        pass

    def _joins(self, features: Features) -> bool:
        """Whether the frame belongs to the present group; else it leads the next."""
        full = self._leader is None or self._group >= self._options.group
        if full or frame_distance(features, self._leader) >= self._options.fusion:
            self._leader, self._group = features, 1
            return False
        self._group += 1
        return True


def window_features(luma: Plane) -> Features:
    """Unit vectors of the windows: means of 16×16 areas and of the absolute gradients there, from
    every other sample of luma each way; borders repeat the edge."""
    rows, columns = grid(luma)
    half = luma[::2, ::2].astype(np.float32)
    size = rows * SIDE // 2, columns * SIDE // 2
    padded = np.pad(half, ((0, size[0] - half.shape[0]), (0, size[1] - half.shape[1])), mode="edge")
    across = np.abs(np.diff(padded, axis=1, append=padded[:, -1:]))
    down = np.abs(np.diff(padded, axis=0, append=padded[-1:]))
    cells = []
    for plane in (padded, 4 * across, 4 * down):
        means = plane.reshape(size[0] // _CELL, _CELL, size[1] // _CELL, _CELL).mean(
            (1, 3), dtype=np.float64
        )
        side = SIDE // 2 // _CELL
        cells.append(
            means.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, -1)
        )
    features: Features = np.concatenate(cells, 1)
    return features / np.maximum(1e-9, np.linalg.norm(features, axis=1, keepdims=True))


def frame_distance(a: Features, b: Features) -> float:
    """u of two frames: the largest of their windows'."""
    return float((1 - (a * b).sum(1)).max())


def shares(features: Features) -> NDArray[np.float64]:
    """Softmax of √K (mean(s) - s): K times the share of each window, where s is its mean similarity
    to the others."""
    count = len(features)
    if count == 1:
        return np.ones(1)
    similarity = ((features @ features.T).sum(1) - 1) / (count - 1)
    logits = math.sqrt(count) * (similarity.mean() - similarity)
    weights = np.exp(logits - logits.max())
    result: NDArray[np.float64] = count * weights / weights.sum()
    return result


def independent(features: Features, threshold: float) -> NDArray[np.bool_]:
    """The most unique windows first, each unless it resembles (u below the threshold) one that was
    taken."""
    distance = 1 - features @ features.T
    taken = np.zeros(len(features), bool)
    for window in np.argsort(-distance.sum(1), kind="stable"):
        taken[window] = not taken.any() or bool((distance[window, taken] >= threshold).all())
    return taken
