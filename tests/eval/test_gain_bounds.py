"""Bounds of the painter's gains, and comparisons of painters, on toy pictures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from eval.experiments import gain_bounds, painter_forms
from eval.tools import append_rows
from gvcodec.models import PAINTER
from gvcodec.painter.torch_twin.network import PainterNetwork, condition
from gvcodec.painter.torch_twin.objective import fresh


def picture(seed: int = 0) -> torch.Tensor:
    """Luma codes of noise, 128×192."""
    generator = torch.Generator().manual_seed(seed)
    return (512 + 40 * torch.randn(1, 1, 128, 192, generator=generator)).clamp(0, 1023).round()


def blur(luma: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), 3, 1).round()


@pytest.mark.parametrize("grid", gain_bounds.GRIDS)
def test_oracle_gains_restore_the_energy_of_bands(grid: int) -> None:
    source, base = picture(), 0.4 * (picture() - 512).round() + 512
    theirs, ours = gain_bounds.band_scales(source), gain_bounds.band_scales(base)
    logs = gain_bounds.local_gains(theirs, ours, grid)
    maps, bits = gain_bounds.gain_maps(logs, grid, (128, 192))
    assert all(m.shape == (1, 1, 64, 96) for m in maps)
    assert (bits > 0) is (grid == 64) or bits == 0
    detail = gain_bounds.gain_detail(ours, maps)
    scaled = gain_bounds.band_scales((base + detail / 8).round())
    ratio = [float(a.square().mean() / b.square().mean()) for a, b in zip(scaled, theirs)]
    assert ratio[0] == pytest.approx(1.0, abs=0.25)
    before = [float(a.square().mean() / b.square().mean()) for a, b in zip(ours, theirs)]
    assert before[0] < 0.3


def test_pictures_of_equal_energy_get_no_gain() -> None:
    bands = gain_bounds.band_scales(picture())
    for grid in gain_bounds.GRIDS:
        maps, bits = gain_bounds.gain_maps(
            gain_bounds.local_gains(bands, bands, grid), grid, (128, 192)
        )
        assert bits == 0 and not any(m.any() for m in maps)


@torch.inference_mode()
def test_the_edited_painter_is_the_painter_until_it_is_edited() -> None:
    painter = PainterNetwork.load(PAINTER.find())
    luma = blur(picture()) / 1023
    chroma = torch.full((1, 2, 64, 96), 0.5)
    given = condition("av1", Fraction(1), 54)
    wanted = painter.step(luma, chroma, None, fresh(128, 192, 0), None, given)[0]
    seen = painter.trunk(luma, chroma, None, fresh(128, 192, 0), None, given)
    assert torch.equal(gain_bounds.EditedPainter(painter).paint(seen, None, True)[0], wanted)
    nothing = [torch.zeros(1, 1, 64, 96)] * 3
    plain = gain_bounds.EditedPainter(painter).paint(seen, nothing, False)[0]
    assert torch.equal((1023 * plain).round(), (1023 * luma).round())
    assert not torch.equal(wanted, plain)
    assert torch.equal(gain_bounds.EditedPainter(painter).paint(seen, None, True)[0], wanted)


def test_a_report_is_relative_to_one_painter(tmp_path, capsys) -> None:
    rows = [
        [clip, 0, name, value, value, value, value, 30 + value, 0.1]
        for clip, scale in (("a", 1.0), ("b", 2.0))
        for name, value in (("shipped", scale), ("wide", 0.9 * scale))
    ]
    append_rows(tmp_path / "rows.csv", painter_forms.FIELDS, rows)
    painter_forms.report(tmp_path / "rows.csv", "shipped")
    lines = capsys.readouterr().out.splitlines()
    assert "-10.0 % [-10.0, -10.0]" in lines[-1] and "-0.150" in lines[-1]
    assert np.all(["+0.0 %" in line for line in lines if line.startswith("| shipped")])


def test_a_visible_oracle_leaves_faint_texture() -> None:
    """Texture of half a level is lost under two levels of noise."""
    faint = 512 + 2 * (picture() - 512).sign()
    flat = torch.full_like(faint, 512.0)
    bands = gain_bounds.band_scales(faint), gain_bounds.band_scales(flat)
    fine = [float(gain_bounds.local_gains(*bands, 8, o)[0].mean()) for o in ("energy", "visible")]
    assert fine[0] > 4 * fine[1] > 0


def test_fitted_gains_do_not_raise_what_differs_from_the_source() -> None:
    bands = gain_bounds.band_scales(picture()), gain_bounds.band_scales(picture(1))
    assert float(gain_bounds.local_gains(*bands, 64, "fitted")[0].mean()) < -1
    bands = gain_bounds.band_scales(picture()), gain_bounds.band_scales(picture() / 2)
    assert float(gain_bounds.local_gains(*bands, 64, "fitted")[0].mean()) == pytest.approx(
        1, abs=0.1
    )
