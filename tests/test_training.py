"""Losses, the training loop and per-video tuning, on toy clips."""

import json
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from clips import DATA, needs_clips

from gvcodec.painter import Painter, perceptual, tune, tuning
from gvcodec.painter.model import load_checkpoint, save_checkpoint
from gvcodec.painter.model import Model
from gvcodec.painter.payload import BASE, GROUPS, Delta, pack
from gvcodec.painter.perceptual.losses import SMALL, eight_bits, temporal_loss, to_rgb
from gvcodec.painter.perceptual.objective import crop_rgb, shown_rgb
from gvcodec.painter.renderer import RendererConfig, new_renderer, slot
from gvcodec.errors import UsageError
from gvcodec.media.planes import to_eight_bits
from gvcodec.train.cache import LENGTH, RECORD, WINDOW
from gvcodec.train.data import Cache
from gvcodec.train.loop import TrainConfig, Trainer, main
from gvcodec.train.settings import read_settings
from gvcodec.types import Colour, Planes, VideoFormat

needs_weights = pytest.mark.skipif(
    perceptual.find_weights() is None, reason="no weights of the perceptual metrics here"
)


@pytest.fixture(params=["made", pytest.param("real", marks=needs_weights)])
def some_weights(request):
    """Made-up weights everywhere, and the real ones where they are at hand."""
    if request.param == "made":
        request.getfixturevalue("made_weights")


def clip(frames: int, side: int, seed: int = 0) -> tuple[list[Planes], list[Planes]]:
    """Sources (a textured picture that moves one pixel a frame) and "loop frames" (the same,
    blurred)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0 : side + frames]
    texture = (
        500 + 120 * np.sin(x / 9 + seed) * np.cos(y / 13) + rng.normal(0, 60, (side, side + frames))
    )
    blurred = sum(np.roll(texture, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3)) / 25
    flat = np.full((side // 2, side // 2), 512, np.uint16)

    def planes(picture: np.ndarray, t: int) -> Planes:
        return picture[:, t : t + side].clip(0, 1023).astype(np.uint16), flat, flat

    return [planes(texture, t) for t in range(frames)], [planes(blurred, t) for t in range(frames)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two toy clips, one of them held out."""
    folder = tmp_path_factory.mktemp("cache")
    with open(folder / "index.jsonl", "w") as index:
        for number, name in enumerate(("train", "held")):
            records = np.zeros(3, RECORD)
            for i, record in enumerate(records):
                source, loop = clip(LENGTH, WINDOW, 10 * number + i)
                for t in range(LENGTH):
                    record["loop"][t] = np.concatenate([p.ravel() for p in loop[t]])
                    record["source"][t] = np.concatenate([p.ravel() for p in source[t]]) >> 2
                record["motion"][1:, 1] = 1
            np.save(folder / f"{name}.npy", records)
            entry = {
                "name": name,
                "clip": name,
                "base": "av1",
                "q": 50,
                "scale": "1",
                "bpp": 0.02,
                "held_out": bool(number),
            }
            index.write(json.dumps(entry) + "\n")
    return folder


def config(cache: Path, out: Path, **changes: object) -> TrainConfig:
    values = {
        "size": 128,
        "batch": 2,
        "start_batch": 2,
        "channels": 32,
        "depth": 2,
        "validate_samples": 2,
    }
    values |= {"temporal": 2.0, **changes}  # toy clips are all unsteadiness
    return TrainConfig(str(cache), str(out), **values)


def test_batches_hold_runs_with_sources_and_motion(cache):
    batch = Cache(cache, held_out=False).batch(4, 128)
    assert batch.loop[0].shape == (4, LENGTH, 1, 128, 128) and batch.source[1].shape == (
        4,
        LENGTH,
        2,
        64,
        64,
    )
    assert batch.vectors.shape == (4, LENGTH, 2, 8, 8) and batch.condition.shape == (4, 9)
    # Flips turn vectors along with pictures: the motion-compensated sources agree where motion is
    # told.
    before, now = batch.source[0][:, 0], batch.source[0][:, 1]
    assert float(temporal_loss(now, before, now, now, batch.vectors[:, 1] * 0).mean()) > 0.02
    inner = temporal_loss(now, before, now * 0, now * 0, batch.vectors[:, 1])
    assert float(inner.max()) < 0.01


