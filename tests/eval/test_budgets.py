"""The evaluation of budgets: the oracle is the best of all, arms give what they are named for."""

import itertools

import numpy as np
import pytest

from eval import budgets
from gvcodec.gvc1d.config import TokenizerConfig, Transformer
from gvcodec.gvc1d.tokenizer import save_model
from tests.clips import make_clip
from tests.gvc1d.models import make_model


@pytest.mark.parametrize("total", [0, 1, 5, 9, 12])
def test_the_oracle_is_the_best_of_all_combinations(total: int) -> None:
    errors = np.random.default_rng(total).uniform(size=(2, 2, 4))
    errors.sort(-1)
    errors = errors[..., ::-1].copy()
    counts = budgets.best_counts(errors, total)
    assert counts.sum() <= total
    flat = errors.reshape(4, 4)
    choices = (c for c in itertools.product(range(4), repeat=4) if sum(c) <= total)
    best = min(sum(flat[i, n] for i, n in enumerate(choice)) for choice in choices)
    assert sum(flat[i, n] for i, n in enumerate(counts.ravel())) == pytest.approx(best)


def test_no_arm_beats_the_oracle_at_equal_tokens(tmp_path) -> None:
    """Windows decoded by a network of random weights, whose direct path knows pictures."""
    sizes = Transformer(32, 2, 1, 1)
    save_model(
        make_model(TokenizerConfig(sizes, sizes, head_width=8, head_blocks=1)), tmp_path / "m"
    )
    frames = make_clip(*budgets.SIZE, 2)
    rows = {row["budgets"]: row for row in budgets.window_rows(frames, 6, str(tmp_path / "m"))}
    assert {"uniform", "elbo", "uniqueness", "uniqueness of keys", "oracle"} <= set(rows)
    most = float(rows["oracle"]["PSNR-Y"])
    assert all(float(row["PSNR-Y"]) <= most + 1e-9 for row in rows.values())
    assert all(float(row["bpp"].split()[0]) <= 6 for row in rows.values())
    assert rows["uniform"]["bpp"] == "6.00 tokens"
