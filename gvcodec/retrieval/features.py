"""Patch tokens of pictures: mean and deviation of the small perceptual network's maps in 4 × 4
regions. NumPy alone: importing torch takes longer than a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

_GRID = 4
#: Convolutions of the stages of VGG16's form, by their numbers in the file, as far as they count:
#: the maps of the first stage see edges only, the fifth has eight channels.
_STAGES = (0, 2), (5, 7), (10, 12, 14), (17, 19, 21)
_MEAN, _DEVIATION = (
    np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)

Floats = NDArray[np.floating[Any]]


class PatchTokens:
    """Called with RGB (N, H, W, 3) uint8, sides multiples of 32, gives (N, 16, features) float32:
    mean and deviation of every channel, region by region."""

    def __init__(self, network: Path) -> None:
        """Raises `OSError`, `SafetensorError`."""
        with safe_open(network, "numpy") as file:
            self._stages = [[_layer(file, number) for number in stage] for stage in _STAGES]

    def __call__(self, rgb: NDArray[np.uint8]) -> Floats:
        return np.stack([self._of(picture) for picture in rgb])

    def _of(self, rgb: NDArray[np.uint8]) -> Floats:
        x: Floats = (rgb.astype(np.float32) / 255 - _MEAN) / _DEVIATION
        found = []
        for number, layers in enumerate(self._stages):
            if number:
                x = _pool(x)
            for weights, bias in layers:
                x = _convolve(x, weights, bias)
            if number:
                height, width, channels = x.shape
                cells = x.reshape(_GRID, height // _GRID, _GRID, width // _GRID, channels)
                mean, square = cells.mean((1, 3)), np.square(cells).mean((1, 3))
                found += [mean, np.sqrt(np.maximum(square - mean * mean, 0))]
        return np.concatenate(found, 2).reshape(_GRID * _GRID, -1)


def _layer(file: Any, number: int) -> tuple[Floats, Floats]:
    """Weights (3 rows, 3 columns · inputs, outputs) and biases of a convolution."""
    weights = file.get_tensor(f"features.{number}.weight").astype(np.float32)
    bias = file.get_tensor(f"features.{number}.bias").astype(np.float32)
    return np.ascontiguousarray(weights.transpose(2, 3, 1, 0)).reshape(3, -1, len(bias)), bias


def _convolve(x: Floats, weights: Floats, bias: Floats) -> Floats:
    """3 × 3, padded with zeros, then ReLU: (H, W, inputs) → (H, W, outputs)."""
    height, width, inputs = x.shape
    # Every sample beside its neighbours: a row of weights is one product of matrices.
    beside = np.zeros((height + 2, width, 3, inputs), np.float32)
    beside[1:-1, 1:, 0], beside[1:-1, :, 1], beside[1:-1, :-1, 2] = x[:, :-1], x, x[:, 1:]
    rows = beside.reshape(-1, 3 * inputs)
    out = rows[: height * width] @ weights[0]
    for down in (1, 2):
        out += rows[down * width :][: height * width] @ weights[down]
    out += bias
    return np.maximum(out, 0, out=out).reshape(height, width, -1)


def _pool(x: Floats) -> Floats:
    """DISTS' pooling: root of the Hann-weighted mean of squares, every other sample."""
    x = np.pad(x * x, ((1, 1), (1, 1), (0, 0)))
    x = 0.25 * (x[:-2:2] + x[2::2]) + 0.5 * x[1:-1:2]
    x = 0.25 * (x[:, :-2:2] + x[:, 2::2]) + 0.5 * x[:, 1:-1:2]
    return np.sqrt(x + np.float32(1e-12))
