"""What tokens stand for before anything is learned, and scenes that come back."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from gvcodec.gvc1d.blocks import cosines, lowest, region_grid, token_regions
from gvcodec.gvc1d.config import SMALL
from gvcodec.gvc1d.direct import GAINS, DirectPath
from gvcodec.gvc1d.picture import Picture, grey
from gvcodec.gvc1d.scenes import Scenes
from tests.gvc1d.models import TINY, smooth_picture


def test_cosines_are_the_orthonormal_dct() -> None:
    rows = cosines(16, 16)
    assert torch.allclose(rows @ rows.T, torch.eye(16), atol=1e-5)
    n = np.arange(16)
    assert np.allclose(rows[3], np.sqrt(2 / 16) * np.cos(np.pi * 3 * (2 * n + 1) / 32), atol=1e-6)


def test_lowest_frequencies_come_first_and_only_beyond_a_radius() -> None:
    assert lowest(4) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert lowest(2, above=1.0) == [(1, 1), (0, 2)]


@pytest.mark.parametrize("tokens", [8, 16, 32, 64])
def test_regions_are_a_pyramid(tokens: int) -> None:
    regions = token_regions(replace(SMALL, tokens=tokens))
    rows, columns = region_grid(tokens)
    assert regions.shape == (tokens, 256) and rows * columns == tokens // 2
    assert regions[0].all() and regions[tokens // 2 - 1].all()
    # The second half tiles the window.
    assert (regions[tokens // 2 :].sum(0) == 1).all()


def test_a_low_pattern_comes_back_through_one_integer() -> None:
    path, none = DirectPath(TINY), grey(1, 64, 64, torch.zeros(1))
    latent = torch.zeros(1, 1, TINY.tokens, TINY.channels)
    latent[0, 0, 0, 1] = 400.0
    made = path.synthesise(latent, none)
    assert made.y.abs().max() > 0.01 and made.uv.abs().max() == 0
    half = TINY.tokens // 2  # patterns of regions are not at right angles to those of the window
    assert torch.allclose(path.analyse(made, none)[:, :, :half], latent[:, :, :half], atol=0.5)


def test_prefixes_of_tokens_come_nearer_and_nearer() -> None:
    path, none = DirectPath(SMALL), grey(1, 256, 512, torch.zeros(1))
    source = smooth_picture(256, 512, seed=3)
    found = path.analyse(source - none, none)
    errors: list[float] = []
    for count in (0, 1, 4, 16, 32):
        kept = found * (torch.arange(32) < count)[:, None]
        made = none + path.synthesise(kept, none)
        errors.append(float((made.y - source.y).square().mean().detach()))
    assert all(a > b for a, b in pairwise(errors)) and errors[-1] < 0.05 * errors[0]


def test_gains_strengthen_what_the_context_blurred() -> None:
    torch.manual_seed(0)
    path = DirectPath(TINY)
    detail = 0.1 * torch.randn(1, 1, 64, 64)
    sharp = Picture(0.5 + detail, torch.full((1, 2, 32, 32), 0.5))
    dull = Picture(0.5 + 0.6 * detail, sharp.uv)
    found = path.analyse(sharp - dull, dull)
    only = torch.zeros_like(found)
    only[:, :, TINY.tokens // 2 :, -GAINS:] = found[:, :, TINY.tokens // 2 :, -GAINS:]
    made = dull + path.synthesise(only, dull)
    before, after = ((p.y - sharp.y).square().mean() for p in (dull, made))
    assert after < 0.3 * before


def test_phases_sharpen_what_stays() -> None:
    config = replace(SMALL, phases=4)
    path, made = DirectPath(config), grey(1, 256, 256, torch.zeros(1))
    source = smooth_picture(256, 256, seed=5)
    source.y.add_(0.1 * torch.randn(256, 256, generator=torch.Generator().manual_seed(0)))
    errors: list[float] = []
    for phase in range(config.phases):
        made = made + path.synthesise(path.analyse(source - made, made, phase), made, phase)
        errors.append(float((made.y - source.y).square().mean().detach()))
    assert all(a > b for a, b in pairwise(errors))


def test_patterns_of_phases_are_at_right_angles() -> None:
    patterns = DirectPath(replace(SMALL, phases=3)).patterns.flatten(0, 1).flatten(1)
    assert torch.allclose(patterns @ patterns.T, torch.eye(len(patterns)), atol=1e-4)


def test_a_gate_holds_back_what_a_base_has_coded() -> None:
    path, none = DirectPath(TINY), grey(1, 64, 64, torch.zeros(1))
    source = smooth_picture(64, 64)
    free, held = (path.analyse(source - none, none, 0, base) for base in (False, True))
    assert torch.allclose(held, 0.5 * free)


@pytest.mark.parametrize("tokens", [8, 16, 32])
def test_scenes_hold_the_picture_and_the_one_before_it(tokens: int) -> None:
    path = Scenes(replace(SMALL, tokens=tokens))
    first, second = (smooth_picture(256, 512, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        scenes = path.fresh(1, 2)
        for picture in (first, first, second, second):
            scenes = path.update(scenes, picture)
        for a, b, other in zip(path.recall(scenes, 2), first, second, strict=True):
            assert (a - b).abs().mean() < 0.02 < (a - other).abs().mean()
        scenes = path.update(scenes, first)
        for a, b in zip(path.recall(scenes, 2), second, strict=True):
            assert (a - b).abs().mean() < 0.02


def test_it_is_asked_for_where_it_helps() -> None:
    """A thing that hid the left half has gone: only there the memory is worth its integer."""
    path = Scenes(TINY)
    back, thing = smooth_picture(64, 64, seed=1), smooth_picture(64, 64, seed=2)
    columns = torch.arange(64) < 32
    y = torch.where(columns, thing.y, back.y)
    uv = torch.where(columns[::2], thing.uv, back.uv)
    guess, change = Picture(y, uv), back - Picture(y, uv)
    asked = path.ask(back - guess, change, torch.full((1, 1, 4), 48.0))  # [1, 1, 4]: 2 × 2 regions
    assert asked.tolist() == [[[2, 0, 2, 0]]]
    made = guess + path.blend(asked, change)
    assert (made.y - back.y)[..., :16].abs().max() < 1e-6
    assert torch.equal(path.blend(0 * asked, change).y, torch.zeros_like(y))


def test_a_small_difference_moves_only_the_scene_in_use() -> None:
    path = Scenes(TINY)
    first, second = (smooth_picture(64, 64, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        scenes = path.fresh(1, 1)
        for picture in (first, second):
            scenes = path.update(scenes, picture)
        before = path.recall(scenes, 1)
        for _ in range(50):
            second = Picture(second.y + 0.002 * torch.rand(1), second.uv)
            scenes = path.update(scenes, second)
        after = path.recall(scenes, 1)
    assert (before.y - after.y).abs().max() < 0.5 / 255
