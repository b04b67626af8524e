"""The painter as decoders run it: the C++ core (csrc/painter), the same samples on any number of
threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import FramePainter
from gvcodec.painter.model import Ints, Layer, Model
from gvcodec.types import Planes

_NAMES = (
    "stem",
    "stem2",
    "statistics",
    "view",
    "style",
    "head",
)
_Numbers = tuple[NDArray[np.int8], Ints, Ints, Ints, Ints]


def _numbers(layer: Layer) -> _Numbers:
    rest = (layer.bias, layer.multiplier, layer.shift, layer.step)
    bias, multiplier, shift, step = (np.ascontiguousarray(part, np.int32) for part in rest)
    return np.ascontiguousarray(layer.weight, np.int8), bias, multiplier, shift, step


class CpuPainter:
    """Frames of one size.

    painter = CpuPainter(height, width, threads)
    painter.start(condition(base, scale, q), model)
    planes = painter.paint(base_frame, vectors, own)
    """

    def __init__(self, height: int, width: int, threads: int) -> None:
        self._core = FramePainter(width, height, threads)

    def start(self, stream: Ints, model: Model) -> None:
        """Forget the past. `stream` from `model.condition`."""
        blocks: list[tuple[_Numbers, _Numbers, _Numbers, Ints]] = []
        for i, table in enumerate(model.conditions):
            depthwise, expand, project = (
                _numbers(model.layers[f"blocks.{i}.{name}"])
                for name in ("depthwise", "expand", "project")
            )
            conditions = np.ascontiguousarray(table, np.int32)
            blocks.append((depthwise, expand, project, conditions))
        self._core.start([_numbers(model.layers[name]) for name in _NAMES], blocks, stream)

    def paint(self, base_frame: Planes, vectors: NDArray[np.int16] | None, own: int = 0) -> Planes:
        """The next frame. `vectors` (2, H/16, W/16), None for the first; `own` from `rate`."""
        motion = None if vectors is None else np.ascontiguousarray(vectors.transpose(1, 2, 0))
        y, u, v = (np.ascontiguousarray(plane) for plane in base_frame)
        painted: Planes = self._core.paint(y, u, v, motion, own)
        return painted
