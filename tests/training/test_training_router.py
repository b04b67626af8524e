"""Training of the router and of the guide network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec import perceptual
from gvcodec.allocation.router import BASE_RATES, Router
from gvcodec.errors import UsageError
from gvcodec.gvc1d.tokenizer import Tokenizer, save_model
from gvcodec.models import GUIDE, save_weights
from gvcodec.perceptual.vgg import PerceptualLoss
from tests.clips import make_clip
from tests.gvc1d.models import TINY, make_model
from training import perceptual_layers, router
from training.alarms import Alarm
from training.perceptual import agreement, refine
from training.perceptual_layers import fit_layers
from training.perceptual_pairs import GRADIENT_UNIT, Pairs, judge_pair


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
    assert router.explained(head, held) > 0.9 and router.explained(head, held, "zeroed") < 0.5
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
    assert (values != 0).any() and found[0, 0].sum() >= found[0, -1].sum()
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


WIDTHS = (6, 8, 10, 10, 8)


def network(widths=WIDTHS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights, below = {}, 3
    for stage, (part, width) in enumerate(zip(perceptual._VGG, widths, strict=True)):
        for index, _, _ in part:
            noise = torch.randn(width, below, 3, 3, generator=generator)
            weights[f"features.{index}.weight"] = (2 / (9 * below)) ** 0.5 * noise
            weights[f"features.{index}.bias"] = 0.1 * torch.randn(width, generator=generator)
            below = width
        weights[f"lin{stage}.weight"] = torch.rand(1, width, 1, 1, generator=generator)
    for name in ("alpha", "beta"):
        weights[name] = torch.rand(1, 3 + sum(widths), 1, 1, generator=generator)
    return weights


def pairs(teacher, count=16, side=48, seed=1):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, side + 2, side + 2, generator=generator)
    source = torch.nn.functional.avg_pool2d(noise, 3, 1)
    painted = torch.nn.functional.avg_pool2d(source, 3, 1, 1, count_include_pad=False)
    painted = (painted + 0.05 * torch.randn(source.shape, generator=generator)).clamp(0, 1)
    source, painted = source.half().float(), painted.half().float()
    loss = PerceptualLoss(integer=False, weights=teacher)
    parts_of = lambda part: lambda one, other: part * loss(one, loss.reference(other))[0]
    distances, gradients = judge_pair([parts_of(0.75), parts_of(0.25)], painted, source)
    parts = painted, source, distances, gradients / GRADIENT_UNIT
    return Pairs(*(x.detach().half() for x in parts))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(perceptual_layers, "_POLISH", 20)


def test_a_student_as_wide_as_its_teacher_becomes_it():
    teacher = network()
    found = agreement(fit_layers(teacher, pairs(teacher), WIDTHS), pairs(teacher, 8, seed=2))
    assert min(found[f"{name}_pixels"] for name in ("vgg", "alex", "both")) > 0.97
    assert found["both_gains8"] > 0.97 and found["both_rank"] > 0.9
    assert found["ratio"] == pytest.approx(1, abs=0.05)


def test_a_narrow_student_learns_from_gradients(tmp_path):
    teacher = network()
    material, held = pairs(teacher), pairs(teacher, 8, seed=2)
    # The closed form leaves too little to learn from few pictures.
    start = network((4, 5, 6, 6, 2), seed=5)
    end, steps = refine(start, material, 1, rate=0.04, steps=80, held=held, out=tmp_path, fitted=24)
    card = json.loads((tmp_path / GUIDE.name).with_suffix(".json").read_text())
    assert card["steps"] == 80 and card["fitted"] == 24 and card["curve"][0]["both_pixels"] < 1
    before, after = agreement(start, held), agreement(end, held)
    assert steps == 80 and after["both_pixels"] > before["both_pixels"] + 0.05
    assert after["both_gains8"] > before["both_gains8"] + 0.2
    assert torch.equal(end["alpha"], start["alpha"])
    # Its file serves as VGG's does, and another does not.
    (tmp_path / "other.safetensors").write_bytes(b"not one")
    with pytest.raises(perceptual.MissingWeightsError, match="other"):
        perceptual.read_weights(tmp_path / "other.safetensors")
    save_weights(end, tmp_path / "small.safetensors")
    weights = perceptual.read_weights(tmp_path / "small.safetensors")
    exact = PerceptualLoss(integer=False, weights=weights)
    painted, source, _, _ = held.take([0, 1])
    assert float(torch.stack(exact(painted, exact.reference(source))).min()) > 0
    nothing = torch.stack(exact(source, exact.reference(source)))
    assert torch.allclose(nothing, torch.zeros(2, 2), atol=1e-5)


def test_pivots_leave_out_what_others_tell():
    a, b, c = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)).T
    columns = torch.stack([a, 0.9 * a, 3 * b, c, a + b], 1)
    chosen = perceptual_layers.pivots(torch.cov(columns.T), 3)
    assert chosen[0] == 2 and len({0, 1, 4} & set(chosen)) == 1 and 3 in chosen
