"""The patch tokens of a picture become one vector of 64 numbers: their mean along Fisher's linear
discriminants, the directions in which frames differ most relative to codings and parts of one frame
(`training/summary.py`). NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIM = 64
#: Features are clipped at this number of standard deviations.
_MOST = 6.0

Floats = NDArray[np.floating[Any]]


class Compressor:
    """Maps tokens (N, tokens, features) to vectors (N, 64) of length √64. `centre`, `deviation`
    (features,) and `project` (features, 64) are the weights."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        """Raise `KeyError`, `ValueError` for weights of another kind."""
        parts = (np.asarray(weights[key], np.float32) for key in ("centre", "spread", "project"))
        self.centre, self.deviation, self.project = parts
        features = len(self.centre)
        if self.deviation.shape != (features,) or self.project.shape != (features, DIM):
            raise ValueError("shapes do not go together")

    def __call__(self, tokens: Any) -> NDArray[np.float32]:
        return lengthen(self.standardise(tokens).mean(1) @ self.project)

    def narrow(self, tokens: Any) -> NDArray[np.float32]:
        """Project tokens: (N, tokens, 64)."""
        return (self.standardise(tokens) @ self.project).astype(np.float32)

    def standardise(self, tokens: Any) -> Floats:
        """Normalise features by mean and deviation."""
        unit = (np.asarray(tokens, np.float32) - self.centre) / self.deviation
        return np.clip(unit, -_MOST, _MOST)


def lengthen(vectors: Floats) -> NDArray[np.float32]:
    """Scale vectors to length √dim."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return (vectors / lengths * math.sqrt(vectors.shape[-1])).astype(np.float32)
