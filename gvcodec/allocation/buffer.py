"""A decoder's buffer that never runs dry: one-pass rate control of `klt` by `--maxrate` and
`--bufsize`.

The buffer (the leaky bucket of ITU-T H.264 annex C) holds `bufsize` bits and begins full. A frame
takes its packets out at its time; `maxrate` bits a second come in while there is room. The quality
is the one asked for wherever the buffer allows that; before a frame the frames within the
look-ahead are played through the buffer by a forecast of their sizes, and a frame that takes too
much all the same is coded anew.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from gvcodec.allocation.frame_quality import SLOPE, framed
from gvcodec.errors import UsageError
from gvcodec.structure import Coded, StructureEncoder
from gvcodec.structure.klt.codec import Q_COARSEST
from gvcodec.types import Plane, Planes

#: Bytes that may stand beside a key frame: end of the GOP before, start of a new one.
_BESIDE_A_KEY = 16
#: The forecast leaves this part of the buffer alone, and never uses steps larger than this.
_MARGIN, _STEP = 0.1, 0.5
#: Means over training clips, see `BufferPace`.
_USUAL_SCALE = 6.5, 7.9
#: Weight of the newest frame in what is known about sizes.
_RATE_OF_LEARNING = 0.3


class BufferPace:
    """A `Pace` at quality `quality` or coarser. `maxrate` bits a second, `bufsize` bits, `fps`
    frames a second.

    `look` announces frames before they are coded. Raises `UsageError` when a frame does not fit at
    any quality.
    """

    def __init__(self, quality: float, maxrate: float, bufsize: float, fps: float) -> None:
        self._quality, self._size, self._income = quality, bufsize, maxrate / fps
        if bufsize < self._income:
            raise UsageError(
                "the buffer has to hold what comes in during a frame: bufsize is below maxrate / "
                "frame rate"
            )
        #: Bits in the buffer before the next frame is taken out.
        self.fullness = bufsize
        self._ahead: deque[tuple[float, float]] = deque()
        self._before: Plane | None = None
        self._value = quality
        # Log of bits over complexity at quality 0, of inter and key frames: learned as they come.
        self._scale = list(_USUAL_SCALE)
        self._number = 0

    def look(self, luma: Plane) -> None:
        """The next frame in the look-ahead: its luma (H, W)."""
        small = _shrunk(luma)
        texture = float(np.mean(np.abs(np.diff(small, axis=0)))) + float(
            np.mean(np.abs(np.diff(small, axis=1)))
        )
        change = texture if self._before is None else float(np.mean(np.abs(small - self._before)))
        self._before = small
        pixels = luma.size / 1e4
        self._ahead.append((pixels * (min(change, texture) + 0.5), pixels * (texture + 0.5)))

    def quality(self, key: bool) -> float:
        quality = self._quality
        while quality < Q_COARSEST and not self._lasts(quality, key):
            quality += _STEP
        self._value = quality
        return quality

    def again(self, size: int, key: bool) -> float | None:
        bits = self._bits(size, key)
        if bits > self.fullness:
            if self._value >= Q_COARSEST:
                raise UsageError(
                    f"frame {self._number} has {math.ceil(bits / 8)} bytes at least, the buffer "
                    f"{int(self.fullness / 8)}"
                )
            self._value = min(
                Q_COARSEST, self._value + 1 + math.log(bits / max(1.0, self.fullness)) / SLOPE
            )
            return self._value
        complexity = self._ahead.popleft()[key] if self._ahead else 1.0
        seen = math.log(bits / complexity) + SLOPE * self._value
        self._scale[key] += _RATE_OF_LEARNING * (seen - self._scale[key])
        self.fullness = min(self._size, self.fullness - bits + self._income)
        self._number += 1
        return None

    def _lasts(self, quality: float, key: bool) -> bool:
        """Whether the buffer is forecast to last through the look-ahead at one quality."""
        fullness, margin = self.fullness, _MARGIN * self._size
        for n, complexity in enumerate(self._ahead):
            kind = key and n == 0
            fullness -= complexity[kind] * math.exp(self._scale[kind] - SLOPE * quality)
            if fullness < margin:
                return False
            fullness = min(self._size, fullness + self._income)
        return True

    @staticmethod
    def _bits(size: int, key: bool) -> int:
        return 8 * (framed(size) + (_BESIDE_A_KEY if key else 0))


class Announcing:
    """A structure encoder whose frames `pace` sees when they come, as many frames ahead as the
    encoder holds back."""

    def __init__(self, encoder: StructureEncoder, pace: BufferPace) -> None:
        self._encoder, self._pace = encoder, pace

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        self._pace.look(planes[0])
        return self._encoder.send(planes, force_key)

    def flush(self) -> Coded:
        return self._encoder.flush()


def _shrunk(luma: Plane) -> np.ndarray:
    """Every fourth sample of the averages of 4×4, as float."""
    rows, columns = max(4, luma.shape[0] // 4 * 4), max(4, luma.shape[1] // 4 * 4)
    padded = np.pad(
        luma, ((0, max(0, rows - luma.shape[0])), (0, max(0, columns - luma.shape[1]))), mode="edge"
    )
    blocks = padded[:rows, :columns].reshape(rows // 4, 4, columns // 4, 4)
    means: np.ndarray = blocks.mean(axis=(1, 3), dtype=np.float32)
    return np.pad(
        means, ((0, max(0, 2 - means.shape[0])), (0, max(0, 2 - means.shape[1]))), mode="edge"
    )
