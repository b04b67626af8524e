"""Integer networks that several tests share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gvcodec.entropy.network import Layer


def make_layers(rng: np.random.Generator, sizes: list[int]) -> list[Layer]:
    """Any layers of these sizes; the last one gives 16-bit numbers."""
    layers = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        final = i == len(sizes) - 2
        layers.append(
            Layer(
                rng.integers(-128, 128, (outputs, inputs)).astype(np.int8),
                rng.integers(-(2**14), 2**14, outputs).astype(np.int32),
                rng.integers(1, 2**15, outputs).astype(np.int32) * rng.choice([-1, 1]),
                int(rng.integers(14, 26)),
                -(2**15) if final else 0,
                2**15 - 1 if final else 127,
            )
        )
    return layers
