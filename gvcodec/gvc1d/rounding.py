"""The encoder's choice of integers in base gvc1d: transform, then rounding by rate and distortion
(floats, torch).
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
from gvcodec.util.torch_settings import default_torch_settings, torch_threads


class Rounding:
    """Of frames in whole windows. Raises `MediaError`."""

    def __init__(self, model: Path, threads: int, device: str = "cpu") -> None:
        self.network = load_network(model, device)
        self._threads, self._device = threads, torch.device(device)

    @torch.no_grad()
    def round(
        self,
        source: Planes,
        guess: Planes,
        q: int,
        level: int,
        sides: NDArray[np.uint8],
    ) -> NDArray[np.int32]:
        """Values (W, N) of a window's `level`, (W, N, SIDES) known before."""
        with default_torch_settings(), torch_threads(self._threads):
            step = torch.tensor([STEPS[q] / 16], device=self._device)
            planes = level - 2
            y, _ = self.network.values_of(
                *self._tensors(source), self._tensors(guess), step, planes
            )
            unrounded = y[0].clamp(-LARGEST, LARGEST)
            known = torch.from_numpy(sides).to(self._device)
            values = self.network.choose(unrounded, dead_zone(unrounded), known, planes)
            found: NDArray[np.int32] = values.to(torch.int32).cpu().numpy()
            return found

    def _tensors(self, planes: Planes) -> tuple[Tensor, Tensor]:
        y, u, v = (torch.from_numpy(p.astype(np.float32)).to(self._device) for p in planes)
        return y[None, None], torch.stack([u, v])[None]
