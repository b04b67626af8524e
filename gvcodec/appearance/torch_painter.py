"""Painters as a decoder runs them on a GPU: `Renderer.step` or `IntegerRenderer.step` itself, on
any device of torch.

`NetworkPainter` has the calls of `cpu_painter.RowPainter`, which is much faster on a processor. On
CUDA convolutions of the float renderer are done in half precision, the rest is float, and pictures
differ from those of the processor by rounding. `IntegerNetworkPainter` has those of
`integer_core.CorePainter`: it works in double precision, whose samples are the same everywhere.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.appearance.integer_model import Ints, Model
from gvcodec.appearance.integer_twin import IntegerRenderer
from gvcodec.appearance.planes import to_codes, to_planes, to_tensors
from gvcodec.appearance.renderer import Renderer, RenderState
from gvcodec.appearance.texture import fresh
from gvcodec.errors import UsageError
from gvcodec.types import Planes


class NetworkPainter:
    """Paints frames. `half`: the type of convolutions, by default that of CUDA for a renderer in
    single precision. `tensors`: planes are given as int16 tensors of the device. Raises
    `UsageError` for a device that is not there."""

    def __init__(
        self,
        renderer: Renderer | IntegerRenderer,
        device: str,
        half: torch.dtype | None = None,
        tensors: bool = False,
    ) -> None:
        try:
            self._device = torch.device(device)
            torch.ones(1, device=self._device).add(1).item()
        except (RuntimeError, AssertionError) as error:
            raise UsageError(
                f"no device {device} to paint on: {textwrap.shorten(str(error), 80)}"
            ) from None
        self._type = next(renderer.parameters()).dtype
        halves = self._device.type == "cuda" and self._type == torch.float32
        self._half = half or (torch.float16 if halves else None)
        self._give: Callable[..., Any] = to_codes if tensors else to_planes
        self._renderer = self._network = renderer
        self._condition = torch.zeros(0)
        self._state: RenderState | None = None
        self._position = 0

    @torch.inference_mode()
    def start(self, condition: Tensor) -> None:
        """Forget the past and take the renderer's parameters as they are now. `condition` `(1,
        9)`, of the integer one `(1, 10)`."""
        self._network = copy.deepcopy(self._renderer).to(self._device)
        self._condition = condition.to(self._device, self._type)
        self._state, self._position = None, 0

    @torch.inference_mode()
    def set_own(self, entry: float) -> None:
        """The next frame's own entry of the integer painter's condition, its last."""
        self._condition[0, -1] = entry

    @torch.inference_mode()
    def step(self, loop: Planes, vectors: Tensor | None) -> Planes:
        """Paint the next frame: 10-bit planes of the full size. `vectors` `(2, H/16, W/16)` int16,
        None for the first frame."""
        device, kind = self._device, self._type
        luma, chroma = (x.to(device, kind) for x in to_tensors(loop))
        noise, redraw = fresh(*luma.shape[2:], self._position, device=device)
        moved = None if vectors is None else vectors[None].to(device)
        with torch.autocast(device.type, self._half, enabled=self._half is not None):
            painted, tint, self._state = self._network.step(
                luma, chroma, moved, (noise.to(kind), redraw), self._state, self._condition
            )
        self._position += 1
        planes: Planes = self._give(painted, tint, loop)
        return planes


class IntegerNetworkPainter:
    """Frames of one size by the integer painter of a file, on `device`; see the module."""

    def __init__(self, checkpoint: Path, device: str, tensors: bool = False) -> None:
        self._renderer = IntegerRenderer.load(checkpoint).double()
        self._frames = NetworkPainter(self._renderer, device, tensors=tensors)

    def start(self, stream: Ints, model: Model) -> None:
        """Forget the past. `stream` from `integer.condition`."""
        self._renderer.set_integers(model)
        self._frames.start(torch.from_numpy(stream.astype(np.float64) / 256)[None])

    def paint(self, loop: Planes, vectors: NDArray[np.int16] | None, own: int = 0) -> Planes:
        """The next frame. `vectors` (2, H/16, W/16), None for the first; `own` from `rate`."""
        self._frames.set_own(own / 256)
        return self._frames.step(loop, None if vectors is None else torch.from_numpy(vectors))
