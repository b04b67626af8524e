"""How deep each window is searched: `--alloc` in this base.

Before anything is searched, a window gets a number N of the tree's 31 nodes, and the deepest level
whose nodes are no more (0, 1, 3, 7, 15, 31). A window of level 0 is a copy; the far picture is
looked at for level 5 only. What is searched is then decided by rate and distortion as always.

    uniform, rd   31 for all: the search itself is the trial of prefixes
    uniqueness    none where the source's window is within U_f of the one it is predicted from
                  (Frame Group Fusion [UniComp], window by window, features of luma)
    elbo          N = clip(β · ELBO / E[ELBO], 0, 31) [InfoTok]; -ELBO in bits = what a copy misses
                  beyond what the copied frame misses of its own source. β = 31 nodes; no K/16 at
                  least, since a copy costs nothing
    both          the smaller of the two
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import TREE_LEVELS, MotionFrame
from gvcodec.allocation.patches import luma_features
from gvcodec.allocation.router import RunningMean, route
from gvcodec.allocation.uniqueness import unit
from gvcodec.base.motion.pictures import Shown

NODES = (1 << TREE_LEVELS) - 1
#: U_f of windows. The paper's 0.005 is for features of a language model's encoder; features of luma
#: lie closer together.
FUSED = 0.0003
DEFAULT = "uniform"

Levels = NDArray[np.uint8]


class Budgets:
    """Of the frames of one video, in coding order. `price`: of a bit, in sums of absolute
    differences of a window (10 bits)."""

    def __init__(self, method: str, price: float) -> None:
        self._method, self._price = method or DEFAULT, price
        self._mean = RunningMean()

    def levels(self, source: MotionFrame, near: Shown, copied: NDArray[np.int64]) -> Levels:
        """Levels that the windows of `source` may have at most, (N,). `copied`: what copies of
        `near` miss of it, in sums of differences."""
        nodes = np.full(source.windows, NODES, np.int64)
        if self._method in ("elbo", "both"):
            nodes = self._route(near, copied)
        if self._method in ("uniqueness", "both"):
            nodes = np.where(self._fused(source, near), 0, nodes)
        return levels_of(nodes)

    def _route(self, near: Shown, copied: NDArray[np.int64]) -> NDArray[np.int64]:
        missed = 0 if near.missed is None else near.missed
        elbo = np.maximum(copied - missed, 0) / self._price
        return route(elbo, self._mean.update(elbo), NODES, NODES, least=0)

    @staticmethod
    def _fused(source: MotionFrame, near: Shown) -> NDArray[np.bool_]:
        now, before = (
            unit(luma_features(frame.planes()[0]).reshape(source.windows, -1))
            for frame in (source, near.frame)
        )
        fused: NDArray[np.bool_] = 1 - (now * before).sum(1) <= FUSED
        return fused


def levels_of(nodes: NDArray[np.int64]) -> Levels:
    """The deepest levels with no more nodes than these, 2^level - 1 each."""
    return np.floor(np.log2(nodes + 1.0)).astype(np.uint8)
