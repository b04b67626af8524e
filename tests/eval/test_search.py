"""The scripts that measure search and condensed sets, on small things whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from eval.condense import move
from eval.search import Asked, answer, by_network, interval, join, measure
from gvcodec.retrieval.compressor import DIM, LAYERS, TOKENS, LpComp, count_after
from gvcodec.retrieval.ranker import Ranker
from gvcodec.training.loop import Loop, Schedule
from gvcodec.training.summary import (
    STRIDE,
    Clip,
    Summaries,
    Variant,
    answers,
    begin,
    split,
    summed_up,
)

FEATURES, FRAMES = 100, 12


def clips(count: int) -> list[Clip]:
    """Clips whose tokens go from one direction to another one; forms and questions differ by noise
    only. Every second clip is the one before it backwards."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return 0.5 * torch.randn(*shape, TOKENS, FEATURES, generator=generator)

    found = []
    for number in range(count):
        ends = torch.Generator().manual_seed(number // 2)
        first, last = 2 * torch.randn(2, FEATURES, generator=ends)
        if number % 2:
            first, last = last, first
        at = torch.arange(FRAMES * STRIDE)[:, None, None] / (FRAMES * STRIDE)
        path = first * (1 - at) + last * at
        asked_at, clips_at = torch.tensor([1, 21]), torch.tensor([2, 17])
        of_clips = path[clips_at[:, None] + 3 * torch.arange(8)]
        found.append(
            Clip(
                f"photo{number // 2}-{('there', 'back')[number % 2]}",
                f"photo{number // 2}",
                (path[::STRIDE] + noise(6, FRAMES)).half(),
                (path[asked_at] + noise(3, 2)).half(),
                asked_at,
                (of_clips + noise(2, 2, 8)).half(),
                clips_at,
            )
        )
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


def test_sources_are_not_split_and_stay_where_they_are() -> None:
    every = clips(24)
    learn, held = split(every, 1, 0.4)
    assert learn and held and not {c.source for c in learn} & {c.source for c in held}
    fewer = split(every[:12], 1, 0.4)[1]
    assert {c.name for c in fewer} == {c.name for c in held} & {c.name for c in every[:12]}


@pytest.mark.parametrize("variant", [Variant(), Variant(False), Variant(progressive=False)])
def test_vectors_have_one_length(variant: Variant) -> None:
    model = begin(clips(4), variant, 0).compressor
    with torch.inference_mode():
        vectors = model(clips(4)[0].asked.flatten(0, 1))
    assert tuple(vectors.shape) == (6, DIM)
    assert torch.allclose(vectors.norm(dim=1), torch.full((6,), 8.0), atol=1e-3)


def test_questions_find_their_clips_in_a_joined_file_and_noise_does_not() -> None:
    every = clips(16)
    method = by_network(begin(every, Variant(), 0), ranked=True)
    found = measure(every, method, 1, [20_000] * 16)
    assert found["recall@1"] == 1.0 and found["clip recall@1"] > 0.9
    assert found["order"] > 0.9 and found["share"] <= 0.01
    assert found["seconds"] < 0.3 and found["clip seconds"] < 0.3
    by_cosines = by_network(begin(every, Variant(), 0), ranked=False)
    assert measure(every, by_cosines, 1, [20_000] * 16)["order"] < 0.8
    rng = np.random.default_rng(0)
    joined = join(
        [3 * rng.normal(size=(FRAMES, DIM)).astype(np.float32)] * 16, [48] * 16, [9000] * 16
    )
    rows = [
        answer(
            Asked("frame", rng.normal(size=(1, DIM)), n, 5),
            rng.normal(size=len(joined.values)),
            joined,
            range(16),
        )
        for n in range(16)
    ]
    assert np.mean([row["recall@1"] for row in rows]) < 0.4


def test_the_ranking_in_blocks_is_that_of_the_whole_file() -> None:
    torch.manual_seed(0)
    ranker = Ranker()
    torch.nn.init.normal_(ranker.value, std=0.1)
    z, q = torch.randn(300, DIM), torch.randn(5, DIM)
    frames, offsets = 4 * torch.arange(300), torch.arange(5) * 6.0
    whole = ranker(
        q[None], offsets, z[None], frames[None].float(), frames[None].float(),
        torch.ones(1, 300, dtype=torch.bool),
    )  # fmt: skip
    assert torch.allclose(ranker.rank(q, offsets, z, frames), whole[0, 0], atol=1e-5)
    assert len(ranker.rank(q, offsets, z[:0], frames[:0])) == 0
    assert len(ranker.rank(q, offsets, z[:1], frames[:1])) == 1


def test_vectors_far_apart_are_ranked_all_the_same() -> None:
    z = torch.eye(DIM)[:4] * 8
    found = Ranker().rank(z[2:3], torch.zeros(1), z, 256 * torch.arange(4))
    assert int(found.argmax()) == 2 and float(found[2]) == pytest.approx(1, abs=1e-4)


def test_training_learns_and_repeats_itself() -> None:
    learn, held = split(clips(40), 1, 0.4)
    losses = []
    for _ in range(2):
        work = Summaries(learn, held, Variant(), 3)
        loop = Loop(work, Schedule(1e-3, 1.0, plan_steps=12, warm_up=1, check_steps=6))
        first = float(work.loss(0)[0].detach())
        loop.run(0, 12)
        losses.append([first, *(float(work.loss(0)[0].detach()) for _ in range(3))])
    assert losses[0] == losses[1] and np.mean(losses[0][1:]) < losses[0][0]
    assert summed_up(answers(loop.average, held, True))["clip recall"] > 0.5


def test_intervals() -> None:
    assert interval([0.5, 0.5, 0.5]) == "50.0 ± 0.0"
    assert interval([0.4, 0.6]).startswith("50.0 ± 127")
    assert interval([math.nan, None, 0.25]) == "25.0" and interval([]) == ""


def test_motions_are_told_by_order_alone() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    all_of_them = [move(photo, motion) for motion in range(8)]
    for one in all_of_them:
        assert np.array_equal(one[4], all_of_them[0][4])
    assert np.array_equal(all_of_them[0][5:8], all_of_them[1][3:0:-1])
    assert np.array_equal(all_of_them[0][3, :, 2:], all_of_them[0][4, :, :-2])
    assert np.array_equal(all_of_them[2][3, 2:], all_of_them[2][4, :-2])
