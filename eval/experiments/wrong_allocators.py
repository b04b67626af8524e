"""Allocators that must not help, for `python -m eval alloc`: the budgets of another, in the wrong
place or at the wrong time."""

from __future__ import annotations

from collections import deque

import numpy as np

from gvcodec.allocation.windows import Allocator, Outcome, Trial, Windows
from gvcodec.types import Planes


class Shuffled:
    """The multipliers of `inner`, same histogram in each frame, given to windows at random."""

    def __init__(self, inner: Allocator, seed: int = 0) -> None:
        self._inner, self._rng = inner, np.random.default_rng(seed)

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        right = self._inner.multipliers(planes, weights, trial)
        return None if right is None else self._rng.permutation(right.ravel()).reshape(right.shape)

    def coded(self, outcome: Outcome) -> None:
        self._inner.coded(outcome)


class Delayed:
    """The multipliers of `inner`, `frames` frames too late."""

    def __init__(self, inner: Allocator, frames: int = 5) -> None:
        self._inner, self._frames = inner, frames
        self._held: deque[Windows | None] = deque()

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        self._held.append(self._inner.multipliers(planes, weights, trial))
        return self._held.popleft() if len(self._held) > self._frames else None

    def coded(self, outcome: Outcome) -> None:
        self._inner.coded(outcome)
