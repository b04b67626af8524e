"""The painter on a device of torch: the twin in double precision, whose samples are the same
everywhere."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.painter.model import CONDITION, Ints, Model
from gvcodec.painter.noise import fresh
from gvcodec.painter.tensors import open_device, to_codes, to_planes, to_tensors
from gvcodec.painter.twin import PainterTwin, State
from gvcodec.types import Planes


class DevicePainter:
    """Frames of one size by the painter of a file; the calls are those of `cpu.CpuPainter`.
    `tensors`: planes stay on the device, as int16 tensors. Raises `UsageError` for a device that is
    not there, `MediaError` for a file that is no painter."""

    def __init__(self, checkpoint: Path, device: str, tensors: bool = False) -> None:
        self._device = open_device(device)
        self._twin = self._painting = PainterTwin.load(checkpoint).double()
        self._give: Callable[..., Any] = to_codes if tensors else to_planes
        self._condition = torch.zeros(1, CONDITION, dtype=torch.float64)
        self._state: State | None = None
        self._position = 0

    @torch.inference_mode()
    def start(self, stream: Ints, model: Model) -> None:
        """Forget the past. `stream` from `model.condition`."""
        self._twin.set_integers(model)
        self._painting = copy.deepcopy(self._twin).to(self._device)
        self._condition = torch.from_numpy(stream.astype(np.float64))[None].to(self._device)
        self._state, self._position = None, 0

    @torch.inference_mode()
    def paint(self, base_frame: Planes, vectors: NDArray[np.int16] | None, own: int = 0) -> Planes:
        """The next frame. `vectors` (2, H/16, W/16), None for the first; `own` from `rate`."""
        self._condition[0, -1] = own
        luma, chroma = (x.to(self._device, torch.float64) for x in to_tensors(base_frame))
        height, width = luma.shape[2:]
        noise, redraw = fresh(height, width, self._position, device=self._device)
        motion: Tensor | None = None
        if vectors is not None:
            motion = torch.from_numpy(vectors)[None].to(self._device)
        painted, tint, self._state = self._painting.step(
            luma, chroma, motion, (noise.double(), redraw), self._state, self._condition
        )
        self._position += 1
        planes: Planes = self._give(painted, tint, base_frame)
        return planes