def test_cache_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no cache"):
        Cache(tmp_path, held_out=False)


def test_colour_conversion_of_known_values():
    luma = torch.full((1, 1, 4, 4), 940 / 1023)
    grey = torch.full((1, 2, 2, 2), 512 / 1023)
    assert torch.allclose(to_rgb(luma, grey, Colour(matrix=1)), torch.ones(1, 3, 4, 4), atol=1e-5)
    red = torch.tensor([[250, 409, 960]]).float() / 1023  # BT.709 limited-range red
    rgb = to_rgb(
        red[:, :1, None, None].expand(1, 1, 4, 4),
        red[:, 1:, None, None].expand(1, 2, 2, 2),
        Colour(matrix=1),
    )
    assert torch.allclose(rgb[0, :, 1, 1], torch.tensor([1.0, 0, 0]), atol=4e-3)


def test_perceptual_loss_is_dists_and_its_gradient_is_right(some_weights):
    from gvcodec.painter.perceptual.vgg import PerceptualLoss

    generator = torch.Generator().manual_seed(0)
    source = torch.nn.functional.avg_pool2d(torch.rand(2, 3, 132, 132, generator=generator), 5, 1)[
        ..., :64, :96
    ]
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
        change = (
            exact(other + step, exact.reference(source))[0].sum()
            - exact(other - step, exact.reference(source))[0].sum()
        )
    assert float(change) == pytest.approx(2 * float((c.grad * step).sum()), rel=0.05)

    # Whole batches, as on a GPU.
    batched, e = PerceptualLoss(integer=False, batched=True), other.clone().requires_grad_()
    pair = batched(e, batched.reference(source))
    (pair[0] + pair[1]).sum().backward()
    assert torch.allclose(pair[1], score, atol=1e-4) and torch.allclose(
        pair[0], distance, rtol=0.01
    )
    assert torch.allclose(e.grad, c.grad + b.grad, atol=0.02 * float(c.grad.abs().max()))

    fast = PerceptualLoss()
    d = other.clone().requires_grad_()
    quick = fast(d, fast.reference(source))
    (quick[0] + quick[1]).sum().backward()
    assert torch.allclose(quick[1], score, atol=0.01) and torch.allclose(
        quick[0], distance, rtol=0.1
    )
    together = c.grad + b.grad
    assert (
        float(torch.nn.functional.cosine_similarity(d.grad.flatten(), together.flatten(), 0)) > 0.8
    )


@pytest.mark.parametrize("start_minutes", [1e9, 0.0])
def test_training_lowers_the_loss(cache, tmp_path, start_minutes, some_weights):
    torch.manual_seed(0)
    trainer = Trainer(
        config(cache, tmp_path, start_minutes=start_minutes, learning_rate=5e-3, threads=1)
    )
    losses = [trainer.step()["total"] for _ in range(20)]
    assert np.mean(losses[-4:]) < 0.95 * np.mean(losses[:4])


def test_training_resumes_where_it_stopped(cache, tmp_path):
    first = Trainer(config(cache, tmp_path, start_minutes=1e9))
    for _ in range(3):
        first.step()
    first.save()
    second = Trainer(config(cache, tmp_path, start_minutes=1e9))
    assert second.steps == 3 and second.minutes == first.minutes
    for a, b in zip(first.renderer.parameters(), second.renderer.parameters(), strict=True):
        assert torch.equal(a, b)
    assert second.optimizer.state_dict()["state"][0]["step"] == 3


