"""Budgets of the windows of a frame: the interface that allocators share, and what they see.

An allocator gives each 256×256 window of a `klt` frame a multiplier of lambda. The encoder then
decides, token by token, how deep the pyramid of the window goes; what a budget costs is coded in
the flags of empty subtrees. Arrays are (rows, columns) of windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gvcodec.structure.klt.codec import FrameOutcome, LambdaMap
from gvcodec.types import Plane, Planes

SIDE = 256
#: Multipliers stay within these bounds: beyond them a window is better off with another quantiser.
LEAST, MOST = 0.25, 4.0

Windows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What coding a frame came to, by window: code length in bits, squared error of luma and chroma
    in squared steps of 1/1023, the sum of their absolute errors, and the Lagrange multiplier of a
    bit in those units at multiplier 1."""

    bits: Windows
    squared_error: Windows
    absolute_error: Windows
    bit_price: float


#: Codes the present frame with these multipliers, without any trace.
Trial = Callable[[Windows], Outcome]


class Allocator(Protocol):
    """Asked once a frame, in coding order."""

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        """Of lambda, for the frame `planes`; None = 1 everywhere. `weights`: what an error in each
        window counts in the frames to come, relative to its own."""
        ...

    def coded(self, outcome: Outcome) -> None:
        """What the frame came to in the end."""
        ...


class WindowBudgets:
    """An allocator as the `klt` encoder takes it (`Regions`): windows to blocks, loop frames to
    errors."""

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator

    def lambda_map(
        self, planes: Planes, lambda_map: LambdaMap, trial: Callable[[LambdaMap], FrameOutcome]
    ) -> LambdaMap:
        shape, blocks = grid(planes[0]), lambda_map.shape
        side = SIDE // 16
        weights = sum_by_window(1 / lambda_map.astype(np.float64), side) / sum_by_window(
            np.ones(blocks), side
        )

        def attempt(multipliers: Windows) -> Outcome:
            return _outcome(planes, trial(lambda_map * to_blocks(multipliers, blocks)))

        multipliers = self._allocator.multipliers(planes, weights, attempt)
        if multipliers is None:
            return lambda_map
        if multipliers.shape != shape:
            raise ValueError(f"{multipliers.shape} multipliers for {shape} windows")
        return lambda_map * to_blocks(multipliers, blocks)

    def coded(self, planes: Planes, outcome: FrameOutcome) -> None:
        self._allocator.coded(_outcome(planes, outcome))


def _outcome(planes: Planes, outcome: FrameOutcome) -> Outcome:
    squared, absolute = errors(planes, outcome.loop)
    return Outcome(outcome.window_bits.astype(np.float64), squared, absolute, outcome.bit_price)


def grid(luma: Plane) -> tuple[int, int]:
    """Rows and columns of windows."""
    height, width = luma.shape
    return -(-height // SIDE), -(-width // SIDE)


def to_blocks(multipliers: Windows, shape: tuple[int, int]) -> NDArray[np.float32]:
    """One value for each 16×16 block, (rows, columns) of blocks given by `shape`."""
    per_block = multipliers.repeat(SIDE // 16, 0).repeat(SIDE // 16, 1)
    return per_block[: shape[0], : shape[1]].astype(np.float32)


def sum_by_window(values: NDArray[np.float64], side: int) -> Windows:
    """Sums over windows of `side` samples."""
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], side), 0)
    return np.add.reduceat(rows, np.arange(0, values.shape[1], side), 1)


def errors(source: Planes, loop: Planes) -> tuple[Windows, Windows]:
    """Squared and absolute errors, summed over the samples of each window."""
    rows, columns = grid(source[0])
    squared, absolute = np.zeros((rows, columns)), np.zeros((rows, columns))
    for plane, coded in zip(source, loop, strict=True):
        side = SIDE if plane.shape == source[0].shape else SIDE // 2
        difference = plane.astype(np.float64) - coded
        squared += sum_by_window(difference * difference, side)[:rows, :columns]
        absolute += sum_by_window(np.abs(difference), side)[:rows, :columns]
    return squared, absolute


def within_budget(wanted: Windows, bits: Windows) -> Windows:
    """`wanted` bits as multipliers of lambda for windows that took `bits` at multiplier 1, so that
    their sum stays about the same."""
    wanted = np.maximum(wanted, 1.0) * (np.maximum(bits, 1.0).sum() / np.maximum(wanted, 1.0).sum())
    multipliers = (np.maximum(bits, 1.0) / wanted) ** _LAMBDA_PER_BITS
    return np.clip(multipliers, LEAST, MOST)


#: Bits of a window go about as the power -0.6 of lambda at a fixed quantiser (training clips, see
#: `eval alloc`).
_LAMBDA_PER_BITS = 1 / 0.6
