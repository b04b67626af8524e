"""NumPy reference of integer network inference (`csrc/entropy/intnet.*`): u8 activations, s8
weights, exact everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_ACTIVATION = 127


class Layer(NamedTuple):
    """A dense layer. Output = clamp((weight · in + bias) · multiplier >> shift, halves up,
    low…high)."""

    weight: NDArray[np.int8]  # (outputs, inputs)
    bias: NDArray[np.int32]  # (outputs,), at most 2^30 either way
    multiplier: NDArray[np.int32]  # (outputs,)
    shift: int  # 1…62
    low: int = 0
    high: int = MAX_ACTIVATION


def forward(layers: Sequence[Layer], activations: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(rows, inputs) of 0…127 to (rows, outputs) of the last layer; larger inputs count as 127."""
    x = np.minimum(activations, MAX_ACTIVATION).astype(np.int64)
    for layer in layers:
        sums = x @ layer.weight.astype(np.int64).T + layer.bias
        x = (sums * layer.multiplier + (1 << (layer.shift - 1))) >> layer.shift
        x = np.clip(x, layer.low, layer.high)
    return x.astype(np.int32)
