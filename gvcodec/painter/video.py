"""Paints the decoded base frames of a stream: its condition, fitted weights, motion."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from gvcodec._core import BlockMotion
from gvcodec.errors import UsageError
from gvcodec.painter.cpu import CpuPainter
from gvcodec.painter.model import Model, condition, rate
from gvcodec.painter.payload import BASE, read, split_strength
from gvcodec.types import Planes, VideoFormat


class VideoPainter:
    """Paints the base frames of one stream in display order.

        painter = VideoPainter(fmt, "av1", Fraction(1), 45, checkpoint, threads=1)
        painter.start_gop(fitted)                # payload of the `fit` packet, or None
        picture = painter.paint(frame, size)     # planes of the full size, 10 bit

    `base` and `scale` say what made the frames, `q` is 0…63. Samples are the same on every machine.
    Raises `UsageError` for a base that is not painted, a q out of range and frames of another size,
    `MediaError` for a file that is no painter, `DamagedStreamError` in `start_gop`."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        checkpoint: Path,
        threads: int,
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

    def start_gop(self, fitted: bytes | None) -> None:
        """Forget the past and load the weights of the GOP. Raises `DamagedStreamError`."""
        deltas = [] if fitted is None else read(fitted, self._model.sizes())
        self._identity = deltas is None
        _, strength = split_strength(fitted or BASE)
        changed = self._model.add_deltas(
            {d.name: (d.values, d.exponent) for d in deltas or ()}, strength
        )
        self._frames.start(self._stream, changed)
        self._motion.forget()

    def paint(self, base_frame: Planes, size: int = 0) -> Planes:
        """The painted picture of the next base frame; `size`: bytes of its packet, 0 = unknown."""
        height, width = self._size
        if base_frame[0].shape != self._size:
            shape = base_frame[0].shape
            raise UsageError(f"a frame of {shape[1]}×{shape[0]} in a video of {width}×{height}")
        if self._identity:
            return base_frame
        found = self._motion.push(np.ascontiguousarray(base_frame[0]))
        vectors = None if found is None else found.transpose(2, 0, 1)
        return self._frames.paint(base_frame, vectors, rate(size, width, height))
