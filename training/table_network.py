"""Trains the integer network that predicts the tables of painter tokens (`gvcodec.entropy`): its
float form, and the export to integers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec.entropy.network import MAX_ACTIVATION, Layer

#: Table 27 has a mean deviation of one. An output of 1 adds `SCALE_RANGE` tables, moves the mean by
#: `MEAN_RANGE`, raises the inflation of zero by `INFLATION_RANGE`.
USUAL, SCALE_RANGE, MEAN_RANGE, INFLATION_RANGE = 27.0, 32.0, 16.0, 64.0
HIDDEN = (96, 48)
_LEAK = 0.01
#: Bits of the requantisation's multipliers, at most.
_SHIFT = 24


class TableNetwork(nn.Module):
    """A Laplace table with inflated zero for each value, in floats. Activations are 0…1 here for
    0…127 in the integer network."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, HIDDEN[0]), nn.Linear(*HIDDEN)
        self.last = nn.Linear(HIDDEN[1], 3)
        nn.init.normal_(self.last.weight, std=0.01)
        self.last.bias.data = torch.tensor([0.0, 0.0, 0.4])  # most values are zero

    def forward(self, activations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale index 0…63, mean, zero inflation 0…127, each `[…]`, of `activations`
        `[…, inputs]` in 0…127."""
        x = activations.float() / 127
        x = limit(self.second(limit(self.first(x))))
        scale, mean, inflation = self.last(x).unbind(-1)
        return (
            (USUAL + SCALE_RANGE * scale).clamp(0, 63),
            MEAN_RANGE * mean,
            (INFLATION_RANGE * inflation).clamp(0, 127),
        )

    def bits(self, activations: Tensor, values: Tensor) -> Tensor:
        """Bits of integer `values` `[…]`."""
        scale, mean, inflation = self(activations)
        return table_bits(scale, mean, inflation, values)


def table_bits(scale: Tensor, mean: Tensor, inflation: Tensor, values: Tensor) -> Tensor:
    """Bits that a table takes for integers, `[…]`."""
    deviation = 2 ** ((scale - USUAL) / 6)
    distance = (values - mean).abs()
    inside = distance.clamp(max=0.5)  # beyond, the exponentials overflow
    tails = torch.exp(-(0.5 - inside) / deviation) + torch.exp(-(0.5 + inside) / deviation)
    outer = -(distance - 0.5) / deviation + torch.log1p(-torch.exp(-1 / deviation)) - 0.6931
    # Each symbol has at least 2^-16.
    table = torch.where(distance < 0.5, torch.log((1 - 0.5 * tails).clamp(1e-5)), outer.clamp(-11))
    rest = -0.6931 / 8 * inflation
    zero = torch.logaddexp(rest + table, torch.log1p(-torch.exp(rest.clamp(max=-1e-4))))
    bits: Tensor = torch.where(values == 0, zero, (rest + table).clamp(min=-11)) * -1.4427
    return bits


def limit(x: Tensor) -> Tensor:
    """0…1, with a small slope outside, so that a unit out of range finds its way back."""
    inside = x.clamp(0, 1)
    return inside + _LEAK * (x - inside)


def layers_of(network: TableNetwork) -> list[Layer]:
    """Three integer layers; outputs are scale index, mean in eighths, zero inflation."""
    gain = np.array([SCALE_RANGE, 8 * MEAN_RANGE, INFLATION_RANGE]) / MAX_ACTIVATION
    last = _quantise(network.last, gain, np.array([USUAL, 0.0, 0.0]) / MAX_ACTIVATION)
    first, second = _quantise(network.first), _quantise(network.second)
    return [first, second, last._replace(low=-(1 << 14), high=1 << 14)]


def _quantise(
    layer: nn.Linear,
    gain: NDArray[np.float64] | float = 1.0,
    offset: NDArray[np.float64] | float = 0.0,
) -> Layer:
    """`gain` · (weights · x + bias) + `offset` in steps of 1 / 127, by integers; activations below
    0 and above 127 are cut."""
    weight, bias = (t.detach().cpu().double().numpy() for t in (layer.weight, layer.bias))
    gain = np.broadcast_to(np.asarray(gain, float), bias.shape)
    weight, bias = weight * gain[:, None], (bias * gain + offset) * MAX_ACTIVATION
    step = np.maximum(np.abs(weight).max(1), 1e-6) / MAX_ACTIVATION
    largest = (1 << 30) - 1
    return Layer(
        np.round(weight / step[:, None]).astype(np.int8),
        np.clip(np.round(bias / step), -largest, largest).astype(np.int32),
        np.round(step * (1 << _SHIFT)).astype(np.int32),
        _SHIFT,
    )
