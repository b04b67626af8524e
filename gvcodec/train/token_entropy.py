"""The integer entropy network of base tokens from its float twin: int8 weights, one scale an
output.

Activations of the twin are 0…1 for 0…127 there, its outputs the scale index and the mean (eighths
there) of a Laplace table, and how much its zero is inflated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from gvcodec.entropy.network import MAX_ACTIVATION, Layer
from gvcodec.structure.tokens.twin import INFLATION_RANGE, MEAN_RANGE, SCALE_RANGE, USUAL, Twin

#: Of the requantisation: multipliers have up to so many bits.
_SHIFT = 24


def quantised(
    layer: nn.Linear, gain: np.ndarray | float = 1.0, offset: np.ndarray | float = 0.0
) -> Layer:
    """`gain` · (weights · x + bias) + `offset` in steps of 1 / 127, by integers; activations below
    0 and above 127 are cut."""
    weight, bias = (t.detach().double().cpu().numpy() for t in (layer.weight, layer.bias))
    gain = np.broadcast_to(np.asarray(gain, float), bias.shape)
    weight, bias = weight * gain[:, None], (bias * gain + offset) * MAX_ACTIVATION
    step = np.maximum(np.abs(weight).max(1), 1e-6) / MAX_ACTIVATION
    whole = np.round(weight / step[:, None]).astype(np.int8)
    limit = (1 << 30) - 1
    return Layer(
        whole,
        np.clip(np.round(bias / step), -limit, limit).astype(np.int32),
        np.round(step * (1 << _SHIFT)).astype(np.int32),
        _SHIFT,
    )


#: From the outputs of a twin to those of the integer network.
_GAIN = np.array([SCALE_RANGE, 8 * MEAN_RANGE, INFLATION_RANGE]) / MAX_ACTIVATION
_OFFSET = np.array([USUAL, 0.0, 0.0]) / MAX_ACTIVATION


def network_of(twin: Twin) -> list[Layer]:
    """The integer network of a twin."""
    last = quantised(twin.last, _GAIN, _OFFSET)
    return [
        quantised(twin.first),
        quantised(twin.second),
        last._replace(low=-(1 << 14), high=1 << 14),
    ]


@torch.no_grad()
def set_twin(twin: Twin, network: Sequence[Layer]) -> None:
    """Give `twin` the weights of an integer network of its sizes, to train it further."""
    layers = (twin.first, 1.0, 0.0), (twin.second, 1.0, 0.0), (twin.last, _GAIN, _OFFSET)
    for (linear, gain, offset), layer in zip(layers, network, strict=True):
        step = layer.multiplier / 2.0**layer.shift
        weight = layer.weight * step[:, None] / np.broadcast_to(gain, step.shape)[:, None]
        bias = (layer.bias * step / MAX_ACTIVATION - offset) / gain
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(bias))
