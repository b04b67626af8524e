"""LPIPS and DISTS equal the values that the original packages give (reference.json beside the
weight files)."""

import hashlib
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

from gvcodec.painter import perceptual

FOLDER = perceptual.find_weights()
needs_weights = pytest.mark.skipif(FOLDER is None, reason="metric weight files not found")
REFERENCE = FOLDER / "reference.json" if FOLDER else None
ENTRIES = (
    json.loads(REFERENCE.read_text())
    if REFERENCE and REFERENCE.is_file()
    else {"synthetic": [], "images": []}
)
TOLERANCE = 1e-4


def zigzag(v, period):
    """Integer triangle wave between 0 and 255 with `period` samples from bottom to top."""
    folded = np.mod(v, 2 * period)
    return np.where(folded <= period, folded, 2 * period - folded) * 255 // period


def synthetic_pair(seed, height, width, kind):
    """The reference file's pair: gradients, stripes, noise and six rectangles; then one distortion
    of them. Two (H, W, 3) uint8 pictures; the order of draws is part of the definition."""
    rng = np.random.default_rng(seed)
    rows, columns = (
        np.arange(height, dtype=np.int64)[:, None],
        np.arange(width, dtype=np.int64)[None],
    )
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
    return picture.astype(np.uint8), distort(picture, kind, rng, seed).clip(0, 255).astype(np.uint8)


def distort(picture, kind, rng, seed):
    height, width, _ = picture.shape
    if kind == "identical":
        return picture
    if kind == "noise":
        return picture + rng.integers(-20, 21, picture.shape)
    if kind == "tone":
        return 3 * picture // 4 + 24
    if kind == "quant":
        return 22 * (picture // 22) + 6
    if kind == "shift":
        return np.roll(picture, shift=(2, 3), axis=(0, 1))
    if kind == "blur":
        padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="edge")
        return (
            np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(0, 1)).sum((-1, -2))
            // 25
        )
    if kind == "block":
        result = picture.copy()
        for top in range(0, height, 8):
            for left in range(0, width, 8):
                tile = picture[top : top + 8, left : left + 8]
                mean = tile.sum((0, 1)) // (tile.shape[0] * tile.shape[1])
                result[top : top + 8, left : left + 8] = (tile + mean) // 2
        return result
    assert kind == "unrelated"
    return synthetic_pair(seed + 1000, height, width, "identical")[0].astype(np.int64)


def to_tensor(picture):
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def metrics():
    return {
        "lpips_alex": perceptual.lpips("alex"),
        "lpips_vgg": perceptual.lpips("vgg"),
        "dists": perceptual.dists(),
    }


def check(metrics, pair, entry):
    assert [hashlib.sha256(np.ascontiguousarray(p).tobytes()).hexdigest() for p in pair] == entry[
        "sha256"
    ]
    with torch.no_grad():
        for name, metric in metrics.items():
            value = metric(to_tensor(pair[0]), to_tensor(pair[1])).item()
            assert value == pytest.approx(entry["values"][name], abs=TOLERANCE), name


@needs_weights
@pytest.mark.parametrize("entry", ENTRIES["synthetic"], ids=lambda e: e["name"])
def test_equals_reference_on_synthetic_pairs(metrics, entry):
    check(
        metrics,
        synthetic_pair(entry["seed"], entry["height"], entry["width"], entry["kind"]),
        entry,
    )


@needs_weights
@pytest.mark.parametrize("entry", ENTRIES["images"], ids=lambda e: e["name"])
def test_equals_reference_on_the_authors_images(metrics, entry):
    pair = [
        np.array(Image.open(FOLDER / "images" / name).convert("RGB")) for name in entry["files"]
    ]
    check(metrics, pair, entry)


@needs_weights
def test_gradients_are_finite_even_on_flat_pictures(metrics):
    for metric in metrics.values():
        x = torch.full((2, 3, 40, 56), 0.5, requires_grad=True)
        y = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
        distance = metric(x, y)
        assert distance.shape == (2,)
        distance.sum().backward()
        assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0
