"""The small perceptual network: taught by a teacher of random weights, which needs no files."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from gvcodec import perceptual
from gvcodec.models import save_weights
from gvcodec.perceptual.vgg import PerceptualLoss
from training import perceptual_layers
from training.perceptual import agreement, refine
from training.perceptual_layers import fit_layers
from training.perceptual_pairs import GRADIENT_UNIT, Pairs

WIDTHS = (6, 8, 10, 10, 8)


def network(widths=WIDTHS, seed=0):
    """Random weights by the names of the file, of the size that keeps maps alive."""
    generator = torch.Generator().manual_seed(seed)
    weights, below = {}, 3
    for stage, (part, width) in enumerate(zip(perceptual._VGG, widths, strict=True)):
        for index, _, _ in part:
            spread = (2 / (9 * below)) ** 0.5
            weights[f"features.{index}.weight"] = spread * torch.randn(
                width, below, 3, 3, generator=generator
            )
            weights[f"features.{index}.bias"] = 0.1 * torch.randn(width, generator=generator)
            below = width
        weights[f"lin{stage}.weight"] = torch.rand(1, width, 1, 1, generator=generator)
    for name in ("alpha", "beta"):
        weights[name] = torch.rand(1, 3 + sum(widths), 1, 1, generator=generator)
    return weights


def pairs(teacher, count=16, side=48, seed=1):
    generator = torch.Generator().manual_seed(seed)
    source = torch.nn.functional.avg_pool2d(
        torch.rand(count, 3, side + 2, side + 2, generator=generator), 3, 1
    )
    painted = torch.nn.functional.avg_pool2d(source, 3, 1, 1, count_include_pad=False)
    painted = (painted + 0.05 * torch.randn(source.shape, generator=generator)).clamp(0, 1)
    source, painted = source.half().float(), painted.half().float().requires_grad_(True)
    loss = PerceptualLoss(integer=False, weights=teacher)
    distances = torch.stack(loss(painted, loss.reference(source)), 1)
    (gradient,) = torch.autograd.grad(distances.sum(), painted)
    return Pairs(
        *(x.detach().half() for x in (painted, source, distances, gradient / GRADIENT_UNIT))
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(perceptual_layers, "_POLISH", 20)


def test_a_student_as_wide_as_its_teacher_becomes_it():
    teacher = network()
    material = pairs(teacher)
    found = agreement(fit_layers(teacher, material, WIDTHS), pairs(teacher, 8, seed=2))
    assert found["pixels"] > 0.97 and found["gains8"] > 0.97
    assert found["dists_correlation"] > 0.99 and found["dists_ratio"] == pytest.approx(1, abs=0.05)


def test_a_narrow_student_learns_from_gradients(tmp_path):
    teacher = network()
    material, held = pairs(teacher), pairs(teacher, 8, seed=2)
    start = network(
        (4, 5, 6, 6, 2), seed=5
    )  # the closed form leaves too little to learn from so few pictures
    end, steps = refine(
        start, material, 1, lambda step, minutes, weights: None, rate=0.02, steps=40
    )
    before, after = agreement(start, held), agreement(end, held)
    assert steps == 40 and after["pixels"] > before["pixels"] + 0.05
    assert after["gains8"] > before["gains8"] + 0.2 and after["gains32"] > before["gains32"] + 0.05

    # Its file serves as VGG's does, and another does not.
    (tmp_path / "other.safetensors").write_bytes(b"not one")
    with pytest.raises(perceptual.MissingWeightsError, match="other"):
        perceptual.read_weights(tmp_path / "other.safetensors")
    save_weights(end, tmp_path / "small.safetensors")
    weights = perceptual.read_weights(tmp_path / "small.safetensors")
    exact = PerceptualLoss(integer=False, weights=weights)
    painted, source, _, _ = held.take([0, 1])
    distances = torch.stack(exact(painted, exact.reference(source)))
    assert float(distances.min()) > 0
    assert torch.allclose(
        torch.stack(exact(source, exact.reference(source))), torch.zeros(2, 2), atol=1e-5
    )


def test_pivots_leave_out_what_others_tell():
    base = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    columns = torch.stack(
        [base[:, 0], base[:, 0] * 0.9, 3 * base[:, 1], base[:, 2], base[:, 1] + base[:, 0]], 1
    )
    chosen = perceptual_layers.pivots(torch.cov(columns.T), 3)
    assert chosen[0] == 2 and len({0, 1, 4} & set(chosen)) == 1 and 3 in chosen
