"""What the encoder and the decoder of base motion share: pictures that frames go on from, and their
sizes."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import MotionFrame
from gvcodec.base.motion.payload import (
    MotionStatistics,
)
from gvcodec.base.resample import Resampler
from gvcodec.types import Planes, VideoFormat

#: The codec of keyframes and refreshes.
PICTURE_CODEC = "av1"
MAX_Q = 63
#: Samples a side.
WINDOW = 256


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that others may go on from. `missed`: what it misses of its source by window, sums of
    absolute differences (N,), as its encoder knows."""

    frame: MotionFrame
    memory: MotionStatistics
    missed: NDArray[np.int64] | None = None

    def as_picture(self, picture: int) -> Shown:
        """A standard picture, as the one before (0) or after (1) other frames."""
        y, u, v = self.frame.planes()
        return Shown(MotionFrame.still(y, u, v, picture), self.memory, self.missed)


class Sized:
    """Between the frames of a video and what is coded of them: pictures of `scale` times their
    size, 1, 3/4 or 1/2."""

    def __init__(self, fmt: VideoFormat, scale: Fraction) -> None:
        self.fmt, self._resampler = fmt, None
        if scale != 1:
            self._resampler = Resampler(fmt.width, fmt.height, scale)
            width, height = self._resampler.coded_width, self._resampler.coded_height
            self.fmt = dataclasses.replace(fmt, width=width, height=height)

    def down(self, planes: Planes) -> Planes:
        return planes if self._resampler is None else self._resampler.down(planes)

    def up(self, base_frame: Planes) -> Planes:
        return base_frame if self._resampler is None else self._resampler.up(base_frame)


def threads_of(threads: int) -> int:
    """How many there are to be, 0 = all cores."""
    return threads or os.cpu_count() or 1


def windows(fmt: VideoFormat) -> tuple[int, int]:
    """How many there are, and how many side by side."""
    columns = -(-fmt.width // WINDOW)
    return columns * -(-fmt.height // WINDOW), columns
