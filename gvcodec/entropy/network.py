"""Layers of integer networks (`csrc/entropy/intnet.*`): u8 activations, s8 weights, exact
everywhere."""

from __future__ import annotations

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
