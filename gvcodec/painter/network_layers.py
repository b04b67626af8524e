"""Layers of the painter in torch (`network`), whose parameters stand for integers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.painter import model as I
from gvcodec.painter.filters import round_through, shift_right, whole


class Requantiser(nn.Module):
    """What becomes of a layer's sums: `multiplier`, `shift`, `step`, each (outputs,)."""

    multiplier: Tensor
    shift: Tensor
    step: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        for name, value in (("multiplier", 512), ("shift", 10), ("step", 10)):
            self.register_buffer(name, torch.full((outputs,), float(value)))

    def rescale(self, sums: Tensor) -> Tensor:
        factor = (self.multiplier * 2.0**-self.shift).view(1, -1, 1, 1)
        return round_through(sums.clamp(-(1 << 20), 1 << 20) * factor)

    def silu(self, sums: Tensor) -> Tensor:
        v = self.rescale(sums).clamp(-1023, 1023)
        return v * (v + 128).clamp(0, 256)

    def levels(self, value: Tensor) -> Tensor:
        return round_through(value * (2.0**-self.step).view(1, -1, 1, 1)).clamp(
            -I.ZERO, 127 - I.ZERO
        )


class Layer(Requantiser):
    """A convolution. `grid`: of weights, `unit`: of biases, each (outputs,)."""

    grid: Tensor
    unit: Tensor

    def __init__(self, inputs: int, outputs: int, side: int, groups: int = 1) -> None:
        super().__init__(outputs)
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(outputs, inputs // groups, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("grid", torch.ones(outputs))
        self.register_buffer("unit", torch.ones(outputs))

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weights and biases as integers."""
        weight = round_through(self.weight / self.grid.view(-1, 1, 1, 1)).clamp(-127, 127)
        return weight, round_through(self.bias / self.unit)

    def take(self, weight: Tensor, bias: Tensor) -> None:
        """Parameters that stand for these integers."""
        self.weight.copy_(weight.to(self.grid) * self.grid.view(-1, 1, 1, 1))
        self.bias.copy_(bias.to(self.unit) * self.unit)

    def sums(self, a: Tensor, stride: int = 1, more: Tensor | None = None) -> Tensor:
        weight, bias = self.whole()
        pad = weight.shape[2] // 2
        found = whole(
            F.conv2d(a, weight, None if more is not None else bias, stride, pad, groups=self.groups)
        )
        return found if more is None else found + (bias + more)[:, :, None, None]


class Block(nn.Module):
    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.depthwise = Layer(channels, channels, 5, channels)
        self.expand = Layer(channels, wide, 1)
        self.project = Layer(wide, channels, 1)
        self.condition = nn.Parameter(torch.zeros(channels, I.CONDITION))

    def table(self) -> Tensor:
        """The condition's weights as integers, in units of the depthwise sums."""
        return round_through(self.condition / self.depthwise.unit[:, None]).clamp(-65536, 65536)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`condition` (B, CONDITION) in 1/256."""
        more = shift_right(condition @ self.table().T, 8)
        seen = self.depthwise.rescale(self.depthwise.sums(x, more=more))
        wide = self.expand.silu(self.expand.sums(seen.clamp(-I.MIDDLE, 127 - I.MIDDLE)))
        found = self.project.rescale(self.project.sums(self.expand.levels(wide)))
        return (x + found).clamp(-2047, 2047)
