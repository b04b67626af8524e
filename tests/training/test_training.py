"""Losses, the trainer and its alarms, on toy clips."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec import perceptual
from gvcodec.errors import UsageError
from gvcodec.models import PAINTER
from gvcodec.painter.model import CONDITION
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.torch_twin.objective import Objective, crop_rgb, to_display_rgb
from gvcodec.perceptual.losses import eight_bits, temporal_loss
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.planes import to_eight_bits
from gvcodec.types import Colour
from gvcodec.util.colour import SMALL
from gvcodec.util.tensors import to_rgb
from tests.clips import blurred_clip
from tests.two_devices import moved_whole, two_devices
from training import __main__ as training
from training import tokens
from training.alarms import Alarm, Figures, features
from training.crops import Cache
from training.loop import Loop, Schedule
from training.material import LENGTH, RECORD, WINDOW
from training.painter import PainterWork, TrainConfig, make_loop
from training.perceptual_pairs import make_pairs
from training.settings import read_settings


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    with open(folder / "index.jsonl", "w") as index:
        for number, name in enumerate(("train", "held")):
            records = np.zeros(3, RECORD)
            for i, record in enumerate(records):
                source, loop = blurred_clip(LENGTH, WINDOW, 10 * number + i)
                for t in range(LENGTH):
                    record["base"][t] = np.concatenate([p.ravel() for p in loop[t]])
                    record["source"][t] = np.concatenate([p.ravel() for p in source[t]]) >> 2
                record["motion"][1:, 1] = 1
            np.save(folder / f"{name}.npy", records)
            entry = {"name": name, "clip": name, "held_out": bool(number)}
            entry |= {"base": "av1", "q": 50, "scale": "1", "bpp": 0.02}
            index.write(json.dumps(entry) + "\n")
    return folder


def config(cache: Path, out: Path, **changes: object) -> TrainConfig:
    values = {"size": 128, "batch": 2, "validate_samples": 2, "warm_up": 3, "threads": 1}
    # Led by the small network where no weights are found.
    values |= {"objective": "vgg+dists"}
    values |= {"temporal": 2.0, **changes}  # toy clips are all unsteadiness
    return TrainConfig(cache=str(cache), out=str(out), initial=str(PAINTER.find()), **values)


def test_batches_hold_runs_with_sources_and_motion(cache):
    batch = Cache(cache, held_out=False).batch(4, 128)
    assert batch.base[0].shape == (4, LENGTH, 1, 128, 128)
    assert batch.source[1].shape == (4, LENGTH, 2, 64, 64)
    assert batch.vectors.shape == (4, LENGTH, 2, 8, 8) and batch.condition.shape == (4, CONDITION)
    # Flips turn vectors along with pictures: the motion-compensated sources agree.
    before, now = batch.source[0][:, 0], batch.source[0][:, 1]
    assert float(temporal_loss(now, before, now, now, batch.vectors[:, 1] * 0).mean()) > 0.02
    assert float(temporal_loss(now, before, now * 0, now * 0, batch.vectors[:, 1]).max()) < 0.01


def test_cache_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no cache"):
        Cache(tmp_path, held_out=False)


def test_colour_conversion_of_known_values():
    luma = torch.full((1, 1, 4, 4), 940 / 1023)
    grey = torch.full((1, 2, 2, 2), 512 / 1023)
    assert torch.allclose(to_rgb(luma, grey, Colour(matrix=1)), torch.ones(1, 3, 4, 4), atol=1e-5)
    red = torch.tensor([[250, 409, 960]]).float() / 1023  # BT.709 limited-range red
    luma, chroma = (red[:, part, None, None] for part in (slice(1), slice(1, 3)))
    luma, chroma = luma.expand(1, 1, 4, 4), chroma.expand(1, 2, 2, 2)
    rgb = to_rgb(luma, chroma, Colour(matrix=1))
    assert torch.allclose(rgb[0, :, 1, 1], torch.tensor([1.0, 0, 0]), atol=4e-3)


def test_perceptual_loss_is_dists_and_its_gradient_is_right(some_weights):
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 3, 132, 132, generator=generator)
    source = torch.nn.functional.avg_pool2d(noise, 5, 1)[..., :64, :96]
    other = (source + 0.05 * torch.randn(source.shape, generator=generator)).clamp(0, 1)
    wanted, exact = perceptual.dists(), PerceptualLoss(integer=False)
    a, b = other.clone().requires_grad_(), other.clone().requires_grad_()
    wanted(a, source).sum().backward()
    distance, score = exact(b, exact.reference(source))
    score.sum().backward()
    assert torch.allclose(score, wanted(other, source), atol=1e-5)
    assert float((a.grad - b.grad).norm() / a.grad.norm()) < 0.01
    assert torch.allclose(exact(source, exact.reference(source))[0], torch.zeros(2), atol=1e-5)
    # The other distance against finite differences, along its own gradient.
    c = other.clone().requires_grad_()
    exact(c, exact.reference(source))[0].sum().backward()
    step = 1e-3 * c.grad / c.grad.abs().max()
    with torch.no_grad():
        reference = exact.reference(source)
        above, below = (exact(x, reference)[0].sum() for x in (other + step, other - step))
        change = above - below
    assert float(change) == pytest.approx(2 * float((c.grad * step).sum()), rel=0.05)
    # Whole batches, as on a GPU.
    batched, e = PerceptualLoss(integer=False, is_batched=True), other.clone().requires_grad_()
    pair = batched(e, batched.reference(source))
    (pair[0] + pair[1]).sum().backward()
    assert torch.allclose(pair[1], score, atol=1e-4)
    assert torch.allclose(pair[0], distance, rtol=0.01)
    assert torch.allclose(e.grad, c.grad + b.grad, atol=0.02 * float(c.grad.abs().max()))
    fast, d = PerceptualLoss(), other.clone().requires_grad_()
    quick = fast(d, fast.reference(source))
    (quick[0] + quick[1]).sum().backward()
    assert torch.allclose(quick[1], score, atol=0.01)
    assert torch.allclose(quick[0], distance, rtol=0.1)
    flat = d.grad.flatten(), (c.grad + b.grad).flatten()
    assert float(torch.nn.functional.cosine_similarity(*flat, 0)) > 0.8


def test_gradients_are_finite_even_on_flat_pictures(some_weights):
    other = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    for metric in (perceptual.lpips("alex"), perceptual.lpips("vgg"), perceptual.dists()):
        x = torch.full((2, 3, 40, 56), 0.5, requires_grad=True)
        metric(x, other).sum().backward()
        assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


def test_training_lowers_the_loss(cache, tmp_path, some_weights):
    settings = {"learning_rate": 5e-3, "contrast": 0.0, "objective": "vgg+alex"}
    loop = make_loop(config(cache, tmp_path, **settings))
    losses = [loop.step()["total"] for _ in range(16)]
    assert np.mean(losses[-4:]) < 0.95 * np.mean(losses[:4])


def test_all_of_training_is_done_on_the_device(cache, tmp_path, monkeypatch, some_weights):
    wanted = PainterWork(config(cache, tmp_path)).loss(0)[0]
    monkeypatch.setattr(PainterNetwork, "load", staticmethod(moved_whole(PainterNetwork.load)))
    work = PainterWork(config(cache, tmp_path))
    with two_devices(monkeypatch) as made:
        found = work.loss(0)[0]
        found.backward()
    assert made and found.item() == wanted.item()


def test_training_on_a_device_that_is_not_there_is_refused(cache, tmp_path):
    with pytest.raises(UsageError, match="no device cuda:7"):
        PainterWork(config(cache, tmp_path), "cuda:7")


def test_two_networks_lead_in_turn(cache, tmp_path, monkeypatch, made_weights):
    work, led = PainterWork(config(cache, tmp_path)), []
    vgg, small = work.objectives
    call = Objective.__call__

    def remember(self, *given, **named):
        led.append(self)
        return call(self, *given, **named)

    monkeypatch.setattr(Objective, "__call__", remember)
    for step in range(6):
        work.loss(step)
    assert led == [vgg, vgg, small] * 2


def test_dists_is_held_out_by_default(cache, tmp_path, made_weights):
    assert TrainConfig(initial="", cache="", out="").objective == "vgg+alex"
    parts = PainterWork(config(cache, tmp_path, objective="vgg+alex")).loss(0)[1]
    assert {"lpips", "lpips_alex"} <= set(parts) and "dists" not in parts


def test_psnr_below_the_initial_painters_costs(cache, tmp_path, made_weights):
    work = PainterWork(config(cache, tmp_path, hold=0.3))
    assert work.loss(0)[1]["hold"] == 0  # it is the initial painter still
    assert "hold" not in PainterWork(config(cache, tmp_path)).loss(0)[1]
    with torch.no_grad():
        work.model.head.bias.add_(4 * work.model.head.unit)
    assert work.loss(0)[1]["hold"] > 0


def test_an_objective_that_does_not_exist_is_refused(cache, tmp_path):
    with pytest.raises(UsageError, match=r"objective is vgg\+alex or vgg\+dists, not wd"):
        PainterWork(config(cache, tmp_path, objective="wd"))


def test_training_resumes_where_it_stopped(cache, tmp_path):
    first = make_loop(config(cache, tmp_path))
    for _ in range(3):
        first.step()
    first.save()
    second = make_loop(config(cache, tmp_path))
    assert second.steps == 3 and second.minutes == first.minutes
    for ours, theirs in ((first.work.model, second.work.model), (first.average, second.average)):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b)
    assert second.optimizer.state_dict()["state"][0]["step"] == 3
    assert torch.equal(first.work.class_loss, second.work.class_loss)


def test_the_rate_warms_up_and_falls():
    schedule = Schedule(rate=1.0, plan_minutes=10, warm_up=300)
    assert schedule.rate_at(0, 0) == pytest.approx(1 / 300) and schedule.rate_at(299, 0) == 1
    assert schedule.rate_at(999, 5) == pytest.approx(0.5) and schedule.rate_at(999, 50) == 0.05
    assert Schedule(1.0, 10, plan_steps=100, warm_up=1).rate_at(50, 0) == pytest.approx(0.5)


def test_bad_words_are_one_line(tmp_path, capsys):
    assert training.main(["nothing"]) == 2
    assert training.main(["painter", str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


HEALTHY = Figures(places=2.0, clips=1.0, peak=5.0, dead=0.1, change=3.0, zeroing=0.02, base=0.4)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"places": 0.01}, "between places"),
        ({"clips": float("nan")}, "between clips"),
        ({"peak": 1000.0}, "1e\\+03 times the median"),
        ({"dead": 0.9}, "90 % of the units"),
        ({"base": 0.41}, "base frames cost 0.41"),
        ({"change": 0.01}, "changes luma by 0.01"),
        ({"zeroing": -0.01}, "without the painter"),
    ],
)
def test_an_alarm_ends_the_run(change, what):
    HEALTHY.check(60, 0.4)
    with pytest.raises(Alarm, match=what):
        replace(HEALTHY, **change).check(60, 0.4)


def test_a_new_run_has_time_to_learn():
    replace(HEALTHY, change=0.0, zeroing=-1.0).check(5, 0.4)


def test_figures_tell_the_shipped_painter_from_dead_ones(cache):
    batch = Cache(cache, held_out=True).batch(2, 128, [(0, 0), (0, 1)])
    shipped = PainterNetwork.load(PAINTER.find())
    places, _, peak, dead, change = features(shipped, batch)
    assert places > 0.3 and peak < 33 and dead < 0.17 and change > 0.3
    assert "levels" not in vars(shipped.style)
    blind = PainterNetwork.load(PAINTER.find())
    blind.style.weight.zero_()
    assert features(blind, batch)[0] < 0.1
    still = PainterNetwork.load(PAINTER.find())
    still.head.weight.zero_()
    still.head.bias.zero_()
    assert features(still, batch)[4] < 1e-3
    deaf = PainterNetwork.load(PAINTER.find())
    for block in deaf.blocks:
        block.expand.weight.zero_()
        block.expand.bias.zero_()
    assert features(deaf, batch)[3] > 0.5
    loud = PainterNetwork.load(PAINTER.find())
    loud.blocks[-1].project.bias[0] += 1e6 * loud.blocks[-1].project.unit[0]
    assert features(loud, batch)[2] > 3 * peak


def test_alarms_are_checked_and_end_the_run_with_all_saved(cache, tmp_path, monkeypatch):
    loop = make_loop(config(cache, tmp_path))
    loop.schedule = replace(loop.schedule, check_steps=2)
    checked = []

    def check(average, minutes):
        checked.append(loop.steps)
        if len(checked) == 2:
            raise Alarm("dead")
        return {"dead": 0.0}

    monkeypatch.setattr(loop.work, "check", check)
    with pytest.raises(Alarm, match="dead"):
        loop.run(5)
    assert checked == [2, 4] and Loop(loop.work, loop.schedule, tmp_path).steps == 4
    assert '"alarms"' in (tmp_path / "log.jsonl").read_text()


def test_the_figures_of_a_run_are_logged_and_loops_cost_the_same(cache, tmp_path, monkeypatch):
    monkeypatch.setattr("training.alarms.LEAST_SPREAD", 0.0)  # toy clips look alike
    loop = make_loop(config(cache, tmp_path))
    first = loop.work.check(loop.average, 0)
    loop.step()
    assert loop.work.check(loop.average, 0)["base"] == first["base"] > 0
    loop.work.first_base *= 1.1
    with pytest.raises(Alarm, match="base frames cost"):
        loop.work.check(loop.average, 0)


@pytest.mark.parametrize(
    "text", ["cache = 1\nout = 'x'", "cache = 'x'", "cache = 'x'\nout = 'y'\nspeed = 3", "cache ="]
)
def test_bad_configurations_are_refused(tmp_path, text):
    (tmp_path / "train.toml").write_text(text)
    with pytest.raises(UsageError, match="train.toml"):
        read_settings(tmp_path / "train.toml", TrainConfig)


def test_losses_see_what_viewers_of_eight_bits_see() -> None:
    codes = torch.arange(1024).reshape(32, 32)
    plane = ((codes + 0.3) / 1023).requires_grad_(True)
    shown = eight_bits(plane)
    wanted = to_eight_bits(codes.numpy().astype(np.uint16))
    assert np.array_equal((shown.detach() * 1023 / 4).round().numpy(), wanted)
    shown.sum().backward()
    assert torch.equal(plane.grad, torch.ones(32, 32))
    planes = torch.rand(1, 1, 64, 64), torch.rand(1, 2, 32, 32)
    assert torch.equal(to_display_rgb(planes, SMALL, 10), crop_rgb(planes, SMALL))
    assert not torch.equal(to_display_rgb(planes, SMALL, 8), crop_rgb(planes, SMALL))


def test_material_for_a_small_perceptual_network(cache):
    network = perceptual.loss_network("small")
    assert network is not None
    loss = PerceptualLoss(weights=network[1])
    teachers = [
        lambda painted, source, k=k: loss(painted, loss.reference(source))[k] for k in (0, 1)
    ]
    make = lambda: make_pairs([Cache(cache, held_out=False)], teachers, 3, seed=1)
    pairs, again = make(), make()
    assert len(pairs) == 3 and pairs.painted.shape == (3, 3, 128, 128)
    assert pairs.gradients.shape == (3, 2, 3, 128, 128)
    assert all(map(torch.equal, vars(pairs).values(), vars(again).values()))
    assert float(pairs.distances.min()) > 0
    assert float(pairs.gradients.float().abs().amax((2, 3, 4)).min()) > 0
    assert not torch.equal(pairs.painted[0], pairs.painted[1])


@pytest.mark.usefixtures("made_weights")
def test_tokens_are_trained_and_a_run_goes_on(cache: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tokens, "_DIRECTIONS", 2)
    settings = {"validate_samples": 2, "width": 16, "local": 1, "over": 1, "crops": 1, "warm_up": 1}
    config = tokens.TrainConfig(
        painter=str(PAINTER.find()), cache=str(cache), out=str(tmp_path), **settings
    )
    loop = tokens.make_loop(config, "cpu")
    head = loop.work.model.encoder.head.bias.detach().clone()
    assert loop.step()["lpips_vgg"] > 0
    assert not torch.equal(loop.work.model.encoder.head.bias, head)
    found = loop.work.validate(loop.average)
    assert found["encoder_bits"] >= 0 and loop.work.gain == -found["encoder_lpips_alex"] / 100
    loop.save()
    again = tokens.make_loop(config, "cpu")
    assert (again.steps, again.work.gain) == (1, loop.work.gain)
    assert torch.equal(again.work.model.table, loop.work.model.table)
