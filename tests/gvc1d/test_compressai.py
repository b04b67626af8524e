"""GVC1D's network under CompressAI's names; with the package itself where it can be imported."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from conformance.network_inputs import TINY, save_tiny
from gvcodec import models
from gvcodec.bases import index_of
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.gvc1d import base_codec
from gvcodec.gvc1d.budgets import make_budget
from gvcodec.gvc1d.compressai import GVC1DPictures, _planes, register
from gvcodec.types import VideoFormat

_PACKAGE = ("compressai", "torchvision")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def smooth_pictures(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(2, 3, 6, 9, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return smooth_pictures(50, 71)


def test_what_is_decoded_is_what_forward_shows(weights: Path, pictures: Tensor) -> None:
    model = GVC1DPictures(weights, q=20)
    packed = model.compress(pictures)
    with torch.no_grad():
        direct = model(pictures)
    shown = model.decompress(**packed)["x_hat"]
    assert packed["shape"] == (50, 71) and len(packed["strings"][0]) == 2
    assert shown.shape == direct["x_hat"].shape == pictures.shape
    # `compress` rounds planes to 10 bits first, and integers near 1/2 may round the other way.
    assert (shown - direct["x_hat"]).abs().mean() < 0.01
    windows = 2 * 3
    assert direct["likelihoods"]["y"].shape == (2, windows, TINY.tokens, TINY.channels)
    for packet, likelihoods in zip(packed["strings"][0], direct["likelihoods"]["y"], strict=True):
        bits = -likelihoods.log2().sum().item()
        # The head (rate, flag) and the coder's last bytes come on top.
        assert 0 < 8 * len(packet) - bits < 64


@pytest.mark.parametrize(
    ("network", "size"), [(models.GVC1D_MINI, (50, 71)), (models.GVC1D, (256, 256))]
)
def test_a_shipped_network_draws_the_picture(
    network: models.WeightFile, size: tuple[int, int]
) -> None:
    pictures = smooth_pictures(*size)
    model = GVC1DPictures(network.find(), q=10)
    with torch.no_grad():
        direct = model(pictures)
    packed = model.compress(pictures)
    shown = model.decompress(**packed)["x_hat"]
    assert (shown - direct["x_hat"]).abs().mean() < 0.01
    error = (shown - pictures).abs().mean()
    grey = (pictures - pictures.mean((2, 3), keepdim=True)).abs().mean()
    assert error < 0.8 * grey and error < 0.8 * (shown - pictures.flip(0)).abs().mean()


def test_packets_are_those_of_files(weights: Path, pictures: Tensor) -> None:
    """A keyframe of base gvc1d with the same model and quality."""
    model = GVC1DPictures(weights, q=20, refine=True)
    one = torch.nn.functional.pad(pictures[:1], (0, 1, 0, 0), mode="replicate")
    (packet,) = model.compress(one)["strings"][0]
    planes = _planes(one)
    fmt = VideoFormat(72, 50, Fraction(25), Fraction(1, 25), 10)
    settings = fmt, index_of("gvc1d", 20), 0, 1, weights, make_budget("")
    coded = base_codec.Gvc1dEncoder(*settings).send(planes)
    assert coded.packets[0].payload == packet


def test_gradients_reach_every_weight_of_a_picture(weights: Path, pictures: Tensor) -> None:
    model = GVC1DPictures(weights, q=20)
    coded = model(pictures)
    rate = -coded["likelihoods"]["y"].log2().sum()
    ((coded["x_hat"] - pictures).square().sum() + 0.01 * rate).backward()
    still = {name for name, value in model.weights.items() if value.grad is None}
    # One picture never advances the state.
    assert all(name.startswith(("memory/", "memory_", "short_term_norm")) for name in still)
    assert model.weights["patch_in/weight"].grad.abs().sum() > 0


def test_trained_weights_are_those_that_code(weights: Path, pictures: Tensor) -> None:
    model = GVC1DPictures(weights, q=20)
    before = model.compress(pictures)["strings"]
    state = model.state_dict()
    with torch.no_grad():
        model.weights["token_out/bias"] += 3
    assert model.compress(pictures)["strings"] != before
    other = GVC1DPictures(weights, q=20)
    other.load_state_dict(model.state_dict())
    assert other.compress(pictures)["strings"] == model.compress(pictures)["strings"]
    assert set(state) == set(other.state_dict())


def test_mistakes(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        GVC1DPictures(weights, q=99)
    (tmp_path / "none.safetensors").write_bytes(b"no model")
    with pytest.raises(MediaError):
        GVC1DPictures(tmp_path / "none.safetensors")
    with pytest.raises(DamagedStreamError):
        GVC1DPictures(weights).decompress([[b"\xff" * 40]], (50, 71))


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in _PACKAGE),
    reason="needs compressai (pip install 'gvcodec[compressai]')",
)
def test_under_compressai_itself(weights: Path, pictures: Tensor) -> None:
    """Its registry makes the model, and its own losses and evaluation take what it returns."""
    from compressai.losses import RateDistortionLoss
    from compressai.models import FactorizedPrior
    from compressai.registry import MODELS

    register()
    assert MODELS["gvc1d"] is GVC1DPictures
    model = MODELS["gvc1d"](path=weights, q=20)
    theirs = FactorizedPrior(8, 8)
    for one in (theirs, model):
        one.update(force=True)
        assert one.aux_loss().ndim == 0
    square = pictures[..., :48, :64]
    answers = [(one(square), one.compress(square)) for one in (theirs, model)]
    for ours, other in zip(*answers, strict=True):
        assert set(ours) == set(other)
    assert answers[0][0]["x_hat"].shape == answers[1][0]["x_hat"].shape
    coded = model(pictures)
    loss = RateDistortionLoss(lmbda=0.01)(coded, pictures)
    assert loss["bpp_loss"].item() == pytest.approx(
        -coded["likelihoods"]["y"].log2().sum().item() / (2 * 50 * 71)
    )
    loss["loss"].backward()
    packed = model.compress(pictures)
    size = sum(len(packet) for packets in packed["strings"] for packet in packets)
    assert 8 * size / (2 * 50 * 71) == pytest.approx(loss["bpp_loss"].item(), rel=0.1)
    assert np.isfinite(model.decompress(packed["strings"], packed["shape"])["x_hat"]).all()


def test_registering_without_the_package_says_so() -> None:
    if importlib.util.find_spec("compressai"):
        pytest.skip("compressai is installed")
    with pytest.raises(ImportError):
        register()
