"""The encoder's choice of integers in base gvc1d: transform, then rounding by rate and distortion,
or the Analyst and a dead zone (floats, torch).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.gvc1d.codec_network import dead_zone
from gvcodec.gvc1d.exact import STEPS
from gvcodec.gvc1d.frame_payload import LARGEST
from gvcodec.gvc1d.model_file import load_network
from gvcodec.types import Planes
from gvcodec.util.torch_settings import torch_threads, usual_torch


class Rounding:
    """Of frames in whole windows. `search`: rate–distortion rounding, in place of the Analyst.
    Raises `MediaError`."""

    def __init__(self, model: Path, threads: int, device: str = "cpu", search: bool = True) -> None:
        self.network = load_network(model, device)
        self.network.uses_analyst = not search
        self._threads, self._device, self.search = threads, torch.device(device), search

    @torch.no_grad()
    def round(
        self,
        source: Planes,
        guess: Planes,
        predicted: bool,
        q: int,
        level: int,
        sides: NDArray[np.uint8],
    ) -> NDArray[np.int32]:
        """Values (W, N) of a window's `level`, (W, N, SIDES) known before."""
        with usual_torch(), torch_threads(self._threads):
            step = torch.tensor([STEPS[q] / 16], device=self._device)
            planes = level - 2
            y, _ = self.network.values_of(
                *self._tensors(source), self._tensors(guess), predicted, step, planes
            )
            unrounded = y[0].clamp(-LARGEST, LARGEST)
            values = dead_zone(unrounded)
            if self.search:
                known = torch.from_numpy(sides).to(self._device)
                values = self.network.choose(unrounded, values, known, planes)
            found: NDArray[np.int32] = values.to(torch.int32).cpu().numpy()
            return found

    def _tensors(self, planes: Planes) -> tuple[Tensor, Tensor]:
        y, u, v = (torch.from_numpy(p.astype(np.float32)).to(self._device) for p in planes)
        return y[None, None], torch.stack([u, v])[None]
