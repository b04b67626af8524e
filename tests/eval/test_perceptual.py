"""LPIPS and DISTS equal the values that the original packages give."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gvcodec import perceptual

needs_weights = pytest.mark.skipif(perceptual.find_weights() is None, reason="no metric weights")
#: Of pairs of `pictures` what lpips 0.1.4 (AlexNet, VGG16) and DISTS-pytorch 0.1 give.
REFERENCE = {
    (0, 64, 64, "identical"): (0.0, 0.0, 0.0),
    (1, 64, 64, "noise"): (0.033724, 0.116741, 0.118192),
    (3, 64, 64, "unrelated"): (0.454312, 0.854312, 0.321416),
    (4, 96, 128, "tone"): (0.018189, 0.013126, 0.055241),
    (5, 101, 67, "shift"): (0.125062, 0.326681, 0.184506),
    (11, 160, 160, "unrelated"): (0.621719, 0.820916, 0.297066),
}
TOLERANCE = 1e-4


def zigzag(v, period):
    """Integer triangle wave between 0 and 255 with `period` samples from bottom to top."""
    folded = np.mod(v, 2 * period)
    return np.where(folded <= period, folded, 2 * period - folded) * 255 // period


def pictures(seed, height, width, kind):
    """Two (H, W, 3) uint8: a synthetic picture and its distortion. The order of draws counts."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:height, :width]
    channels = []
    for _ in range(3):
        slope_x, slope_y, phase = rng.integers(-9, 10), rng.integers(-9, 10), rng.integers(0, 4096)
        gradient = zigzag(slope_x * columns + slope_y * rows + phase, 997)
        period_a, period_b = rng.integers(5, 23), rng.integers(5, 23)
        stripes = (zigzag(columns + 2 * rows, period_a) + zigzag(rows - columns, period_b)) // 2
        grain = rng.integers(0, 64, (height, width))
        channels.append((5 * gradient + 2 * stripes) // 8 + grain // 2)
    picture = np.stack(channels, -1)
    for _ in range(6):
        h, w = rng.integers(4, height // 2), rng.integers(4, width // 2)
        top, left = rng.integers(0, height - h), rng.integers(0, width - w)
        box = np.s_[top : top + h, left : left + w]
        picture[box] = (picture[box] + 3 * rng.integers(0, 256, 3)) // 4
    picture = picture.clip(0, 255)
    kinds = {"identical": picture, "noise": picture + rng.integers(-20, 21, picture.shape)}
    kinds |= {"tone": 3 * picture // 4 + 24, "shift": np.roll(picture, (2, 3), (0, 1))}
    if kind == "unrelated":
        kinds[kind] = pictures(seed + 1000, height, width, "identical")[0]
    return picture.astype(np.uint8), kinds[kind].clip(0, 255).astype(np.uint8)


def to_tensor(picture):
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def metrics():
    return perceptual.lpips("alex"), perceptual.lpips("vgg"), perceptual.dists()


@needs_weights
@pytest.mark.parametrize("pair", REFERENCE, ids=str)
def test_distances_are_those_of_the_original_packages(metrics, pair):
    one, other = map(to_tensor, pictures(*pair))
    with torch.no_grad():
        found = [metric(one, other).item() for metric in metrics]
    assert found == pytest.approx(REFERENCE[pair], abs=TOLERANCE)


@needs_weights
def test_gradients_are_finite_even_on_flat_pictures(metrics):
    for metric in metrics:
        x = torch.full((2, 3, 40, 56), 0.5, requires_grad=True)
        distance = metric(x, torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0)))
        assert distance.shape == (2,)
        distance.sum().backward()
        assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0
