"""Paints the decoded base frames of a stream by the C++ core (csrc/painter), the same samples on
any number of threads: its condition, fitted weights, motion."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import BlockMotion, FramePainter
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.painter.model import Ints, Layer, Model, condition, rate
from gvcodec.painter.paint_strength import set_payload_strength
from gvcodec.painter.payload import BASE, read_deltas, split_extras
from gvcodec.painter.tokens import style_offsets_of, unpack
from gvcodec.painter.unpainted_regions import Regions, show_base, unpack_regions
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
            raise UsageError(f"q must be 0…63, not {q}")
        try:
            self._stream = condition(base, scale, q)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._size = fmt.height, fmt.width
        self._model = Model.load(checkpoint)
        self._frames = CpuPainter(*self._size, threads)
        self._motion = BlockMotion(fmt.width, fmt.height, threads)
        self._identity = False
        self._paint_strength, self._q, self._uses_tokens = paint_strength, q, uses_tokens

    def start_gop(self, fitted: bytes | None) -> None:
        """Forget the past and load the weights of the GOP. Raises `DamagedStreamError`."""
        if self._paint_strength is not None:
            fitted = set_payload_strength(fitted, self._paint_strength)
        deltas = [] if fitted is None else read_deltas(fitted, self._model.sizes())
        self._identity = deltas is None
        _, beside = split_extras(fitted or BASE)
        changed = self._model.add_deltas(
            {d.name: (d.values, d.exponent) for d in deltas or ()}, beside.strength
        )
        self._frames.start(self._stream, changed, self._levels(beside.tokens))
        self._unpainted: Regions | None = None
        if beside.unpainted is not None and self._uses_tokens:
            self._unpainted = unpack_regions(beside.unpainted, *self._size)
        self._motion.forget()

    def _levels(self, tokens: bytes | None) -> NDArray[np.int8] | None:
        """Of regions, None without tokens. Raises `DamagedStreamError`."""
        if tokens is None or not self._uses_tokens:
            return None
        if self._model.tokens is None:
            raise DamagedStreamError("tokens for a painter that none can steer")
        return style_offsets_of(unpack(tokens, self._model.tokens, self._q, *self._size))

    def paint(self, base_frame: Planes, size: int = 0) -> Planes:
        """The painted picture of the next base frame; `size`: bytes of its packet, 0 = unknown."""
        height, width = self._size
        if base_frame[0].shape != self._size:
            shape = base_frame[0].shape
            raise UsageError(f"a frame of {shape[1]}×{shape[0]} in a video of {width}×{height}")
        if self._identity:
            return base_frame
        field = self._motion.push(np.ascontiguousarray(base_frame[0]))
        vectors = None if field is None else field.transpose(2, 0, 1)
        painted = self._frames.paint(base_frame, vectors, rate(size, width, height))
        if self._unpainted is None:
            return painted
        return show_base(painted, base_frame, self._unpainted)
