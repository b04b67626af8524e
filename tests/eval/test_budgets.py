"""The evaluation of budgets: the oracle is the best of all, arms give what they are named for."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from eval import budgets
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.frame_coder import RATE_STEPS, Frame, FrameCoder
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import GVC1D_MINI
from tests.clips import make_clip
from tests.gvc1d.models import WIDE, write_network


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
    """Windows decoded by a network of random weights, with two tokens a run."""
    model = write_network(tmp_path / "w.safetensors", replace(WIDE, tokens=64))
    frames = make_clip(*budgets.SIZE, 2)
    rows = {row["budgets"]: row for row in budgets.window_rows(frames, 12, model)}
    assert set(rows) == {"uniform", "elbo", "uniqueness", "rd", "shuffled", "oracle"}
    most = float(rows["oracle"]["PSNR-Y"])
    assert all(float(row["PSNR-Y"]) <= most + 1e-9 for row in rows.values())
    assert all(float(row["bpp"].split()[0]) <= 12 for row in rows.values())
    assert rows["uniform"]["bpp"] == "12.00 tokens"


def test_errors_are_those_of_frame_packets(monkeypatch) -> None:
    """Distortion as `--alloc` of base gvc1d measures it, for all tokens and a prefix."""
    monkeypatch.setattr(budgets, "SIZE", (128, 64))
    tokenizer, planes = Tokenizer(GVC1D_MINI.find()), make_clip(128, 64, 1)[0]
    values, rate = tokenizer.encode([planes]).values, round(tokenizer.rate * RATE_STEPS)
    for count in (tokenizer.config.tokens, 3):
        luma, distortion = budgets.errors_of(tokenizer, values, [planes], count)
        coder = FrameCoder(tokenizer.config, tokenizer.weights, ops_exact, (128, 64))
        sent = (np.arange(tokenizer.config.tokens) < count)[:, None]
        lengths = np.full(2, count, np.int32)
        frame = Frame(rate, lengths, values[0].astype(np.int32) * sent)
        estimate = coder.estimate(frame, coder.analyse(planes, rate))
        assert distortion[0] == pytest.approx(estimate.distortion, rel=0.01)
        _, shown = coder.encode(frame)
        missed = np.square((shown[0].astype(float) - planes[0]) / 1020)
        expected = [missed[:, :64].mean(), missed[:, 64:].mean()]
        assert luma[0] == pytest.approx(expected, rel=0.02)
