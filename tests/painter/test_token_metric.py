"""The metric that tokens are tried by: the distances of its network in torch, and what it sees."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec import _core, perceptual
from gvcodec.errors import MediaError
from gvcodec.models import TOKEN_METRIC, read_arrays, save_weights
from gvcodec.painter.tokens.metric import PerceptualMetric, open_network
from gvcodec.painter.tokens.trial import trial_windows
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.colour import known_colour
from gvcodec.util.tensors import to_rgb
from tests.conftest import moving_texture, rough_clip

FORMAT = VideoFormat(192, 128, Fraction(25), Fraction(1, 25), bit_depth=10)


def as_rgb(planes: Planes, colour: Colour) -> torch.Tensor:
    """(1, 3, H, W)."""
    luma, *chroma = (torch.from_numpy(plane.astype(np.float32) / 1023) for plane in planes)
    return to_rgb(luma[None, None], torch.stack(chroma)[None], colour)


def torch_distances(source: Planes, painted: list[Planes], colour: Colour) -> np.ndarray:
    weights = perceptual.read_weights(TOKEN_METRIC.find())
    network = PerceptualLoss(integer=False, is_batched=False, weights=weights)
    known = known_colour(colour, source[0].shape[0])
    reference = network.reference(as_rgb(source, known))
    with torch.no_grad():
        return np.array([float(network(as_rgb(p, known), reference)[0]) for p in painted])


@pytest.mark.parametrize(
    ("size", "colour"),
    [
        ((128, 192), Colour()),
        ((48, 66), Colour(matrix=9, full_range=True)),
        ((86, 254), Colour()),
    ],
)
def test_distances_are_those_of_the_network_in_torch(size: tuple[int, int], colour: Colour) -> None:
    height, width = size
    rng = np.random.default_rng(1)
    (y, u, v), (other, *_) = rough_clip(2, height, width)
    source = y, u + rng.integers(0, 99, u.shape, np.uint16), v
    painted = [source, (other, u, v), (y + rng.integers(0, 9, y.shape, np.uint16), u, v)]
    fmt = replace(FORMAT, width=width, height=height, colour=colour)
    found = PerceptualMetric(fmt).distances(source, painted, [(0, 0, height, width)])[:, 0]
    expected = torch_distances(source, painted, colour)
    assert found[0] == 0 and found[1] > found[2] > 0.001
    assert found[1:] == pytest.approx(expected[1:], rel=0.01)


def test_differences_between_painted_pictures_are_right_within_two_percent() -> None:
    """Of pictures as far apart as those that tokens paint: blurred, with more and less grain."""
    (y, u, v), *_ = moving_texture(256, 256, 1)
    blurred = y.astype(np.float64)
    for axis in (0, 1, 0, 1):
        blurred = (np.roll(blurred, 1, axis) + 2 * blurred + np.roll(blurred, -1, axis)) / 4
    grain = np.roll(y - blurred, (5, 3), (0, 1))
    painted = [
        (np.clip(np.rint(blurred + part * grain), 0, 1023).astype(np.uint16), u, v)
        for part in (0.0, 0.3, 0.36, 0.45)
    ]
    fmt = replace(FORMAT, width=256, height=256)
    found = PerceptualMetric(fmt).distances((y, u, v), painted, [(0, 0, 256, 256)])[:, 0]
    expected = torch_distances((y, u, v), painted, fmt.colour)
    assert np.abs(np.diff(expected)).min() > 1e-4
    assert np.diff(found) == pytest.approx(np.diff(expected), rel=0.02)


def test_all_forms_of_the_core_and_all_threads_find_the_same() -> None:
    first, second = rough_clip(2, 60, 310)
    windows = trial_windows(60, 310)
    assert windows == [(0, 0, 60, 256), (0, 256, 60, 54)]
    before = _core.cpu()
    found = []
    try:
        forms = _core.cpu_forms()
        for form, threads in [*((form, 1) for form in forms), (forms[-1], 3)]:
            _core.use_cpu(form)
            metric = PerceptualMetric(replace(FORMAT, width=310, height=60), threads)
            found.append(metric.distances(first, [second], windows))
    finally:
        _core.use_cpu(before)
    assert all(np.array_equal(distances, found[0]) for distances in found)
    assert found[0].min() > 0


def test_a_metric_sees_each_window_as_decoders_show_it() -> None:
    (y, u, v), *_ = rough_clip(1, 128, 512)
    source = np.minimum(y, 1000) & ~np.uint16(3), u, v
    near = source[0] + np.uint16(1), u, v
    right = source[0].copy()
    right[:, 256:] ^= 64
    windows = trial_windows(128, 512)
    fmt = replace(FORMAT, width=512, bit_depth=8)
    same, rounded, half = PerceptualMetric(fmt).distances(
        source, [source, near, (right, u, v)], windows
    )
    assert np.array_equal(rounded, same) and half[0] == same[0] and half[1] > same[1] + 0.01
    deep = PerceptualMetric(replace(fmt, bit_depth=10)).distances(source, [near], windows)
    assert not np.array_equal(deep[0], same)


def test_other_files_are_refused(tmp_path: Path) -> None:
    arrays, _ = read_arrays(TOKEN_METRIC.find())
    path = tmp_path / "metric.safetensors"
    for name, wrong in (("lin0.weight", None), ("features.5.weight", np.zeros((64, 3, 3, 3)))):
        changed = {**arrays, name: wrong}
        save_weights({}, path, {}, {n: a for n, a in changed.items() if a is not None})
        with pytest.raises(MediaError, match="not a perceptual network"):
            open_network(path)
    path.write_bytes(b"nothing")
    with pytest.raises(MediaError, match="not a perceptual network"):
        open_network(path)
