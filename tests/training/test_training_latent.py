"""Latent tokens: material, code lengths, and a trainer that ends when tokens do nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gvcodec.errors import UsageError
from gvcodec.painter import perceptual
from gvcodec.painter.model import Model, find_painter
from gvcodec.training.alarms import Alarm
from gvcodec.training.latent.entropy import Context, Factorised
from gvcodec.training.latent.material import (
    HELD_OUT,
    Material,
    add_material,
    code_picture,
    is_held_out,
    read_pictures,
)
from gvcodec.training.latent.model import LatentNetwork, Sizes
from gvcodec.training.latent.run import LatentWork, TrainConfig, make_loop
from gvcodec.training.latent.watch import PATIENCE_MINUTES, watch

SIDE = 160


def planes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Source and coded picture, flat: each 16² patch of the source has a brightness and a pattern
    that the coded picture lacks, so that only tokens can tell them."""
    rng = np.random.default_rng(seed)
    smooth = 500 + 60 * np.sin(np.arange(SIDE) / 20 + seed)[:, None] * np.ones(SIDE)
    offset, pattern = rng.normal(0, 90, (2, SIDE // 16, SIDE // 16)).repeat(16, 1).repeat(16, 2)
    source = smooth + offset + pattern * np.sin(np.arange(SIDE))
    chroma = np.full(SIDE * SIDE // 2, 512)
    return (
        np.concatenate([source.ravel(), chroma]).clip(0, 1023),
        np.concatenate([smooth.ravel(), chroma]),
    )


@pytest.fixture
def cache(tmp_path) -> Path:
    """Made-up pictures, some of them held out."""
    folder = tmp_path / "cache"
    folder.mkdir()
    with open(folder / "index.jsonl", "w") as index:
        for number in range(12):
            source, coded = planes(number)
            held_out = number >= 6
            for q in HELD_OUT if held_out else (60, 52):
                name = f"made-{number}-q{q}"
                base = coded + (source - coded) * (70 - q) / 40
                np.save(folder / f"{name}.npy", np.stack([source, base, base]).astype(np.uint16))
                entry = {"name": name, "picture": f"made-{number}", "clip": "made.mp4", "q": q}
                entry |= {"width": SIDE, "height": SIDE, "bytes": 4000 - 50 * q}
                index.write(json.dumps(entry | {"held_out": held_out}) + "\n")
    return folder


@pytest.fixture
def config(cache: Path, tmp_path, monkeypatch) -> TrainConfig:
    """A small network, led by the small perceptual one."""
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path / "none"))
    sizes = {"channels": 24, "blocks": 2, "width": 32, "layers": 1}
    return TrainConfig(
        cache=str(cache),
        out=str(tmp_path / "out"),
        batch=2,
        size=64,
        learning_rate=4e-3,
        warm_up=5,
        average=0.9,
        validate_samples=8,
        **sizes,
    )


def test_tokens_have_influence_and_the_run_goes_on(config):
    loop = make_loop(config)
    assert bool((loop.work.objective.slopes > 0).all())
    loop.run(10, steps=60)
    found = watch(loop.average, loop.work.checked, loop.work.objective.leaders[-1])
    assert found.zeroing > 0.03 and found.shuffling > 0.03 and found.gain > 0.03
    found.check(2 * PATIENCE_MINUTES, found.free)
    again = make_loop(config)
    assert again.steps == 60
    assert torch.equal(again.work.objective.slopes, loop.work.objective.slopes)
    pairs = zip(again.work.model.parameters(), loop.work.model.parameters(), strict=True)
    for ours, theirs in pairs:
        assert torch.equal(ours, theirs)
    with torch.no_grad():
        again.average.restorer.reader.leave.weight.zero_()
    with pytest.raises(Alarm, match="tokens do nothing"):
        again.work.check(again.average, 2 * PATIENCE_MINUTES)
    with torch.no_grad():
        again.average.encoder.leave.weight.zero_()
    with pytest.raises(Alarm, match="hardly differ"):
        again.work.check(again.average, 0.0)


def test_the_price_rises_and_makes_tokens_cheaper(config):
    work = LatentWork(replace(config, plan_minutes=10, price_from=0.2, price_until=0.4, price=2))
    assert [work.price_share(m) for m in (1, 3, 4, 9)] == pytest.approx([0, 1, 2, 2])
    crops = work.checked
    work.start()
    price = work.objective.price(crops)
    assert price.shape == (len(crops),) and bool((price > 0).all())
    z = work.model.encode(crops).detach().requires_grad_(True)
    bits = work.model.context(z, crops.q)
    (gradient,) = torch.autograd.grad(bits.sum(), z)
    assert float((gradient * z.detach()).sum()) > 0  # a descent makes them smaller


def test_context_depends_only_on_what_is_coded_before():
    torch.manual_seed(0)
    model, q = Context(3), torch.tensor([50.0])
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    z = torch.randint(-2, 3, (1, 3, 5, 6)).float()
    before = model(z, q)
    for channel, row, column in ((0, 2, 3), (1, 0, 0), (2, 4, 5), (0, 3, 5)):
        other = z.clone()
        other[0, channel, row, column] += 1
        changed = (model(other, q) != before)[0].nonzero().tolist()
        order = [(r, c, k) for k, r, c in changed]
        assert min(order) == (row, column, channel)


@pytest.mark.parametrize("model", [Factorised(2), Context(2)])
def test_code_lengths_are_those_of_a_distribution(model):
    values = torch.arange(-400, 401).float()
    z = torch.zeros(len(values), 2, 1, 1)
    z[:, 1, 0, 0] = values  # the last integer: nothing after it sees it
    bits = model(z, torch.full((len(values),), 55.0))[:, 1, 0, 0]
    assert float(torch.exp2(-bits.detach()).sum()) == pytest.approx(1, abs=2e-3)


def test_any_size_in_patches_is_restored(config):
    crops = Material(Path(config.cache), held_out=True).batch(1, 96)
    network = LatentNetwork(Sizes(channels=24, blocks=1, width=32, layers=1))
    z = network.encode(crops)
    luma, chroma = network.restore(crops, z)
    assert z.shape == (1, 4, 6, 6)
    assert luma.shape == (1, 1, 96, 96) and chroma.shape == (1, 2, 48, 48)


def test_pictures_are_coded_and_held_out_by_source(tmp_path):
    from PIL import Image

    assert is_held_out(Path("destino-a.mp4")) == is_held_out(Path("destino-b.mp4"))
    rgb = np.random.default_rng(0).integers(0, 255, (130, 150, 3), np.uint8)
    Image.fromarray(rgb).resize((300, 260)).save(tmp_path / "photo.jpg")
    (picture,) = read_pictures(tmp_path / "photo.jpg")
    assert picture[0].shape == (256, 288) and picture[1].shape == (128, 144)
    sizes = []
    for q in (68, 50):
        base, size = code_picture(picture, q)
        assert base[0].shape == picture[0].shape
        sizes.append(size)
    assert 0 < sizes[0] < sizes[1]
    painter, cache = Model.load(find_painter()), tmp_path / "cache"
    for _ in range(2):  # the second time there is nothing to do
        add_material([tmp_path], cache, painter)
        entries = [json.loads(line) for line in (cache / "index.jsonl").read_text().splitlines()]
        names = [entry["name"] for entry in entries]
        assert len(set(names)) == len(names) == (4 if entries[0]["held_out"] else 2)
    planes_of = np.load(cache / f"{names[0]}.npy")
    assert planes_of.shape == (3, 256 * 288 * 3 // 2)
    assert np.array_equal(planes_of[0, : 256 * 288].reshape(256, 288), picture[0])
    assert (planes_of[1] != planes_of[2]).any()  # painted


def test_material_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no training pictures"):
        Material(tmp_path, held_out=False)
