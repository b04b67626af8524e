"""Training of the router and of the guide network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conformance.network_inputs import save_tiny
from gvcodec import perceptual
from gvcodec.allocation.router import Router, differences
from gvcodec.errors import UsageError
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.frame_coder import DISTORTION_UNIT, RANGE, RATE_STEPS, FrameCoder, lambda_of
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.gvc1d.weights import read_network
from gvcodec.models import GUIDE, GVC1D, GVC1D_MINI, ROUTER, model_id, save_weights
from gvcodec.perceptual.vgg import PerceptualLoss
from tests.clips import make_clip, write_clip
from tests.gvc1d.models import WIDE, write_network
from training import perceptual_layers, router, world
from training.alarms import Alarm
from training.perceptual import agreement, refine
from training.perceptual_layers import fit_layers
from training.perceptual_pairs import GRADIENT_UNIT, Pairs, judge_pair


def material(channels: int = 6, learn: int = 400, bend: float = 0.5) -> router.Material:
    """log L that follows from the tokens, in part along a bend, and a little noise."""
    rng = np.random.default_rng(0)
    parts = []
    for count in (learn, 150, 150):
        seen = rng.gamma(1.0, 1.0, (count, channels + 1)).astype(np.float32)
        seen[:, -1] = rng.choice([0.25, 0.5, 0.75, 1.0], count)
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
    seen = torch.from_numpy(differences(values, 0.5))
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


def test_a_survey_has_the_cost_of_whole_windows_and_inputs_of_tokens() -> None:
    model = GVC1D_MINI.find()
    config, weights = read_network(model)
    coder, rate = FrameCoder(config, weights, ops_exact, (128, 64)), 4 * RATE_STEPS
    clip = world.draw(7, 2, [[0, 0], [0, 9]])
    levels = ((64 + np.rint(876 * p)).astype(np.uint16) for p in (clip.y, clip.u, clip.v))
    frames = [(y[:64], u[:32], v[:32]) for y, u, v in zip(*levels, strict=True)]
    found = router.survey(coder, frames, rate)
    assert found.inputs.shape == (4, config.channels + 1) and (found.inputs[:, -1] == 4).all()
    assert found.seconds > 0
    # J of the windows of the first frame, by the network in torch.
    network = Tokenizer(model, 4)
    tokens = network.encode(frames[:1]).values
    steps = np.abs(np.diff(tokens[0].astype(float), axis=1)).mean(1)
    assert np.allclose(found.inputs[:2, :-1], np.log1p(steps), atol=0.05)
    shown = network.decode(tokens, 128, 64)
    error = np.zeros(2)
    for plane, own in zip(frames[0], (shown[0][0, 0], *shown[1][0]), strict=True):
        missed = np.square((1020 * own.numpy() - plane) / RANGE)
        error += missed.reshape(len(missed), 2, -1).sum((0, 2))
    bits = network.bits(tokens, 2)[0].numpy()
    cost = error / DISTORTION_UNIT + lambda_of(rate) * bits
    assert np.exp(found.costs[:2]) == pytest.approx(cost, 0.05)


def test_frames_are_scaled_to_whole_windows(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mkv", make_clip(150, 64, 4))
    shapes = [planes[0].shape for planes in router.read_frames(tmp_path / "a.mkv", 32)]
    assert shapes == [(32, 64)] * router.FRAMES
    Image.new("RGB", (40, 90)).save(tmp_path / "a.png")
    assert [y.shape for y, _, _ in router.read_frames(tmp_path / "a.png", 32)] == [(32, 32)]


def test_clips_of_a_source_stay_together() -> None:
    names = [f"source{i}-{part}.mp4" for i in range(60) for part in ("a", "b")]
    found = [router.group_of(Path(name)) for name in names]
    assert found[::2] == found[1::2] and set(found) == {0, 1, 2}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        picture = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8).repeat(24, 0).repeat(24, 1)
        Image.fromarray(picture // (1 + i % 5)).save(folder / f"source{i}-x.png")
    (folder / "source3-damaged.png").write_bytes(b"no picture")
    return folder


def test_the_program_writes_a_router_of_its_network_and_a_card(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_network(tmp_path / GVC1D.name, replace(WIDE, window=32, patch=8, tokens=64))
    monkeypatch.setattr(router, "_ALIVE", -1e9)  # untrained weights may say nothing
    words = [str(photos), "--out", str(tmp_path / "out"), "--model", str(model)]
    router.main(words)
    card = json.loads((tmp_path / "out" / "router.json").read_text())
    identity = model_id(model)
    assert card["network"] == identity.hex() and card["clips"] == 24
    assert [card["network_steps"], card["network_seed"]] == ["12", "3"]
    assert set(card["windows"]) == set(router.Material._fields)
    assert sum(card["windows"].values()) == 24
    assert {"explained", "ridge_alone", "zeroed", "shuffled"} <= set(card)
    assert card["seconds_to_elbo"] > 0 and card["seconds_of_router"] >= 0
    monkeypatch.setattr(type(ROUTER), "find", lambda *_: tmp_path / "out" / "router.safetensors")
    found = Router.find(identity)
    assert found is not None and found.centre.size == WIDE.channels + 1
    assert Router.find(bytes(8)) is None


def test_a_router_that_explains_too_little_is_not_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny(tmp_path / "tiny.safetensors")
    words = ["--out", str(tmp_path / "out"), "--model", str(model)]
    monkeypatch.setattr(router, "_ALIVE", 1.01)
    with pytest.raises(Alarm, match="held-out windows"):
        router.main([str(photos), *words])
    assert not (tmp_path / "out").exists()
    only = tmp_path / "one"
    only.mkdir()
    (photos / "source1-x.png").rename(only / "source1-x.png")
    with pytest.raises(UsageError, match="too few clips"):
        router.main([str(only), *words])


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