def test_main_stops_in_time_or_at_a_signal_with_a_checkpoint(cache, tmp_path):
    path = tmp_path / "train.toml"
    path.write_text(
        f'cache = "{cache}"\nout = "{tmp_path}"\nsize = 128\nstart_batch = 1\nvalidate_samples = '
        f"1\nchannels = 32\ndepth = 1\n"
    )
    before = signal.getsignal(signal.SIGTERM)
    checkpoint = main(path, minutes=0.02)
    assert signal.getsignal(signal.SIGTERM) is before
    assert load_checkpoint(checkpoint).config.channels == 32
    description = json.loads((tmp_path / "base.json").read_text())
    assert description["steps"] > 0 and description["data"]["coded_clips"] == 1
    assert any(
        "config" in json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()
    )


@pytest.mark.parametrize(
    "text", ["cache = 1\nout = 'x'", "cache = 'x'", "cache = 'x'\nout = 'y'\nspeed = 3", "cache ="]
)
def test_bad_configurations_are_refused(tmp_path, text):
    (tmp_path / "train.toml").write_text(text)
    with pytest.raises(UsageError, match="train.toml"):
        read_settings(tmp_path / "train.toml", TrainConfig)


def samples(runs: int = 2) -> list[list[tuple[Planes, Planes]]]:
    source, loop = clip(2 * runs, 128)
    whole = [[(loop[t], source[t]) for t in (2 * i, 2 * i + 1)] for i in range(runs)]
    return [*whole, [(loop[0], source[0])]]  # the last run of a clip may be cut short


FORMAT = VideoFormat(128, 128, Fraction(25), Fraction(1, 25))


def test_tuning_pays_on_what_it_was_tuned_on_and_is_reproducible(
    tmp_path, monkeypatch, some_weights
):
    monkeypatch.setattr(tuning, "_POOL", 6)
    monkeypatch.setattr(tuning, "_VALIDATION", 3)
    monkeypatch.setattr(tuning, "_BATCH", 2)
    checkpoint = tmp_path / "base.safetensors"
    save_checkpoint(new_renderer(), checkpoint)
    said: list[str] = []
    arguments = (samples(), FORMAT, "av1", Fraction(1), 50, 60.0, checkpoint)
    payload = tune(*arguments, progress=said.append, stream_bytes=100_000, steps=8)
    assert payload is not None and 10 < len(payload) < 3000
    assert payload == tune(*arguments, stream_bytes=100_000, steps=8)
    assert any("bytes" in line for line in said)
    painter = Painter(FORMAT, "av1", Fraction(1), 50, checkpoint)
    painter.start_gop(payload)
    loop = samples()[0][0][0]
    assert not np.array_equal(painter.paint(loop)[0], loop[0])
    # In a stream of next to no bytes nothing pays.
    assert tune(*arguments, stream_bytes=50, steps=4) is None
    # What is in force costs nothing: it stays, unless it does harm.
    assert tune(*arguments, stream_bytes=50, steps=4, before=payload) == payload
    bias = Delta("head.bias", np.full(21, 127), 8)
    others = [Delta(name, np.zeros(1, np.int64), 8) for name in GROUPS[0] if name != "head.bias"]
    assert tune(*arguments, stream_bytes=50, steps=4, before=pack([bias, *others])) == BASE
    painter.start_gop(BASE)
    again = Painter(FORMAT, "av1", Fraction(1), 50, checkpoint)
    again.start_gop(None)
    assert all(map(np.array_equal, painter.paint(loop), again.paint(loop)))


def test_tuning_without_weights_warns_and_leaves_the_base(tmp_path, monkeypatch):
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.warns(UserWarning, match="no weights"):
        assert tune(samples(), FORMAT, "av1", Fraction(1), 50, 5.0, leader="vgg") is None
    monkeypatch.setattr(perceptual, "shipped_folders", lambda: [tmp_path])
    with pytest.warns(UserWarning, match="no weights"):
        assert tune(samples(), FORMAT, "av1", Fraction(1), 50, 5.0) is None


