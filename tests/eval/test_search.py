"""The scripts that measure search and condensed sets, on small things whose answers are known."""

import math

import numpy as np

from eval.clip_sets import move
from eval.search import Asked, Method, answer, interval, join, measure
from gvcodec.retrieval.compressor import DIM, Compressor
from training.summary import Clip, learn, recall, split
from training.summary_material import STRIDE

TOKENS, FEATURES, FRAMES = 16, 100, 12


def clips(count: int) -> list[Clip]:
    """Clips whose tokens drift, with noise by form; every second one is reversed."""
    rng = np.random.default_rng(0)
    changing = rng.normal(size=(10, FEATURES))

    def noise(*shape: int) -> np.ndarray:
        own = rng.normal(size=(*shape, TOKENS, FEATURES))
        return own / 2 + rng.normal(size=(*shape, 1, 10)) @ changing * 2.5

    found = []
    for number in range(count):
        first, last = np.random.default_rng(number // 2).normal(size=(2, FEATURES))
        if number % 2:
            first, last = last, first
        at = np.arange(FRAMES * STRIDE)[:, None, None] / (FRAMES * STRIDE)
        path = first * (1 - at) + last * at
        asked_at, clips_at = np.array([1, 21]), np.array([2, 17])
        of_clips = path[clips_at[:, None] + 3 * np.arange(8)]
        names = f"photo{number // 2}-{('there', 'back')[number % 2]}", f"photo{number // 2}"
        forms, asked = path[::STRIDE] + noise(6, FRAMES), path[asked_at] + noise(3, 2)
        found.append(Clip(*names, forms, asked, asked_at, of_clips + noise(2, 2, 8), clips_at))
    return found


def test_sources_are_not_split_and_stay_where_they_are() -> None:
    every = clips(24)
    apart, held = split(every, 1, 0.4)
    assert apart and held and not {c.source for c in apart} & {c.source for c in held}
    fewer = split(every[:12], 1, 0.4)[1]
    assert {c.name for c in fewer} == {c.name for c in held} & {c.name for c in every[:12]}


def test_discriminants_see_past_what_changes_between_forms() -> None:
    apart, held = split(clips(80), 1, 0.4)
    found = [recall(Compressor(learn(apart, way)), held) for way in (True, False)]
    assert found[0] > found[1] + 0.1


def test_questions_find_their_clips_in_a_joined_file_and_noise_does_not() -> None:
    apart, held = split(clips(80), 1, 0.4)
    compress = Compressor(learn(apart))
    sizes = [20_000] * len(held)
    found = measure(held, Method(compress), 1, sizes)
    assert found["recall@1"] > 0.9 and found["order"] > 0.7 and found["share"] <= 0.01
    assert found["seconds"] < 0.4 and found["clip seconds"] < 0.4
    assert measure(held, Method(compress, in_order=False), 1, sizes)["order"] < 0.65
    rng = np.random.default_rng(0)
    joined = join([3 * rng.normal(size=(FRAMES, DIM))] * 16, [48] * 16, [9000] * 16)
    asked = (Asked("frame", rng.normal(size=(1, DIM)), n, 5) for n in range(16))
    rows = [answer(one, rng.normal(size=len(joined.values)), joined, range(16)) for one in asked]
    assert np.mean([row["recall@1"] for row in rows]) < 0.4


def test_intervals() -> None:
    assert interval([0.5, 0.5, 0.5]) == "50.0 ± 0.0"
    assert interval([0.4, 0.6]).startswith("50.0 ± 127")
    assert interval([math.nan, None, 0.25]) == "25.0 (1)" and interval([]) == ""


def test_motions_differ_by_order_alone() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    all_of_them = [move(photo, motion, 32) for motion in range(8)]
    for one in all_of_them:
        assert np.array_equal(one[4], all_of_them[0][4])
    assert np.array_equal(all_of_them[0][5:8], all_of_them[1][3:0:-1])
    assert np.array_equal(all_of_them[0][3, :, 2:], all_of_them[0][4, :, :-2])
    assert np.array_equal(all_of_them[2][3, 2:], all_of_them[2][4, :-2])
