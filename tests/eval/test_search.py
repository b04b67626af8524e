"""The scripts that measure search and condensed sets, on small things whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from eval.clip_sets import move
from eval.search import ask, interval, join
from gvcodec.retrieval.compressor import LAYERS, TOKENS, LpComp, count_after
from gvcodec.training.summary import STRIDE, Clip, recall, split, train

FEATURES = 100


def clips(count: int) -> list[Clip]:
    """Clips whose tokens are a direction of their own and noise; forms and questions differ by
    noise only."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, TOKENS, FEATURES, generator=generator)

    found = []
    for number in range(count):
        own = 2 * torch.randn(1, FEATURES, generator=generator)
        forms, asked = own + noise(7, 6), own + noise(3, 2)
        forms, asked, at = forms.half(), asked.half(), torch.tensor([1, 9])
        found.append(Clip(f"{number}", f"source {number // 2}", forms, asked, at))
    return found


def test_tokens_that_go_on_are_those_of_the_paper() -> None:
    assert [count_after(layer) for layer in range(1, LAYERS + 1)] == [14, 9, 3, 1]


def test_later_tokens_do_not_reach_earlier_ones() -> None:
    torch.manual_seed(0)
    model = LpComp(FEATURES).eval()
    x = torch.randn(1, TOKENS, model.project.shape[1])
    other = x.clone()
    other[:, -1] += 1
    a, b = (model.layers[0](z) for z in (x, other))
    assert torch.equal(a[:, :-1], b[:, :-1]) and not torch.equal(a[:, -1], b[:, -1])


@pytest.mark.parametrize("learned", [False, True])
def test_vectors_have_one_length(learned: bool) -> None:
    model = train(clips(4), learned, 0, 2)
    with torch.inference_mode():
        vectors = model(clips(4)[0].asked.flatten(0, 1))
    assert tuple(vectors.shape) == (6, 64)
    assert torch.allclose(vectors.norm(dim=1), torch.full((6,), 8.0), atol=1e-3)


def test_sources_are_not_split() -> None:
    every = clips(12)
    learn, held = split(every, 1, 6)
    assert len(held) == 6 and not {c.source for c in learn} & {c.source for c in held}


def test_questions_find_their_clips_in_a_joined_file_and_noise_does_not() -> None:
    every = clips(10)
    model = train(every, False, 0, 0)
    assert recall(model, every) == 1.0
    with torch.inference_mode():
        parts = [model(clip.forms[1]).numpy() for clip in every]
        asked = [model(clip.asked.flatten(0, 1)).reshape(3, 2, -1).numpy() for clip in every]
    joined = join(parts, [6 * STRIDE] * 10, [20_000] * 10)
    assert joined.spent <= 0.01 * joined.size and joined.total == 240
    at = [clip.asked_at.numpy() for clip in every]
    rows = ask(joined, asked, at)
    assert np.mean([row["recall@1"] for row in rows]) == 1.0
    assert max(row["seconds"] for row in rows) < 1
    rng = np.random.default_rng(0)
    rows = ask(joined, [rng.normal(size=(3, 2, 64)) for _ in every], at)
    assert np.mean([row["recall@1"] for row in rows]) < 0.4


def test_intervals() -> None:
    assert interval([0.5, 0.5, 0.5]) == "50.0 ± 0.0"
    assert interval([0.4, 0.6]).startswith("50.0 ± 127")
    assert interval([math.nan, 0.25]) == "25.0" and interval([]) == ""


def test_motions_are_told_by_order_alone() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    all_of_them = [move(photo, motion, 32) for motion in range(8)]
    for one in all_of_them:
        assert np.array_equal(one[4], all_of_them[0][4])
    assert np.array_equal(all_of_them[0][5:8], all_of_them[1][3:0:-1])
    assert np.array_equal(all_of_them[0][3, :, 2:], all_of_them[0][4, :, :-2])
    assert np.array_equal(all_of_them[2][3, 2:], all_of_them[2][4, :-2])
