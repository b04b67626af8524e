"""The encoder's choice of integers in base gvc1d: transform, then rounding by rate and distortion,
or the Analyst and a dead zone.

A value moves towards 0 where the bits that this saves are worth the squared error; the entropy
model itself counts the bits, given the values rounded so far.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.gvc1d.codec_network import PRICE, dead_zone
from gvcodec.gvc1d.context_model import see_at, table_bits
from gvcodec.gvc1d.exact import STEPS
from gvcodec.gvc1d.frame_payload import LARGEST
from gvcodec.gvc1d.model_file import load_network
from gvcodec.types import Planes
from gvcodec.util.torch_settings import torch_threads, usual_torch

_TIMES = 2
#: Values whose tables are found at once.
_AT_ONCE = 1 << 18


class Rounding:
    """Of frames in whole windows. `search`: rate–distortion rounding, in place of the Analyst
    (`eval/experiments/gvc1d_rounding.py` tries both together). Raises `MediaError`."""

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
                weight = self.network.transform.steps(planes).square() / PRICE
                values = self._choose(unrounded, values, torch.from_numpy(sides), level, weight)
            found: NDArray[np.int32] = values.to(torch.int32).cpu().numpy()
            return found

    def _choose(
        self, unrounded: Tensor, values: Tensor, sides: Tensor, level: int, weight: Tensor
    ) -> Tensor:
        """What lies nearer to 0 than to 1 becomes 0 unasked: most of a frame."""
        windows, places = (unrounded.abs() >= 0.5).nonzero(as_tuple=True)
        wanted, weights = unrounded[windows, places], weight.expand_as(unrounded)[windows, places]
        known = sides.to(self._device)
        for _ in range(_TIMES):
            found = []
            for at in torch.arange(len(places)).split(_AT_ONCE):
                seen = see_at(values, known, level, windows[at], places[at])
                now = values[windows[at], places[at]]
                found.append(_cheapest(wanted[at], now, self.network.twin(seen), weights[at]))
            if found:
                values = values.index_put((windows, places), torch.cat(found))
        return values

    def _tensors(self, planes: Planes) -> tuple[Tensor, Tensor]:
        y, u, v = (torch.from_numpy(p.astype(np.float32)).to(self._device) for p in planes)
        return y[None, None], torch.stack([u, v])[None]


def _cheapest(
    unrounded: Tensor, values: Tensor, table: tuple[Tensor, Tensor, Tensor], weight: Tensor
) -> Tensor:
    """Of the two whole numbers around each value and 0."""
    low = torch.floor(unrounded.abs())
    sign = unrounded.sign()
    best, found = torch.full_like(unrounded, float("inf")), values
    for size in (low, low + 1, torch.zeros_like(low)):
        tried = sign * size
        cost = (unrounded - tried).square() * weight + table_bits(*table, tried)
        better = cost < best
        best, found = torch.where(better, cost, best), torch.where(better, tried, found)
    return found
