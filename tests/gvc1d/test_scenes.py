"""The memory's direct path: what has been seen comes back, in the network and in files."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec.gvc1d.config import SMALL
from gvcodec.gvc1d.frame_options import TokenSettings
from gvcodec.gvc1d.picture import Picture
from gvcodec.gvc1d.run import Frame
from gvcodec.gvc1d.scenes import Scenes
from gvcodec.types import Planes, VideoFormat
from tests.gvc1d.models import TINY, make_model, smooth_picture
from tests.gvc1d.tiny import code_and_show, write_model


@pytest.mark.parametrize("tokens", [8, 16, 32])
def test_scenes_hold_the_picture_and_the_one_before_it(tokens: int) -> None:
    path = Scenes(replace(SMALL, tokens=tokens))
    first, second = (smooth_picture(256, 512, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        scenes = path.fresh(1, 2)
        for picture in (first, first, second, second):
            scenes = path.update(scenes, picture)
        recalled = path.recall(scenes, 2)
        for a, b, other in zip(recalled, first, second, strict=True):
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


def test_a_shot_that_comes_back_is_known() -> None:
    model = make_model(SMALL)
    shots = [smooth_picture(256, 256, seed=seed) for seed in (1, 2)]
    runs = [Frame(shots[0], None, None)] * 3, [Frame(shots[1], None, None, True)] * 2
    frames = [
        *runs[0],
        runs[1][0],
        runs[1][1]._replace(cut=False),
        Frame(shots[0], None, None, True),
    ]
    with torch.no_grad():
        known, _ = model(frames, 4)
        fresh, _ = model(frames, 4, cut_memory=True)
    near, far = ((c[-1].picture.y - shots[0].y).square().mean() for c in (known, fresh))
    assert near < far and known[-1].bits.sum() < 0.7 * fresh[-1].bits.sum()


def test_gradients_reach_how_it_is_kept() -> None:
    path = Scenes(TINY)
    first = smooth_picture(64, 64, seed=1)
    scenes = path.fresh(1, 1)
    for number in range(4):  # a step of 18 levels is a scene by half
        scenes = path.update(scenes, Picture(first.y + number * 18 / 255, first.uv))
    path.recall(scenes, 1).y.mean().backward()
    for name, parameter in path.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs() > 0, name


FMT = VideoFormat(128, 128, Fraction(25), Fraction(1, 25))


def _planes(seed: int) -> Planes:
    rng = np.random.default_rng(seed)
    y = rng.integers(100, 900, (16, 16)).repeat(8, 0).repeat(8, 1).astype(np.uint16)
    u, v = rng.integers(400, 600, (2, 4, 4)).repeat(16, 1).repeat(16, 2).astype(np.uint16)
    return y, u, v


@pytest.mark.parametrize("alloc", ["uniform", "uniqueness"])
def test_scenes_in_a_gop(tmp_path: Path, alloc: str) -> None:
    """A scene that begins inside a GOP says so; a decoder shows what the encoder saw, and one that
    comes back has smaller tokens than it had first."""
    path = write_model(tmp_path)
    clip = [_planes(seed) for seed in (1, 1, 2, 2, 1, 1)]
    latents = code_and_show(FMT, path, TokenSettings(8, rate=1, alloc=alloc), clip)
    cuts = [latent.cut for latent in latents]
    sizes = [sum(int(np.abs(v).sum()) for v in latent.passes) for latent in latents]
    assert cuts == [False, False, True, False, True, False]
    if alloc == "uniform":
        assert sizes[4] < 0.95 * sizes[0]  # without a memory they would be the same
