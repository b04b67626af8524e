"""The torch twin: the optimiser of token search, the small network of perceptual losses."""

import numpy as np
import pytest
import torch

from gvcodec import perceptual
from gvcodec.painter.torch_twin.adam import Adam
from gvcodec.perceptual.vgg import PerceptualLoss
from tests.clips import blurred_clip
from tests.conftest import in_process

needs_weights = pytest.mark.skipif(perceptual.find_weights() is None, reason="no metric weights")


def test_the_small_network_is_taken_if_vgg_is_not_found(tmp_path, monkeypatch):
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    network = perceptual.loss_network()
    assert network is not None and network[0] == "small"
    assert perceptual.loss_network("vgg") is None
    monkeypatch.setattr("gvcodec.models.shipped_folders", lambda: [tmp_path])
    assert perceptual.loss_network() is None


@needs_weights
def test_the_small_network_sees_what_vgg_sees():
    network = perceptual.loss_network("small")
    assert network is not None and network[0] == "small"
    assert sum(w.numel() for w in network[1].values()) <= 1_000_000
    small, vgg = PerceptualLoss(integer=False, weights=network[1]), PerceptualLoss(integer=False)
    fast = PerceptualLoss(weights=network[1])
    cosines = []
    source_frames, base_frames = blurred_clip(4, 128)
    for t in (1, 3):
        pair_of_frames = base_frames[t], source_frames[t]
        crops = (np.stack([p[0][:128, :128]] * 3) for p in pair_of_frames)
        base_frame, source = (torch.from_numpy(crop).float()[None] / 1023 for crop in crops)
        pair = [torch.stack(loss(base_frame, loss.reference(source))) for loss in (small, fast)]
        assert torch.allclose(*pair, rtol=0.1, atol=0.005)
        gradients: list[torch.Tensor] = []
        for loss in (small, vgg):
            picture = base_frame.clone().requires_grad_()
            sum(loss(picture, loss.reference(source))).sum().backward()
            gradients.append(picture.grad.sum(1).flatten())
        cosines.append(float(torch.nn.functional.cosine_similarity(*gradients, 0)))
    assert min(cosines) > 0.15


def test_it_steps_as_the_optimiser_of_torch_does():
    generator = torch.Generator().manual_seed(3)
    ours = [torch.randn(4, 3, generator=generator).requires_grad_(True) for _ in range(2)]
    theirs = [w.detach().clone().requires_grad_(True) for w in ours]
    mine = Adam(ours, betas=(0.9, 0.98))
    other = torch.optim.AdamW(theirs, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(5):
        rate = 0.1 / (step + 1)
        other.param_groups[0]["lr"] = rate
        for weights in (ours, theirs):
            sum((w**3).sum() for w in weights).backward()
        mine.step(rate)
        other.step()
        mine.clear_gradients()
        other.zero_grad()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_the_optimiser_does_not_load_the_compiler_of_torch():
    code = """
import sys, torch
from gvcodec.painter.torch_twin.adam import Adam
w = torch.ones(2, requires_grad=True)
optimizer = Adam([w], (0.9, 0.98))
w.sum().backward()
torch.nn.utils.clip_grad_norm_([w], 1.0)
optimizer.step(0.1)
sys.exit("torch._dynamo" in sys.modules)"""
    in_process("-c", code)
