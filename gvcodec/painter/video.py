"""Paints the decoded base frames of a stream by the C++ core (csrc/painter), the same samples on
any number of threads: its condition, fitted weights, motion."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec._core import BlockMotion, FramePainter
from gvcodec.bases import base_of
from gvcodec.errors import UsageError
from gvcodec.painter.model import SCALES, Ints, Layer, Model
from gvcodec.types import Plane, Planes, VideoFormat

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
    planes = painter.paint(base_frame, vectors, own)
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
    h, w)`, (dy, dx) of each block of `BLOCK` luma pixels, where the reference has its content.
    Whole videos are searched by `BlockMotion`, frame by frame."""
    height, width = current.shape
    motion = BlockMotion(width, height, threads)
    motion.push(np.ascontiguousarray(reference))
    vectors = motion.push(np.ascontiguousarray(current))
    assert vectors is not None
    return np.ascontiguousarray(vectors.transpose(2, 0, 1))


class VideoPainter:
    """Paints the base frames of one stream in display order.

        painter = VideoPainter(fmt, "av1", Fraction(1), 45, checkpoint, threads=1)
        painter.start_gop(fitted)                # payload of the `fit` packet, or None
        picture = painter.paint(frame, size)     # planes of the full size, 10 bit

    `base` and `scale` say what made the frames, `q` is 0…63, `paint_strength` 0…100 instead of what
    the payloads say; without `uses_tokens` tokens are left aside. Samples are the same on every
    machine. Raises `UsageError` for a base that is not painted, a q out of range and frames of
    another size, `MediaError` for a file that is no painter, `DamagedStreamError` in
    `start_gop`."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        checkpoint: Path,
        threads: int,
        paint_strength: int | None = None,
        uses_tokens: bool = True,
    ) -> None:
        if not 0 <= q <= 63:
            raise UsageError(f"q must be 0…63, not {q}", code="option-value")
        wire, slot = base_of(base).wire, base_of(base).slot
        if slot is None:
            raise UsageError(f"base {base} is not painted")
        Model.load(checkpoint)  # its errors name the file
        self._size = fmt.height, fmt.width
        sizes = fmt.width, fmt.height
        self._core = _core.VideoPainter(
            checkpoint.read_bytes(), *sizes, wire, SCALES.index(scale), q, threads
        )
        self._paints = True
        self._paint_strength = -1 if paint_strength is None else paint_strength
        self._uses_tokens = uses_tokens

    def start_gop(self, payload: bytes | None) -> None:
        """Forget the past and load the weights of the GOP. Raises `DamagedStreamError`."""
        self._paints = self._core.start_gop(payload, self._paint_strength, self._uses_tokens)

    def paint(self, base_frame: Planes, size: int = 0) -> Planes:
        """The painted picture of the next base frame; `size`: bytes of its packet, 0 = unknown."""
        height, width = self._size
        if base_frame[0].shape != self._size:
            shape = base_frame[0].shape
            raise UsageError(
                f"a frame of {shape[1]}×{shape[0]} in a video of {width}×{height}",
                code="frame-shape",
            )
        if not self._paints:
            return base_frame
        y, u, v = (np.ascontiguousarray(plane) for plane in base_frame)
        painted: Planes = self._core.paint(y, u, v, size)
        return painted
