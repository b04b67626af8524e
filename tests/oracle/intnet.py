"""NumPy definition of integer network inference (`csrc/entropy/intnet.*`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.network import MAX_ACTIVATION, Layer


def forward(layers: Sequence[Layer], activations: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(rows, inputs) of 0…127 to (rows, outputs) of the last layer; larger inputs count as 127."""
    x = np.minimum(activations, MAX_ACTIVATION).astype(np.int64)
    for layer in layers:
        sums = x @ layer.weight.astype(np.int64).T + layer.bias
        x = (sums * layer.multiplier + (1 << (layer.shift - 1))) >> layer.shift
        x = np.clip(x, layer.low, layer.high)
    return x.astype(np.int32)
