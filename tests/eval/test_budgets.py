"""The evaluation of budgets: the oracle is the best of all, arms give what they are named for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("av")

from eval import budgets
from gvcodec.base.motion.budgets import Budgets


@pytest.mark.parametrize("total", [0, 1, 5, 9, 12])
def test_the_oracle_is_the_best_of_all_combinations(total: int) -> None:
    errors = np.random.default_rng(total).uniform(size=(2, 2, 4))
    errors.sort(-1)
    errors = errors[..., ::-1].copy()
    counts = budgets.best_counts(errors, total)
    assert counts.sum() <= total
    flat = errors.reshape(4, 4)
    best = min(
        sum(flat[i, n] for i, n in enumerate(combination))
        for combination in itertools.product(range(4), repeat=4)
        if sum(combination) <= total
    )
    found = sum(flat[i, n] for i, n in enumerate(counts.ravel()))
    assert found == pytest.approx(best)


def test_shuffled_budgets_are_the_same_at_other_places(monkeypatch) -> None:
    given = np.arange(6, dtype=np.uint8) % 6
    monkeypatch.setattr(Budgets, "levels", lambda *_: given)
    found = {}
    for arm in ("elbo", "shuffled", "half"):
        seen = budgets.Seen([])
        with budgets.ARMS[arm](seen):
            from gvcodec.base.motion import encoder

            found[arm] = encoder.Budgets("", 1.0).levels()
        assert seen.nodes[0].tolist() == [2**level - 1 for level in found[arm].tolist()]
    assert found["elbo"].tolist() == given.tolist() != found["shuffled"].tolist()
    assert sorted(found["shuffled"].tolist()) == given.tolist()
    assert found["half"].tolist() == [0, 1, 2, 3, 4, 4]


def test_means_of_blocks() -> None:
    plane = np.arange(24, dtype=np.uint16).reshape(4, 6)
    assert budgets._means(plane, 2).tolist() == [[4, 6, 8], [16, 18, 20]]
