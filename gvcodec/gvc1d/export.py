"""Exports the integer network of a trained `Twin`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gvcodec.entropy.network import MAX_ACTIVATION, Layer
from gvcodec.gvc1d.context_model import INFLATION_RANGE, MEAN_RANGE, SCALE_RANGE, USUAL, Twin

#: Bits of the requantisation's multipliers, at most.
_SHIFT = 24


def layers_of(twin: Twin) -> list[Layer]:
    """Three layers; outputs are scale index, mean in eighths, zero inflation."""
    gain = np.array([SCALE_RANGE, 8 * MEAN_RANGE, INFLATION_RANGE]) / MAX_ACTIVATION
    last = _quantise(twin.last, gain, np.array([USUAL, 0.0, 0.0]) / MAX_ACTIVATION)
    first, second = _quantise(twin.first), _quantise(twin.second)
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
    limit = (1 << 30) - 1
    return Layer(
        np.round(weight / step[:, None]).astype(np.int8),
        np.clip(np.round(bias / step), -limit, limit).astype(np.int32),
        np.round(step * (1 << _SHIFT)).astype(np.int32),
        _SHIFT,
    )