def test_the_small_network_leads_where_vgg_is_not_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "_VALIDATION", 2)
    monkeypatch.setattr(tuning, "_BATCH", 2)
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    save_checkpoint(new_renderer(), tmp_path / "base.safetensors")
    said: list[str] = []
    arguments = (samples(), FORMAT, "av1", Fraction(1), 50, 0.0, tmp_path / "base.safetensors")
    first = tune(*arguments, steps=6, progress=said.append)
    assert said[0] == "tuning: led by the small network" and "6 steps" in said[-1]
    monkeypatch.delenv(perceptual.WEIGHTS_VARIABLE)
    assert tune(*arguments, steps=6, leader="small") == first


@needs_weights
def test_the_small_network_sees_what_vgg_sees():
    from gvcodec.painter.perceptual.vgg import PerceptualLoss

    leading = perceptual.leading_weights("small")
    assert leading is not None and leading[0] == "small"
    assert sum(w.numel() for w in leading[1].values()) <= 1_000_000
    small, vgg = PerceptualLoss(integer=False, weights=leading[1]), PerceptualLoss(integer=False)
    fast = PerceptualLoss(weights=leading[1])
    cosines = []
    for run in samples()[:2]:
        loop, source = (
            torch.from_numpy(np.stack([p[0][:128, :128]] * 3)).float()[None] / 1023 for p in run[-1]
        )
        gradients: list[torch.Tensor] = []
        one, other = (torch.stack(loss(loop, loss.reference(source))) for loss in (small, fast))
        assert torch.allclose(one, other, rtol=0.1, atol=0.005)
        for loss in (small, vgg):
            picture = loop.clone().requires_grad_()
            sum(loss(picture, loss.reference(source))).sum().backward()
            gradients.append(picture.grad.sum(1).flatten())
        cosines.append(float(torch.nn.functional.cosine_similarity(*gradients, 0)))
    assert min(cosines) > 0.15


@pytest.mark.parametrize(("width", "height", "tuned"), [(96, 66, True), (40, 40, False)])
def test_tuning_of_small_pictures(tmp_path, monkeypatch, width, height, tuned, some_weights):
    monkeypatch.setattr(tuning, "_POOL", 2)
    monkeypatch.setattr(tuning, "_VALIDATION", 1)
    monkeypatch.setattr(tuning, "_BATCH", 1)
    save_checkpoint(new_renderer(), tmp_path / "base.safetensors")

    def cut(planes: Planes) -> Planes:
        return planes[0][:height, :width], *(
            p[: (height + 1) // 2, : (width + 1) // 2] for p in planes[1:]
        )

    small = [[(cut(loop), cut(source)) for loop, source in run] for run in samples()]
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25))
    said: list[str] = []
    arguments = (small, fmt, "av1", Fraction(1), 50, 9.0, tmp_path / "base.safetensors")
    if not tuned:
        with pytest.warns(UserWarning, match="smaller"):
            assert tune(*arguments, steps=2) is None
        return
    tune(*arguments, steps=2, progress=said.append)
    assert "2 steps" in said[-1]


@pytest.mark.slow
@pytest.mark.timeout(3000)
@needs_weights
@needs_clips
def test_ten_minutes_of_training_lower_lpips_on_held_out_clips(tmp_path):
    from gvcodec.train import cache as material

    data = DATA / "train"
    import sys
    from unittest import mock

    with mock.patch.object(
        sys,
        "argv",
        ["cache", "--data", str(data), "--cache", str(tmp_path / "cache"), "--minutes", "6"],
    ):
        material.main()
    path = tmp_path / "train.toml"
    path.write_text(
        f'cache = "{tmp_path / "cache"}"\nout = "{tmp_path}"\nstart_minutes = 4\nplan_minutes = '
        f"10\n"
    )
    main(path, minutes=10)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["validation"]
    assert last["rendered_lpips_vgg"] < 0.97 * last["loop_lpips_vgg"]
    assert last["rendered_dists"] < 0.95 * last["loop_dists"]


