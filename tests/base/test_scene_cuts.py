"""Where scenes begin: standard base layers get a keyframe there."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gvcodec.base.standard.codec import StandardEncoder
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.scene_cuts import CutFinder, _reduce
from tests.clips import make_clip


def found(clip: list[Planes]) -> list[int]:
    height, width = clip[0][0].shape
    finder = CutFinder(width, height)
    return [number for number, planes in enumerate(clip) if finder.begins(planes[0])]


@pytest.mark.parametrize("size", [(208, 160), (720, 560), (16, 16), (8, 40)])
def test_cuts_are_found_and_nothing_else(size: tuple[int, int]) -> None:
    clip = make_clip(*size, 12, seed=3, cut=7)
    assert found(clip) == ([0, 7] if min(size) >= 16 else [0])
    assert found(make_clip(*size, 12, seed=3)) == [0]


@pytest.mark.parametrize("factor", [2, 4, 64, 65])
def test_reduced_samples_are_means_rounded_down(factor: int) -> None:
    luma = np.full((2 * factor + 1, 3 * factor), 1023, np.uint16)
    luma[factor:, ::3] = np.arange(factor, dtype=np.uint16)
    means = luma[: 2 * factor].reshape(2, factor, 3, factor).mean((1, 3))
    assert np.array_equal(_reduce(luma, factor), np.floor(means))


def test_noise_and_rest_are_no_cuts() -> None:
    rng = np.random.default_rng(1)
    still = make_clip(208, 160, 1, seed=2) * 6
    assert found(still) == [0]
    grained = [
        (np.clip(y + rng.normal(0, 8, y.shape), 0, 1023).astype(np.uint16), u, v)
        for y, u, v in make_clip(208, 160, 6)
    ]
    assert found(grained) == [0]
    black = [tuple(np.full_like(plane, 64) for plane in still[0])] * 6
    assert found(black) == [0]  # type: ignore[arg-type]


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_a_scene_begins_with_a_keyframe(base: str) -> None:
    clip = [
        *make_clip(208, 160, 15, seed=3),
        *make_clip(208, 160, 6, seed=4),
        *make_clip(208, 160, 14, seed=5),
    ]
    fmt = VideoFormat(208, 160, Fraction(25), Fraction(1, 25))

    def keys(keyint: int) -> list[int]:
        encoder = StandardEncoder(fmt, base, 50, keyint, threads=1, preset=4)
        coded = [*(encoder.send(planes) for planes in clip), encoder.flush()]
        return [
            n for n, packet in enumerate(p for c in coded for p in c.packets) if packet.keyframe
        ]

    assert keys(100) == [0, 15], "six frames later there is none yet"
    assert keys(18) == [0, 15, 33], "the distance counts from the last one"
    assert keys(0) == [0]
