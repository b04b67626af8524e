"""Noise that both pictures of a comparison get, so that noise in one of them counts for little.

Half a level of white noise on a decoded picture lowers LPIPS and DISTS by up to a fifth. Under
noise of `SIGMA` 8-bit levels on both pictures it hardly changes them, and blur still raises them.
In: pictures `(N, 3, H, W)`, RGB in 0…1. Out: the same with noise, unclipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Standard deviation of the noise, in 8-bit levels.
SIGMA = 6.0


def noise(
    shape: tuple[int, int, int], seed: int | Sequence[int], sigma: float = SIGMA
) -> NDArray[np.float32]:
    """Gaussian noise for `shape` (N, H, W) → (N, 1, H, W) float32, in parts of 255; the same on
    every machine."""
    count, height, width = shape
    values = np.random.default_rng(seed).standard_normal((count, 1, height, width), np.float32)
    return values * np.float32(sigma / 255)


def dither(pictures: Tensor, seed: int | Sequence[int], sigma: float = SIGMA) -> Tensor:
    """`pictures` (N, 3, H, W) plus noise that is equal on R, G and B. Another seed for each of the
    pictures that are compared: equal noise on both would be no noise."""
    count, _, height, width = pictures.shape
    values = torch.from_numpy(noise((count, height, width), seed, sigma))
    return pictures + values.to(pictures)
