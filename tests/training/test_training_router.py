"""Training of InfoTok's router: what it sees, that it learns, that NumPy agrees with torch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gvcodec.gvc1d.allocation.router import BASE_RATES, Router
from gvcodec.gvc1d.checkpoint import save_model
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.util.models import save_weights
from tests.clips import make_clip
from tests.gvc1d.models import TINY, make_model
from training import router


def windows(count: int = 600, width: int = 6) -> router.Windows:
    """log(-ELBO) that follows from the features, and a little noise."""
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(count, 2 * width + 1)).astype(np.float32)
    seen[:, -1] = rng.choice(BASE_RATES, count)
    wanted = 6 + np.abs(seen[:, 0]) + 0.5 * seen[:, 3] - seen[:, -1] + 0.1 * rng.normal(size=count)
    held = np.arange(count) % 4 == 0
    parts = (seen, wanted.astype(np.float32), held)
    return router.Windows(*map(torch.from_numpy, parts))


def test_router_learns_and_needs_its_features(tmp_path) -> None:
    made = windows()
    head = router.train(made)
    assert router.explained(head, made) > 0.9
    assert -1.5 < router.explained(head, made, "zeroed") < 0.3
    assert router.explained(head, made, "shuffled") < 0.3
    weights = {name: torch.from_numpy(value) for name, value in head.weights().items()}
    save_weights(weights, tmp_path / "router.safetensors")
    read = Router.read(tmp_path / "router.safetensors")
    features = np.random.default_rng(1).normal(size=(5, 8, 6)).astype(np.float32)
    seen = torch.from_numpy(np.stack([router.pool(f, 0.5) for f in features]))
    with torch.no_grad():
        expected = head(seen).exp().numpy()
    assert read.predict(features, 0.5) == pytest.approx(expected, rel=0.02)


def test_a_survey_measures_every_base_rate(tmp_path) -> None:
    torch.manual_seed(0)
    save_model(make_model(), tmp_path / "tiny.safetensors")
    tokenizer = Tokenizer(tmp_path / "tiny.safetensors")
    seen, found = router.survey(tokenizer, make_clip(120, 70, 1)[0])
    rates, count = len(BASE_RATES), 4  # 2 × 2 windows of 64
    assert seen.shape == (rates, count, 2 * TINY.encoder.width + 1)
    assert found.shape == (2, rates, count) and (found >= 0).all()
    assert seen[:, 0, -1].tolist() == list(BASE_RATES)
    values = tokenizer.encode([make_clip(120, 70, 1)[0]]).values
    assert (values != 0).any()
    assert found[0, 0].sum() >= found[0, -1].sum()
    shown = tokenizer.decode(values, 120, 70)[0][0, 0].numpy()[:70, :120]
    missed = np.abs(shown - make_clip(120, 70, 1)[0][0] / 1020.0)
    everything = router._errors(tokenizer, values, make_clip(120, 70, 1)[0])
    assert everything[0, 3] == pytest.approx(missed[64:, 64:].sum(), rel=1e-4)


def test_clips_of_a_source_are_held_out_together() -> None:
    names = [f"source{i}-{part}" for i in range(30) for part in ("a", "b")]
    found = [router.held_out(name) for name in names]
    assert found[::2] == found[1::2] and 0 < sum(found) < len(found)
