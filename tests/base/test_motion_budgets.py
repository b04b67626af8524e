"""Budgets of motion nodes: how deep windows are searched, by the formulas of the papers."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from gvcodec._core import TREE_LEVELS, MotionFrame, tree_errors, tree_search
from gvcodec.base.motion.budgets import FUSED, Budgets, levels_of
from gvcodec.base.motion.decoder import MotionDecoder
from gvcodec.base.motion.encoder import MotionEncoder
from gvcodec.base.motion.payload import MotionStatistics
from gvcodec.base.motion.pictures import Shown
from gvcodec.models import MOTION
from gvcodec.types import Planes, VideoFormat
from tests.clips import make_clip

WINDOWS = 3
FORMAT = VideoFormat(600, 64, Fraction(25), Fraction(1, 25))


def pictures() -> tuple[Planes, Planes]:
    """Two frames of three windows: the first is the same in both, the second moves, the third is
    new in one corner."""
    rng = np.random.default_rng(3)
    now = rng.integers(100, 900, (16, 150)).repeat(4, 0).repeat(4, 1).astype(np.uint16)
    before = now.copy()
    before[:, 256:512] = np.roll(now, 6, 1)[:, 256:512]
    before[:16, 580:] = 1000
    grey = np.full((32, 300), 512, np.uint16)
    return (now, grey, grey), (before, grey, grey)


def test_levels_hold_no_more_nodes_than_the_budget() -> None:
    nodes = np.arange(32)
    levels = levels_of(nodes)
    for n, level in zip(nodes, levels, strict=True):
        assert 2**level - 1 <= n < 2 ** (level + 1) - 1


def test_elbo_budgets_are_the_formula() -> None:
    now, before = (MotionFrame.still(*planes) for planes in pictures())
    missed = np.array([0, 1000, 10**9])
    near = Shown(before, MotionStatistics.empty(WINDOWS), missed)
    budgets, price = Budgets("elbo", 123.0), 123.0
    mean = None
    for _ in range(3):
        copied = tree_errors(now, before)
        elbo = [max(0, c - m) / price for c, m in zip(copied, missed, strict=True)]
        new = sum(elbo) / WINDOWS
        mean = new if mean is None else 0.95 * mean + 0.05 * new
        nodes = [round(min(31, max(0, 31 * e / mean))) for e in elbo]
        expected = [int(np.log2(n + 1)) for n in nodes]
        assert budgets.levels(now, near, copied).tolist() == expected
        missed = missed // 2
        near = dataclasses.replace(near, missed=missed)
    assert expected[0] == 0 and expected[1] == TREE_LEVELS


def test_windows_like_their_reference_are_fused() -> None:
    now, before = (MotionFrame.still(*planes) for planes in pictures())
    near = Shown(before, MotionStatistics.empty(WINDOWS))
    copied = tree_errors(now, before)
    assert FUSED < 0.01
    found = Budgets("uniqueness", 1.0).levels(now, near, copied).tolist()
    assert found[0] == 0 and found[1] == TREE_LEVELS
    assert Budgets("uniform", 1.0).levels(now, near, copied).tolist() == [TREE_LEVELS] * WINDOWS
    both = Budgets("both", 1.0).levels(now, near, copied)
    elbo = Budgets("elbo", 1.0).levels(now, near, copied)
    assert both.tolist() == np.minimum(found, elbo).tolist()


def test_search_leaves_out_what_has_no_budget_and_changes_nothing_else() -> None:
    now, before = pictures()
    source, near = MotionFrame.still(*now), MotionFrame.still(*before)
    far = MotionFrame.still(*now, 1)
    full = np.full(WINDOWS, TREE_LEVELS, np.uint8)
    whole = tree_search(source, near, far, -1, 2, 300, full)
    some = tree_search(source, near, far, -1, 2, 300, np.array([0, 5, 3], np.uint8))
    for all_windows, found in zip(whole, some, strict=True):
        assert np.array_equal(all_windows[1], found[1]) and not found[0].any()
    assert some[1].max() == whole[1][1] == TREE_LEVELS and some[1][2] <= 3
    alone = tree_search(source, near, None, -1, 0, 300, full - 1)
    without = tree_search(source, near, far, -1, 2, 300, full - 1)
    assert all(np.array_equal(a, b) for a, b in zip(alone, without, strict=True))
    assert not any(x.any() for x in tree_search(source, near, far, -1, 2, 300, full * 0))


@pytest.mark.parametrize("alloc", ["", "uniform", "uniqueness", "elbo", "both", "rd"])
def test_every_budget_makes_a_stream_that_decodes(alloc: str) -> None:
    clip = make_clip(FORMAT.width, FORMAT.height, 6)
    encoder = MotionEncoder(FORMAT, 50, threads=1, ahead=0, alloc=alloc)
    parts = [*(encoder.send(planes) for planes in clip), encoder.flush()]
    decoder = MotionDecoder(FORMAT, 1, MOTION.find())
    shown = [
        planes
        for part in parts
        for packet in part.packets
        for planes in decoder.send(packet.payload, packet.keyframe)
    ] + decoder.flush()
    coded = [planes for part in parts for planes in part.base_frames]
    assert len(shown) == 6
    for one, other in zip(coded, shown, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
