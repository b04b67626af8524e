"""Painting of decoded loop frames by the integer painter: a stream's condition, tuned weights,
motion."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.appearance.block_motion import block_vectors
from gvcodec.appearance.integer import condition, rate
from gvcodec.appearance.integer_core import CorePainter
from gvcodec.appearance.integer_model import Model
from gvcodec.appearance.payload import INTEGER_STEPS, read
from gvcodec.errors import UsageError
from gvcodec.types import Plane, Planes, VideoFormat

if TYPE_CHECKING:
    from gvcodec.appearance.torch_painter import IntegerNetworkPainter


class IntegerVideo:
    """As `painter.Painter`, whose calls and options it has. The samples are the same on every
    `device`, and are checked (`exact`) but for `tensors` that stay there. Raises `UsageError` for a
    base that is not painted, a device that is not there and frames of another size, `MediaError`
    for a file that is no integer painter, `DamagedStreamError` in `start_gop`."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        checkpoint: Path,
        threads: int,
        device: str = "cpu",
        tensors: bool = False,
    ) -> None:
        try:
            self._stream = condition(base, scale, q)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._size = fmt.height, fmt.width
        self._model = Model.load(checkpoint)
        self.exact = device == "cpu" or not tensors
        self._frames: CorePainter | IntegerNetworkPainter
        if device == "cpu":
            self._frames = CorePainter(*self._size, threads)
        else:
            from gvcodec.appearance.torch_painter import IntegerNetworkPainter

            self._frames = IntegerNetworkPainter(checkpoint, device, tensors)
        self._threads = threads
        self._identity = False
        self._before: Plane | None = None

    def start_gop(self, tuned: bytes | None) -> None:
        """Forget the past and load the weights of the GOP. Raises `DamagedStreamError`."""
        sizes = {
            f"{name}.{part}": getattr(layer, part).size
            for name, layer in self._model.layers.items()
            for part in ("weight", "bias")
        }
        deltas = [] if tuned is None else read(tuned, sizes, INTEGER_STEPS)
        self._identity = deltas is None
        changed = self._model.tuned({d.name: (d.values, d.exponent) for d in deltas or ()})
        self._frames.start(self._stream, changed)
        self._before = None

    def paint(self, loop: Planes, size: int = 0) -> Planes:
        """The painted picture of the next loop frame. `size`: bytes of its own packet, 0 =
        unknown."""
        height, width = self._size
        if loop[0].shape != self._size:
            found = loop[0].shape
            raise UsageError(f"a frame of {found[1]}×{found[0]} in a video of {width}×{height}")
        if self._identity:
            return loop
        before, self._before = self._before, loop[0]
        vectors = None if before is None else block_vectors(loop[0], before, self._threads)
        return self._frames.paint(loop, vectors, rate(size, width, height))
