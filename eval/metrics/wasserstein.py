"""Wasserstein distortion of VGG16 features: are their local means and standard deviations alike?

Qiu, Wagner, Ballé, Theis, "Wasserstein Distortion: Unifying Fidelity and Realism" (CISS 2024;
arXiv 2310.03629). Around each place the values of a feature, weighted by a Gaussian of `SIGMA` luma
samples, are a distribution; taken as normal, two of them are (mean - mean')² + (deviation -
deviation')² apart, their squared 2-Wasserstein distance. Texture that another draw of the same
process replaces costs little, a blur costs its lost deviation. With a sigma of 0 it is the squared
error of features.

Squares are summed over places and channels of a stage and divided by the source's own, so that
stages of any size count alike; the distance is their mean: 0 = equal, 1 = as far as from nothing.
Maps are (N, C, H, W); importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual

#: Standard deviation of the pooling in luma samples.
SIGMA = 8.0


class Wasserstein(nn.Module):
    """(N, 3, H, W) RGB in [0, 1], twice → (N,). Raises `MissingWeightsError` without `weights`,
    those of a network of VGG16's form by the names of its file."""

    mean: Tensor
    std: Tensor

    def __init__(self, sigma: float = SIGMA, weights: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        weights = weights or perceptual.load_weights("vgg")
        self.features, self.sigma = perceptual.Features("vgg", weights, blur_pool=True), sigma
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """The compared features: local means and deviations of the picture and of five stages,
        (N, 2C, h, w)."""
        x = (x - self.mean) / self.std
        yield moments(x, self.sigma)
        for stage, features in enumerate(self.features(x)):
            yield moments(features, self.sigma / 2**stage)

    def forward(self, x: Tensor, y: Tensor | list[Tensor]) -> Tensor:
        """The second, the source, may be a list of its `maps`."""
        maps_y = self.maps(y) if isinstance(y, Tensor) else y
        parts = [distance(a, b) for a, b in zip(self.maps(x), maps_y, strict=True)]
        return torch.stack(parts).mean(0)


def moments(x: Tensor, sigma: float) -> Tensor:
    """Means, then deviations, of `x` under a Gaussian, every half `sigma`; at edges the samples
    that there are."""
    mean, square = _pool(x, sigma), _pool(x.square(), sigma)
    # Rounding must not leave a variance of a constant.
    variance = F.relu(square - mean.square() - 1e-6 * square)
    return torch.cat([mean, (variance + 1e-12).sqrt()], 1)


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared W2 of `moments` over the square of those of the source `y`, (N,)."""
    return (x - y).square().sum((1, 2, 3)) / (y.square().sum((1, 2, 3)) + 1e-12)


def _pool(x: Tensor, sigma: float) -> Tensor:
    """Weighted means, (N, C, H, W) → (N, C, h, w)."""
    radius, stride = round(3 * sigma), max(1, int(sigma / 2))
    places = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    weights = torch.exp(-0.5 * (places / max(sigma, 1e-3)).square())
    for _ in range(2):  # rows, then columns: (N, C, W, H) in between
        rows = x.flatten(0, 2)[:, None]
        total = F.conv1d(rows, weights[None, None], stride=stride, padding=radius)
        here = F.conv1d(torch.ones_like(rows[:1]), weights[None, None], None, stride, radius)
        x = (total / here).view(*x.shape[:3], -1).transpose(2, 3)
    return x
