"""Frames of a video with their times, and facts about all of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    Array: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | torch.Tensor


@dataclass(frozen=True, slots=True)
class Metadata:
    """Facts about a video; times in seconds, on the clock of `Frame.pts_seconds`, which begins with
    the first frame. `bit_depth` of its samples; `is_hdr`: its transfer is that of PQ or HLG."""

    num_frames: int
    width: int
    height: int
    average_fps: float
    duration_seconds: float
    begin_stream_seconds: float
    end_stream_seconds: float
    codec: str
    bit_depth: int
    sample_aspect_ratio: Fraction
    is_hdr: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: `data` (H, W, 3) or (3, H, W) RGB, uint8 or uint16; when it is shown after the
    first one."""

    data: Array
    pts_seconds: float
    duration_seconds: float

    def __repr__(self) -> str:
        times = f"pts_seconds={self.pts_seconds:g}, duration_seconds={self.duration_seconds:g}"
        return f"Frame(data={_format(self.data)}, {times})"


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """N frames: `data` (N, H, W, 3) or (N, 3, H, W) RGB, uint8 or uint16, times as float64 (N,)."""

    data: Array
    pts_seconds: NDArray[np.float64]
    duration_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pts_seconds)

    def __repr__(self) -> str:
        parts_text = [
            _format(part) for part in (self.data, self.pts_seconds, self.duration_seconds)
        ]
        return "FrameBatch(data={}, pts_seconds={}, duration_seconds={})".format(*parts_text)


def _format(array: Array | NDArray[np.float64]) -> str:
    return f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"
