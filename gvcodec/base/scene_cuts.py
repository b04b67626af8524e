"""Scene-cut detection for every base: a cut is a frame that motion compensation cannot predict.

Every 16×16 block of a reduced picture is predicted from the previous frame by motion compensation
(`csrc/motion/motion_errors.hpp`). Within a scene the energy of the residual is
a small part of that of the block; after a cut it is larger.
"""

from __future__ import annotations

import numpy as np

from gvcodec.types import Plane

#: Frames after a keyframe in which a cut makes no new one.
MIN_GOP = 12
_BLOCK = 16
#: Pictures are reduced until their shorter side has about this many samples.
_SIDE = 270
#: Squared error (10 bits) that a block may always have, and how many times its variance counts at
#: most.
_NOISE, _MOST = 4.0, 2.0
#: Error over variance: within scenes of fifty training clips up to 0.9, two flashes apart, at cuts
#: 1.25 and more.
_CUT = 1.1


class SceneCutDetector:
    """`is_gop_start(luma)` for each frame in display order."""

    def __init__(self, width: int, height: int) -> None:
        from gvcodec import _core

        self._factor = max(1, min(width, height) // _SIDE)
        self._errors = _core.MotionErrors(width // self._factor, height // self._factor, 1)
        self._first = True

    def is_gop_start(self, luma: Plane) -> bool:
        """Whether a scene begins with this frame (10-bit luma of the full size)."""
        small = _reduce(luma, self._factor)
        residual = self._errors.push(small)
        first, self._first = self._first, False
        rows, columns = (n // _BLOCK for n in small.shape)
        if first or not rows or not columns:
            return first
        blocks = small[: rows * _BLOCK, : columns * _BLOCK].astype(np.float32)
        variance = blocks.reshape(rows, _BLOCK, columns, _BLOCK).var((1, 3))
        unpredicted = np.minimum(residual[:rows, :columns], _MOST * variance + _NOISE)
        return bool(unpredicted.sum() > _CUT * (variance + _NOISE).sum())


class GopStarts:
    """Where GOPs of a standard bitstream begin, frame by frame in display order: at scenes, at
    most `keyint` frames apart, where it is forced; 0 = only at the first frame and where forced."""

    def __init__(self, width: int, height: int, keyint: int) -> None:
        self._keyint, self._since = keyint, 0  # 0 before the first frame only
        self._cuts = SceneCutDetector(width, height) if keyint else None

    def is_gop_start(self, luma: Plane, force: bool = False) -> bool:
        """Whether a GOP begins with this frame (10-bit luma of the full size)."""
        cut = self._cuts is not None and self._cuts.is_gop_start(luma) and self._since >= MIN_GOP
        key = force or not self._since or cut or self._since == self._keyint > 0
        self._since = 1 if key else self._since + 1
        return key


def _reduce(luma: Plane, factor: int) -> Plane:
    """Means of `factor`² samples, rounded down; columns fit 16 bits up to a factor of 64."""
    if factor == 1:
        return np.ascontiguousarray(luma)
    rows, columns = (n // factor for n in luma.shape)
    cropped = luma[: rows * factor, : columns * factor]
    first_rows = cropped[::factor] if factor <= 64 else cropped[::factor].astype(np.uint32)
    column_sums = sum((cropped[i::factor] for i in range(1, factor)), first_rows)
    sums = sum(
        (column_sums[:, i::factor] for i in range(1, factor)),
        column_sums[:, ::factor].astype(np.uint32),
    )
    return (sums // np.uint32(factor * factor)).astype(np.uint16)