def test_losses_see_what_viewers_of_eight_bits_see() -> None:
    codes = torch.arange(1024).reshape(32, 32)
    plane = ((codes + 0.3) / 1023).requires_grad_(True)
    shown = eight_bits(plane)
    assert np.array_equal(
        (shown.detach() * 1023 / 4).round().numpy(), to_eight_bits(codes.numpy().astype(np.uint16))
    )
    shown.sum().backward()
    assert torch.equal(plane.grad, torch.ones(32, 32))
    planes = torch.rand(1, 1, 64, 64), torch.rand(1, 2, 32, 32)
    assert torch.equal(shown_rgb(planes, SMALL, 10), crop_rgb(planes, SMALL))
    assert not torch.equal(shown_rgb(planes, SMALL, 8), crop_rgb(planes, SMALL))


def test_a_run_takes_a_base_for_one_that_its_start_knows(cache, tmp_path):
    known = new_renderer(RendererConfig(channels=32, depth=2), seed=3)
    save_checkpoint(known, tmp_path / "known.safetensors")
    changes = {"initial": str(tmp_path / "known.safetensors"), "begin_as": "hevc"}
    trainer = Trainer(config(cache, tmp_path / "new", **changes))
    for block, before in zip(trainer.renderer.blocks, known.blocks, strict=True):
        weight, old = block.condition.weight, before.condition.weight.half().float()
        assert torch.equal(weight[:, slot("av1")], old[:, slot("hevc")])
        assert torch.equal(weight[:, slot("klt")], old[:, slot("klt")])
    with pytest.raises(UsageError, match="no base vp9"):
        Trainer(config(cache, tmp_path / "other", **(changes | {"begin_as": "vp9"})))


def test_a_smaller_integer_painter_learns_what_a_larger_one_adds(cache, tmp_path) -> None:
    from gvcodec.train.integer_smaller import begun, difference, learned
    from gvcodec.train.integer_start import converted

    large = converted(load_checkpoint(), Cache(cache, held_out=False), count=4)
    large = large.eval().requires_grad_(False)
    batch = Cache(cache, held_out=False, seed=3).batch(2, 64)
    whole = large.sizes["depth"], large.sizes["wide"], large.sizes["residual"]
    with torch.no_grad():
        # With all blocks and channels only the residual branch is missing.
        same, less = (
            float(difference(begun(large, *s), large, batch, 0).mean()) for s in (whole, (3, 48, 8))
        )
    assert 0 < same < less
    lines: list[str] = []
    small = learned(large, (3, 48, 8), cache, 0.05, lines.append)
    with torch.no_grad():
        assert float(difference(small, large, batch, 0).mean()) < less
    assert lines and small.middle is None and len(small.blocks) == 3
    small.save(tmp_path / "small.safetensors")
    assert "middle" not in Model.load(tmp_path / "small.safetensors").layers


def test_material_for_a_small_perceptual_network(cache):
    from gvcodec.painter.perceptual.vgg import PerceptualLoss
    from gvcodec.train.distil import make_pairs

    leading = perceptual.leading_weights("small")
    assert leading is not None
    teacher = PerceptualLoss(weights=leading[1])
    pairs, again = (
        make_pairs([Cache(cache, held_out=False)], teacher, 3, seed=1) for _ in range(2)
    )
    assert len(pairs) == 3 and pairs.painted.shape == pairs.gradient.shape == (3, 3, 128, 128)
    assert all(map(torch.equal, vars(pairs).values(), vars(again).values()))
    assert (
        float(pairs.distances.min()) > 0
        and float(pairs.gradient.float().abs().amax((1, 2, 3)).min()) > 0
    )
    assert not torch.equal(pairs.painted[0], pairs.painted[1])
