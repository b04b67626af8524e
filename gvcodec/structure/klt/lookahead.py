"""Which quality the `klt` encoder gives to each frame and block, from the sources of the frames
that follow.

The error that a block keeps is handed on to the blocks predicted from it (see
`csrc/klt/lookahead.hpp`). A block whose error counts I times over the next frames deserves 1/I of
the Lagrange multiplier; since that grows as the square of the quantiser step, and the step by
2^(1/9) a unit of q, its q should be 4.5 log2(I) lower. A frame has one q: the mean over its blocks,
where those count by what is new in them. The rest goes into the blocks' multipliers. The constants
were chosen on training clips by BD-rate in PSNR-Y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Plane

#: Frames that the encoder waits for.
DEPTH = 16
#: Units of q for a doubling of I, of the 4.5 that theory asks for.
SLOPE = 3.15
#: Blocks with I = 1 are coarser than asked for by this part of q: at q 56 that leaves every clip of
#: devtest below 0.02 bits a pixel.
LEVEL = 2 / 9
#: Squared error that quantisation leaves, in squared quantiser steps.
NOISE = 1 / 8
#: A block counts by its new squared error plus the first, but at most the second, of these times
#: the noise.
LEAST_NEW, MOST_NEW = 0.01, 64.0
#: How much of a block's distance from its frame goes into its multiplier, and the multiplier's
#: bounds.
LOCAL, BOUND = 0.6, 8.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What the oldest frame gets: `q` as an inter frame or `key_q` as a key frame, not yet rounded
    or kept in range; `lambda_map` (rows, columns) float32 for its 16×16 blocks."""

    q: float
    key_q: float
    lambda_map: NDArray[np.float32]


class Lookahead:
    """Frames go in by `push` and out by `choose`, in display order."""

    def __init__(self, width: int, height: int, threads: int) -> None:
        from gvcodec import _core

        self._core = _core.Lookahead(width, height, threads)

    def push(self, luma: Plane) -> None:
        """Luma of the next frame, (height, width) uint16."""
        self._core.push(luma)

    def choose(self, q: int, key: bool, frames: int) -> Choice:
        """Take out the oldest frame. `q`: quality asked for; `key`: it will be a key frame;
        `frames`: how many of those held come before the next key frame, itself included."""
        from gvcodec import _core

        noise = NOISE * (_core.quantiser_step(q, 0) / 4) ** 2
        finer = SLOPE * np.log2(self._core.importance(noise, frames))
        new = np.minimum(self._core.error(), MOST_NEW * noise) + LEAST_NEW * noise
        self._core.pop()
        whole, weighted = float(finer.mean()), float((finer * new).sum() / new.sum())
        chosen = whole if key else weighted
        scale = np.clip(2.0 ** (2 / 9 * LOCAL * (chosen - finer)), 1 / BOUND, BOUND)
        return Choice(q + LEVEL * q - weighted, q + LEVEL * q - whole, scale.astype(np.float32))
