"""Dithered losses and wider painters in training."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from gvcodec import perceptual
from gvcodec.errors import UsageError
from gvcodec.models import PAINTER
from gvcodec.painter.model import GAIN_ROWS, NOISE_ROWS
from gvcodec.painter.torch_twin.network import PainterNetwork, condition
from gvcodec.painter.torch_twin.objective import fresh
from gvcodec.perceptual.dither import SIGMA
from training.dither import Dither, DitheredLoss, DitheredLpips
from training.painter import PainterWork
from training.widen import widen

from .test_training import cache, config  # noqa: F401 (a fixture)

SIZES = {"channels": 80, "wide": 96, "style": 36, "stem": 28}


def paint(painter: PainterNetwork) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    luma = 0.4 + 0.2 * torch.rand(1, 1, 64, 64, generator=generator)
    chroma = torch.full((1, 2, 32, 32), 0.5)
    given = None, fresh(64, 64, 0), None, condition("av1", Fraction(1), 54)
    with torch.no_grad():
        painted, tint, _ = painter.step(luma, chroma, *given)
    return torch.cat([painted.flatten(), tint.flatten()])


def test_a_wider_painter_paints_the_same_and_is_a_painter(tmp_path: Path) -> None:
    painter = PainterNetwork.load(PAINTER.find())
    wider = widen(painter, SIZES)
    assert torch.equal(paint(wider), paint(painter))
    wider.save(tmp_path / "wider.safetensors")
    loaded = PainterNetwork.load(tmp_path / "wider.safetensors")
    assert loaded.sizes == painter.sizes | SIZES
    assert torch.equal(paint(loaded), paint(painter))


def test_added_units_can_learn() -> None:
    wider = widen(PainterNetwork.load(PAINTER.find()), SIZES).requires_grad_(True)
    luma = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    given = None, fresh(64, 64, 0), None, condition("av1", Fraction(1), 54)
    wider.step(luma, torch.full((1, 2, 32, 32), 0.5), *given)[0].square().mean().backward()
    channels, style, wide = slice(48, 64), slice(32, 36), slice(64, 96)
    for name, added in (("style", channels), ("head", style), ("blocks.3.project", wide)):
        weight = wider.get_parameter(f"{name}.weight")
        assert not weight[:, added].any()
        assert weight.grad is not None and weight.grad[:, added].abs().sum() > 0, name


@pytest.mark.parametrize("sizes", [{"channels": 32}, {"wide": 66}, {"style": 516}])
def test_sizes_that_a_painter_cannot_grow_to(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(sizes))}: a multiple of 4 from"):
        widen(PainterNetwork.load(PAINTER.find()), sizes)


def test_dither_is_the_same_on_all_colours_and_follows_its_seed() -> None:
    flat = torch.full((1, 3, 96, 96), 0.5)
    dither = Dither(2.0, seed=3)
    first, second = dither(flat), dither(flat)
    noise = 255 * (first - flat)
    assert float(noise.std()) == pytest.approx(2.0, rel=0.05)
    assert torch.equal(noise[:, 0], noise[:, 2]) and not torch.equal(first, second)
    dither.restart(3)
    assert torch.equal(dither(flat), first)


def test_dithered_losses_do_not_pay_for_faint_noise(some_weights: None) -> None:
    """A flat picture with noise is nearer to a noisy source in the plain loss alone."""
    generator = torch.Generator().manual_seed(0)
    source = 0.5 + torch.randn(1, 1, 96, 96, generator=generator).expand(1, 3, -1, -1) / 510
    flat = torch.full((1, 3, 96, 96), 0.5)
    faint = flat + torch.randn(1, 1, 96, 96, generator=generator) / 510

    def gain(loss: object, pictures: tuple[torch.Tensor, torch.Tensor]) -> float:
        costs = [float(loss(picture, source)) for picture in pictures]  # type: ignore[operator]
        return 1 - costs[1] / costs[0]

    plain, dithered = perceptual.lpips("alex"), DitheredLpips(Dither(SIGMA), "alex")
    assert gain(plain, (flat, faint)) > 2 * abs(gain(dithered, (flat, faint)))


def test_both_pictures_of_the_leading_loss_are_dithered(some_weights: None) -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    loss = DitheredLoss(Dither(SIGMA))
    assert float(loss(flat, loss.reference(flat))[0]) > 0
    loss.dither.sigma = 0.0
    assert float(loss(flat, loss.reference(flat))[0]) == pytest.approx(0.0, abs=1e-6)


def test_a_run_with_dither_and_width(
    cache: Path,  # noqa: F811
    tmp_path: Path,
    made_weights: None,
) -> None:
    settings = {"objective": "vgg+alex", "dither": SIGMA, **SIZES}
    work = PainterWork(config(cache, tmp_path, **settings))
    assert work.model.sizes | SIZES == work.model.sizes and work.initial.sizes["channels"] == 64
    assert isinstance(work.objectives[0].perceptual, DitheredLoss)
    assert isinstance(work.objectives[0].alex, DitheredLpips)
    first = work.loss(0)[1]
    work.resume(work.state(), 0)
    again = work.loss(0)[1]
    assert first["lpips"] == pytest.approx(again["lpips"])
    plain = PainterWork(config(cache, tmp_path, objective="vgg+alex"))
    assert plain.dither is None and plain.loss(0)[1]["lpips"] != pytest.approx(first["lpips"])


def test_a_painter_without_noise_learns_gains_alone(
    cache: Path,  # noqa: F811
    tmp_path: Path,
    made_weights: None,
) -> None:
    work = PainterWork(config(cache, tmp_path, noise=False))
    assert not work.model.head.multiplier[NOISE_ROWS].any()
    work.loss(0)[0].backward()
    gradient = work.model.head.weight.grad
    assert gradient[GAIN_ROWS].any() and not gradient[NOISE_ROWS].any()
