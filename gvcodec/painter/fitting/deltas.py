"""Deltas of a `fit` payload as tensors of the painter in torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gvcodec.painter.fitting.network import PainterNetwork
from gvcodec.painter.payload import STEPS, Delta, read_deltas


class DeltaSteps:
    """Steps of a painter's deltas: whole numbers of its grids times powers of two."""

    def __init__(self, painter: PainterNetwork) -> None:
        self._grids = painter.grids()

    def exponent(self, name: str, step: float) -> int:
        """The byte of the step nearest to `step`."""
        near = round(float(np.log2(max(step, 1e-12) / float(self._grids[name].mean()))))
        return int(np.clip(near, STEPS[0], STEPS[-1]))

    def unit(self, name: str, exponent: int) -> Tensor:
        """Size of a step, to be broadcast over the tensor."""
        return self._grids[name] * float(2**exponent)

    def value(self, delta: Delta, shape: tuple[int, ...]) -> Tensor:
        """The value added to a tensor of this shape, on the painter's device."""
        unit = self.unit(delta.name, delta.exponent)
        return torch.from_numpy(delta.values).to(unit).reshape(shape) * unit


def unpack(payload: bytes, painter: PainterNetwork) -> dict[str, Tensor] | None:
    """Bytes to deltas of the network's tensors (float, to be added); None for the identity. Raises
    `DamagedStreamError`."""
    shapes = {name: weight.shape for name, weight in painter.named_parameters()}
    deltas = read_deltas(payload, {name: shape.numel() for name, shape in shapes.items()})
    if deltas is None:
        return None
    steps = DeltaSteps(painter)
    return {d.name: steps.value(d, shapes[d.name]) for d in deltas}
