"""Wasserstein distortion against a definition in NumPy, with a network of random weights."""

import numpy as np
import pytest
import torch

from eval.metrics.wasserstein import Wasserstein, distance, moments
from tests.training.test_training_router import network


def defined(x, sigma):
    """Means and deviations (2C, h, w) of a (C, H, W) map: sums over all samples, place by place."""
    radius, stride = round(3 * sigma), max(1, int(sigma / 2))
    height, width = x.shape[1:]
    found = []
    for top in range(0, height, stride):
        for left in range(0, width, stride):
            rows, columns = np.mgrid[:height, :width]
            down, along = rows - top, columns - left
            near = (abs(down) <= radius) & (abs(along) <= radius)
            weight = near * np.exp(-(down**2 + along**2) / (2 * max(sigma, 1e-3) ** 2))
            weight = weight / weight.sum()
            mean = (x * weight).sum((1, 2))
            variance = ((x - mean[:, None, None]) ** 2 * weight).sum((1, 2))
            found.append(np.concatenate([mean, variance**0.5]))
    return np.stack(found, 1).reshape(2 * len(x), -(-height // stride), -1)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0, 4.0])
def test_it_is_the_distance_of_normal_distributions(sigma):
    x, y = np.random.default_rng(1).normal(1, 2, (2, 3, 13, 18))
    ours = [moments(torch.from_numpy(z)[None], sigma) for z in (x, y)]
    wanted = [defined(z, sigma) for z in (x, y)]
    for mine, other in zip(ours, wanted, strict=True):
        assert np.allclose(mine[0].numpy(), other, atol=5e-3), abs(mine[0].numpy() - other).max()
    far = ((wanted[0] - wanted[1]) ** 2).sum() / (wanted[1] ** 2).sum()
    assert float(distance(*ours)) == pytest.approx(far, rel=1e-2)


def test_another_draw_of_a_texture_is_nearer_than_none():
    """Squared errors of features say the opposite."""
    rng = np.random.default_rng(2)
    source, redrawn, smooth = (
        torch.from_numpy(0.5 + level * rng.normal(0, 1, (1, 3, 96, 96))).float()
        for level in (0.1, 0.1, 0.02)
    )
    far, errors = (Wasserstein(sigma, network()) for sigma in (16.0, 0.0))
    assert float(far(source, source)) == 0
    assert float(far(redrawn, source)) < 0.5 * float(far(smooth, source))
    assert float(errors(redrawn, source)) > float(errors(smooth, source))
    assert float(far(redrawn, list(far.maps(source)))) == float(far(redrawn, source))
