"""The network that judges what tokens paint: in NumPy what it is in torch, and what it sees."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec import perceptual
from gvcodec.errors import MediaError
from gvcodec.models import TOKEN_METRIC, read_arrays, save_weights
from gvcodec.painter.token_judge import MetricNetwork, PerceptualMetric
from gvcodec.painter.token_trial import trial_windows
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.colour import known_colour
from gvcodec.util.tensors import to_rgb
from tests.conftest import rough_clip
from tests.errors import raises

FORMAT = VideoFormat(192, 128, Fraction(25), Fraction(1, 25), bit_depth=10)


def as_rgb(planes: Planes, colour: Colour) -> torch.Tensor:
    """(1, 3, H, W)."""
    luma, *chroma = (torch.from_numpy(plane.astype(np.float32) / 1023) for plane in planes)
    return to_rgb(luma[None, None], torch.stack(chroma)[None], colour)


@pytest.mark.parametrize("size", [(128, 192), (48, 66), (86, 254)])
@pytest.mark.parametrize("colour", [Colour(), Colour(matrix=9, full_range=True)])
def test_distances_are_those_of_the_network_in_torch(size: tuple[int, int], colour: Colour) -> None:
    height, width = size
    rng = np.random.default_rng(1)
    (y, u, v), (other, *_) = rough_clip(2, height, width)
    source = y, u + rng.integers(0, 99, u.shape, np.uint16), v
    painted = [source, (other, u, v), (y + rng.integers(0, 9, y.shape, np.uint16), u, v)]
    fmt = replace(FORMAT, width=width, height=height, colour=colour)
    found = PerceptualMetric(fmt).distances(source, painted, [(0, 0, height, width)])
    weights = perceptual.read_weights(TOKEN_METRIC.find())
    network = PerceptualLoss(integer=False, is_batched=False, weights=weights)
    known = known_colour(colour, height)
    reference = network.reference(as_rgb(source, known))
    with torch.no_grad():
        wanted = [float(network(as_rgb(planes, known), reference)[0]) for planes in painted]
    assert found[0, 0] == 0 and found[1, 0] > found[2, 0] > 0.001
    assert found[1:, 0] == pytest.approx(wanted[1:], rel=1e-4)


def test_a_judge_sees_each_window_as_it_is_given_out() -> None:
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


def test_other_files_do_not_judge(tmp_path: Path) -> None:
    arrays, _ = read_arrays(TOKEN_METRIC.find())
    path = tmp_path / "judge.safetensors"
    for name, wrong in (("lin0.weight", None), ("features.5.weight", np.zeros((64, 3, 3, 3)))):
        changed = {**arrays, name: wrong}
        save_weights({}, path, {}, {n: a for n, a in changed.items() if a is not None})
        with raises(MediaError, "not-a-model"):
            MetricNetwork(path)
    path.write_bytes(b"nothing")
    with raises(MediaError, "not-a-model"):
        MetricNetwork(path)
