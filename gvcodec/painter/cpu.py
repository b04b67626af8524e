"""The painter with a model of one's own, for encoders and experiments: frames of uint16 planes by
the C++ core (csrc/painter), the same samples on any number of threads, and motion for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import BlockMotion, FramePainter
from gvcodec.painter.model import Ints, Layer, Model
from gvcodec.types import Plane, Planes

_NAMES = ("stem", "stem2", "statistics", "view", "style", "head")
_Numbers = tuple[NDArray[np.int8], Ints, Ints, Ints, Ints]


def _numbers(layer: Layer) -> _Numbers:
    rest = (layer.bias, layer.multiplier, layer.shift, layer.step)
    bias, multiplier, shift, step = (np.ascontiguousarray(part, np.int32) for part in rest)
    return np.ascontiguousarray(layer.weight, np.int8), bias, multiplier, shift, step


class CpuPainter:
    """Frames of one size.

    painter = CpuPainter(height, width, threads)
    painter.start(condition(base, scale, q), model)
    planes = painter.paint(base_frame, vectors, frame_condition)
    """

    def __init__(self, height: int, width: int, threads: int) -> None:
        self._core = FramePainter(width, height, threads)

    def start(
        self,
        stream: Ints,
        model: Model,
        style_offsets: NDArray[np.int8] | None = None,
    ) -> None:
        """Forget the past. `stream` from `model.condition`; `style_offsets` (D, rows, columns) of
        regions steer a model that tokens can steer."""
        blocks: list[tuple[_Numbers, _Numbers, _Numbers, Ints]] = []
        for i, table in enumerate(model.conditions):
            depthwise, expand, project = (
                _numbers(model.layers[f"blocks.{i}.{name}"])
                for name in ("depthwise", "expand", "project")
            )
            conditions = np.ascontiguousarray(table, np.int32)
            blocks.append((depthwise, expand, project, conditions))
        layers = [_numbers(model.layers[name]) for name in _NAMES]
        steering = None
        if style_offsets is not None:
            assert model.tokens is not None
            steering = model.tokens.weight, style_offsets
        self._core.start(layers, blocks, stream, steering)

    def paint(
        self, base_frame: Planes, vectors: NDArray[np.int16] | None, frame_condition: int = 0
    ) -> Planes:
        """The next frame. `vectors` (2, H/16, W/16), None for the first; `frame_condition` from
        `rate`."""
        motion = None if vectors is None else np.ascontiguousarray(vectors.transpose(1, 2, 0))
        y, u, v = (np.ascontiguousarray(plane) for plane in base_frame)
        painted: Planes = self._core.paint(y, u, v, motion, frame_condition)
        return painted


def block_vectors(current: Plane, reference: Plane, threads: int = 1) -> NDArray[np.int16]:
    """Motion of a luma plane against the frame before it, estimated outside the coding loop: `(2,
    h, w)`, (dy, dx) of each block of `BLOCK` luma pixels, to its content in the reference.
    Whole videos are searched by `BlockMotion`, frame by frame."""
    height, width = current.shape
    motion = BlockMotion(width, height, threads)
    motion.push(np.ascontiguousarray(reference))
    vectors = motion.push(np.ascontiguousarray(current))
    assert vectors is not None
    return np.ascontiguousarray(vectors.transpose(2, 0, 1))
