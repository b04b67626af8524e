"""What the reference decoder (tests/oracle/klt.py) reads of a frame: tokens of the pyramid, motion
of the blocks."""

from __future__ import annotations

import numpy as np

from gvcodec.structure.klt.reference_contexts import LEVELS, TOP

COARSE_COUNT = 64
#: Bands of coefficients by loudness.
BANDS = 8
LAST, GOLDEN = 1, 2
Vector = tuple[int, int]
#: Vectors into the last and the golden frame, and which of the two count (LAST, GOLDEN or both
#: together); else (0, 0).
Motion = tuple[Vector, Vector, int]
STILL: Motion = ((0, 0), (0, 0), LAST)


class Level:
    """Decoded tokens of one pyramid level; arrays (rows, columns)."""

    def __init__(self, height: int, width: int, count: int) -> None:
        self.height, self.width, self.count = height, width, count
        self.value = np.zeros((height, width, count), np.int64)
        self.last = np.full((height, width), -1, np.int64)
        self.any = np.zeros((height, width), np.int64)
        self.energy = np.zeros((height, width), np.int64)
        self.band = np.zeros((height, width, BANDS), np.int64)


class Tokens:
    """Decoded integers of one frame: nothing coded, nothing moved, until decoding fills it in."""

    def __init__(self, width: int, height: int) -> None:
        self.w, self.h = -(-width // 16), -(-height // 16)
        self.level = [
            Level(-(-self.h // 2**n), -(-self.w // 2**n), COARSE_COUNT if n else 384)
            for n in range(LEVELS)
        ]
        self.motion = np.zeros((self.h, self.w, 5), np.int64)  # the entries of `Motion` in a row
        self.motion[..., 4] = LAST
        self.has_golden = self.uses_golden = self.becomes_golden = False
        self.golden_age = 0
        self.depth = np.full((self.h, self.w), TOP, np.int64)
        self.merged = np.ones((self.h, self.w), np.int64)
        self.q, self.memory = 0, np.zeros((self.h, self.w, BANDS), np.int64)  # with a refiner only

    def motion_of(self, x: int, y: int) -> Motion:
        a, b, c, d, source = (int(v) for v in self.motion[y, x])
        return (a, b), (c, d), source
