"""Training of InfoTok's router: what it sees, that it learns, that NumPy agrees with torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gvcodec.allocation.router import BASE_RATES, Router
from gvcodec.errors import UsageError
from gvcodec.gvc1d.checkpoint import save_model
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import save_weights
from tests.clips import make_clip
from tests.gvc1d.models import TINY, make_model
from training import router
from training.alarms import Alarm


def material(tokens: int = 8, learn: int = 400, bend: float = 0.5) -> router.Material:
    """log(-ELBO) that follows from the tokens, in part along a bend, and a little noise."""
    rng = np.random.default_rng(0)
    parts = []
    for count in (learn, 150, 150):
        seen = rng.gamma(1.0, 1.0, (count, tokens + 1)).astype(np.float32)
        seen[:, -1] = rng.choice(BASE_RATES, count)
        bent = bend * np.maximum(seen[:, 0] - 1, 0)
        wanted = 6 + bent + 0.5 * seen[:, 3] - seen[:, -1] + 0.1 * rng.normal(size=count)
        parts.append(router.Windows(torch.from_numpy(seen), torch.from_numpy(wanted).float()))
    return router.Material(*parts)


def test_router_learns_and_needs_its_tokens(tmp_path) -> None:
    made = material()
    head = router.train(made)
    held = made.held_out
    assert router.explained(head, held) > 0.9
    assert router.explained(head, held, "zeroed") < 0.5
    assert router.explained(head, held, "shuffled") < 0.3
    save_weights(head.weights(), tmp_path / "router.safetensors")
    read = Router.read(tmp_path / "router.safetensors")
    values = np.random.default_rng(1).integers(-5, 6, (5, 8, 6))
    seen = torch.from_numpy(router.magnitudes(values, 0.5))
    with torch.no_grad():
        expected = head(seen).exp().numpy()
    assert read.predict(values, 0.5) == pytest.approx(expected, rel=0.02)


def test_it_begins_as_the_ridge_regression_and_is_never_worse_where_it_decides() -> None:
    made = material(bend=0.0)
    ridge = router.Head(made.learn, 0.01)
    seen = made.learn.seen.double().numpy()
    z = (seen - seen.mean(0)) / seen.std(0, ddof=1)
    wanted = made.learn.wanted.double().numpy()
    normal = z.T @ z / len(z) + 0.01 * np.eye(z.shape[1])
    weights = np.linalg.solve(normal, z.T @ (wanted - wanted.mean()) / len(z))
    with torch.no_grad():
        found = ridge(made.learn.seen).numpy()
    assert found == pytest.approx(z @ weights + wanted.mean(), rel=1e-4)
    few = material(learn=20)
    begin, trained = router.fit_ridge(few), router.train(few)
    assert router.explained(trained, few.validate) >= router.explained(begin, few.validate)


def test_a_survey_measures_every_base_rate(tmp_path) -> None:
    torch.manual_seed(0)
    save_model(make_model(), tmp_path / "tiny.safetensors")
    tokenizer = Tokenizer(tmp_path / "tiny.safetensors")
    seen, found = router.survey(tokenizer, make_clip(120, 70, 1)[0], BASE_RATES)
    rates, count = len(BASE_RATES), 4  # 2 × 2 windows of 64
    assert seen.shape == (rates, count, TINY.tokens + 1)
    assert found.shape == (2, rates, count) and (found >= 0).all()
    assert seen[:, 0, -1].tolist() == list(BASE_RATES)
    values = tokenizer.encode([make_clip(120, 70, 1)[0]]).values
    assert (values != 0).any()
    assert found[0, 0].sum() >= found[0, -1].sum()
    shown = tokenizer.decode(values, 120, 70)[0][0, 0].numpy()[:70, :120]
    missed = np.abs(shown - make_clip(120, 70, 1)[0][0] / 1020.0)
    everything = router._errors(tokenizer, values, make_clip(120, 70, 1)[0])
    assert everything[0, 3] == pytest.approx(missed[64:, 64:].sum(), rel=1e-4)


def test_clips_of_a_source_stay_together() -> None:
    names = [f"source{i}-{part}.mp4" for i in range(60) for part in ("a", "b")]
    found = [router.group_of(Path(name)) for name in names]
    assert found[::2] == found[1::2] and set(found) == {0, 1, 2}


def test_the_program_runs_on_videos_and_photos_and_its_alarm_goes_off(tmp_path) -> None:
    """Random weights tell little: weights are written or the alarm says why, never a traceback."""
    from PIL import Image

    torch.manual_seed(0)
    save_model(make_model(), tmp_path / "tiny.safetensors")
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        picture = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8).repeat(24, 0).repeat(24, 1)
        Image.fromarray(picture // (1 + i % 5)).save(folder / f"source{i}-x.png")
    (folder / "source3-damaged.png").write_bytes(b"no picture")
    words = [str(folder), "--out", str(tmp_path / "out")]
    words += ["--model", str(tmp_path / "tiny.safetensors")]
    try:
        router.main(words)
    except Alarm as alarm:
        assert "held-out windows" in str(alarm)
    else:
        card = json.loads((tmp_path / "out" / "router.json").read_text())
        assert card["explained"] >= 0.2 and set(card["windows"]) == set(router.Material._fields)
        Router.read(tmp_path / "out" / "router.safetensors")
    only = tmp_path / "one"
    only.mkdir()
    (folder / "source1-x.png").rename(only / "source1-x.png")
    with pytest.raises(UsageError, match="too few clips"):
        router.main([str(only), *words[1:]])
