"""The renderer as a decoder runs it on a GPU: `Renderer.step` itself, on any device of torch.

The same calls as `rows.RowPainter`, which is much faster on a processor. On CUDA convolutions are
done in half precision, the rest is float. Pictures differ from those of the processor by rounding.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gvcodec.appearance.planes import to_codes, to_planes, to_tensors
from gvcodec.appearance.renderer import Renderer, RenderState
from gvcodec.appearance.texture import fresh
from gvcodec.errors import UsageError
from gvcodec.types import Planes


class NetworkPainter:
    """Paints frames. `half`: the type of convolutions, by default that of CUDA. `tensors`: planes
    are given as int16 tensors of the device. Raises `UsageError` for a device that is not there."""

    def __init__(
        self,
        renderer: Renderer,
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
        self._half = half or (torch.float16 if self._device.type == "cuda" else None)
        self._give: Callable[..., Any] = to_codes if tensors else to_planes
        self._renderer = self._network = renderer
        self._condition = torch.zeros(0)
        self._state: RenderState | None = None
        self._position = 0

    @torch.inference_mode()
    def start(self, condition: Tensor) -> None:
        """Forget the past and take the renderer's parameters as they are now. `condition` `(1,
        9)`."""
        self._network = copy.deepcopy(self._renderer).to(self._device)
        self._condition = condition.to(self._device, self._network.enter.weight.dtype)
        self._state, self._position = None, 0

    @torch.inference_mode()
    def step(self, loop: Planes, vectors: Tensor | None) -> Planes:
        """Paint the next frame: 10-bit planes of the full size. `vectors` `(2, H/16, W/16)` int16,
        None for the first frame."""
        device, kind = self._device, self._condition.dtype
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
