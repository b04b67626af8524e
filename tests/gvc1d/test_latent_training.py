"""Training of the entropy network of tokens, the router, shipped weights and their cards."""

import hashlib
import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from gvcodec import models
from gvcodec.allocation.router import Router, RunningMean, route
from gvcodec.gvc1d.checkpoint import load_model
from gvcodec.gvc1d.codec import LatentReader, open_entropy_model
from gvcodec.gvc1d.config import SMALL
from gvcodec.gvc1d.entropy_model import EntropyModel, Memory
from gvcodec.gvc1d.files import entropy_beside, pair_id
from gvcodec.gvc1d.frame_options import TokenSettings
from gvcodec.gvc1d.token_encoder import LatentEncoder
from gvcodec.gvc1d.token_network import TokenNetwork
from gvcodec.gvc1d.token_places import CHANNELS
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import GVC1D_SMALL, ROUTER, model_id, save_weights
from gvcodec.types import VideoFormat
from tests.clips import make_clip
from tests.gvc1d.tiny import CONFIG, write_model
from training import integer_network, latent_entropy
from training.__main__ import main
from training.gvc1d.card import measure_built_in
from training.router import _errors

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Runs of the two halves, whose integers follow those of the frame before."""
    folder, rng = tmp_path_factory.mktemp("material"), np.random.default_rng(3)
    for number in range(12):
        values = np.round(rng.laplace(0, 1.5, (4, 4, 8, CHANNELS)))
        values[1:] = np.where(rng.random(values[1:].shape) < 0.8, values[:1], values[1:])
        counts = np.full((4, 4), 8, np.uint8)
        found = {"values": values.astype(np.int8), "counts": counts, "rate": 3, "phases": 1}
        np.savez(folder / f"clip{number}.0.npz", grid=np.array([2, 2]), **found)
    return folder


def test_training_lowers_bits_and_the_card_says_what_each_part_is_worth(material, tmp_path) -> None:
    target = tmp_path / "tiny-entropy.safetensors"
    assert main(["latent_entropy", "train", str(material), str(target), "--minutes", "0.05"]) == 0
    kept_out = latent_entropy.load(material, True)
    network = latent_entropy.read(target)
    bits = integer_network.bits_a_window(network, kept_out)
    blind = [layer._replace(weight=0 * layer.weight) for layer in network]
    assert bits < 0.8 * integer_network.bits_a_window(blind, kept_out)
    main(["latent_entropy", "card", str(material), str(target), "--minutes", "0.01"])
    card = json.loads(target.with_suffix(".json").read_text())
    assert card["bits a window"]["shipped"] == round(bits, 2)
    assert card["bits a window"]["memory shuffled"] > 1.1 * bits


def test_material_is_what_the_coder_sees(material) -> None:
    """Bits by inputs equal those of real packets, but for the ends of streams."""
    loaded = latent_entropy.load(material, False, most=1)
    assert loaded.files == 1 and loaded.windows == 16
    network = integer_network.network_of(integer_network.Twin(latent_entropy.INPUTS))
    by_inputs = integer_network.bits_a_window(network, loaded) * loaded.windows
    model = EntropyModel(network, 2, 2, 8)
    memory, total = Memory.empty(4, 8), 0
    chosen = [f for f in sorted(material.glob("*.npz")) if not integer_network.held_out(f.name)]
    run = np.load(chosen[np.random.default_rng(1).permutation(len(chosen))[0]])
    for values, counts in zip(run["values"].astype(np.int16), run["counts"], strict=True):
        total += 8 * sum(map(len, model.encode(values, counts, memory, 3)))
        memory = memory.after(values, counts)
    assert abs(total - by_inputs) < 4 * 40


def test_material_from_a_model(tmp_path) -> None:
    model = write_model(tmp_path)
    frames = make_clip(96, 64, 2, seed=2)
    fmt = VideoFormat(96, 64, Fraction(25), Fraction(1, 25))
    values, grid = latent_entropy.code(frames, fmt, model, 2, 60)
    assert values.shape == (2, 2, 8, CHANNELS) and grid == (1, 2) and values.any()
    before = pair_id(model)
    entropy_beside(model).write_bytes(entropy_beside(model).read_bytes() + b" ")
    assert pair_id(model) != before


FORMAT = VideoFormat(120, 70, Fraction(25), Fraction(1, 25))


def write_router(folder, tokenizer: bytes) -> None:
    rng = np.random.default_rng(3)
    width = CONFIG.tokens + 1
    shapes = {"centre": width, "scale": width, "linear": width, "hidden": (4, width)}
    shapes |= {"hidden_bias": 4, "out": 4}
    parts = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    weights = {name: torch.from_numpy(x) for name, x in (parts | {"out_bias": np.ones(1)}).items()}
    save_weights(weights, folder / ROUTER.name, {"tokenizer": tokenizer.hex()})


def test_frames_get_what_the_router_predicts(tmp_path, monkeypatch) -> None:
    model = write_model(tmp_path)
    write_router(tmp_path, model_id(model))
    folders = [tmp_path, *models.shipped_folders()]
    monkeypatch.setattr(models, "shipped_folders", lambda: folders)
    assert Router.find(b"another") is None
    seen: list[np.ndarray] = []
    plain = Router.predict

    def watched(self: Router, values: np.ndarray, rate: float) -> np.ndarray:
        assert rate == 4 / CONFIG.tokens
        seen.append(plain(self, values, rate))
        return seen[-1]

    monkeypatch.setattr(Router, "predict", watched)
    monkeypatch.setattr(LatentEncoder, "_survey", None)  # no decode beforehand
    encoder = LatentEncoder(FORMAT, model, TokenSettings(4, 2, alloc="elbo"), 500.0)
    for planes in make_clip(120, 70, 3):
        grey = tuple(np.full_like(plane, 512) for plane in planes)
        encoder.send(planes, grey, grey)
    payloads = encoder.finish_gop()
    reader = LatentReader(open_entropy_model(FORMAT, model))
    mean, different = RunningMean(), False
    for elbo, payload in zip(seen, payloads, strict=True):
        assert payload is not None and elbo.shape == (4,)
        expected = route(elbo, mean.update(elbo), CONFIG.tokens, 4)
        assert reader.read(payload).counts.tolist() == expected.tolist()
        different |= len(set(expected.tolist())) > 1
    assert different


def test_the_shipped_router_knows_busy_windows() -> None:
    """By contrast and detail; not where tokens are zeroed or those of other windows."""
    tokenizer, head = Tokenizer(), Router.find(model_id(GVC1D_SMALL.find()))
    if head is None:
        pytest.skip("no router is shipped for the shipped tokenizer")
    rng = np.random.default_rng(5)
    luma = np.full((512, 1024), 500.0)
    for i in range(8):
        row, column = i // 4 * 256, i % 4 * 256
        grain = 2 ** (5 - i // 2)
        noise = rng.normal(0, 12 * (i + 1), (256 // grain, 256 // grain))
        luma[row : row + 256, column : column + 256] += noise.repeat(grain, 0).repeat(grain, 1)
    grey = np.full((256, 512), 512, np.uint16)
    planes = (luma.clip(0, 1023).astype(np.uint16), grey, grey)
    values = tokenizer.encode([planes]).values
    errors, bits = _errors(tokenizer, values, planes)[0], tokenizer.bits(values)[0].numpy()
    measured = np.log(errors / errors.mean() + bits / bits.mean())

    def agreement(seen: np.ndarray) -> float:
        return float(np.corrcoef(np.log(head.predict(seen)), measured)[0, 1])

    assert agreement(values[0]) > 0.7
    assert agreement(values[0][[5, 2, 7, 0, 3, 6, 1, 4]]) < agreement(values[0]) - 0.3
    assert np.ptp(head.predict(np.zeros_like(values[0]))) == 0


def test_the_shipped_router_says_what_it_explains() -> None:
    """Its card: held-out variance, and that nothing is left of it with other tokens."""
    card = json.loads(ROUTER.find().with_suffix(".json").read_text())
    assert card["explained"] > 0.5 and card["zeroed"] < 0.2 and card["shuffled"] < 0.2


#: Of each row of the card.
PARTS = dict.fromkeys(["no base", "base"], ("zeroed", "shuffled", "features", "local"))
PARTS |= {"return": ("memory", "shuffled memory"), "half the windows": ("global",)}
#: What the loss rises by at least, in per cent, without tokens or a memory that are alive, or with
#: those of another clip.
ALIVE = dict.fromkeys([("no base", "zeroed"), ("no base", "shuffled")], 30)
ALIVE |= dict.fromkeys([("return", "memory"), ("return", "shuffled memory")], 1.5)


@pytest.fixture(scope="module")
def model() -> TokenNetwork:
    return load_model()


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads(GVC1D_SMALL.find().with_suffix(".json").read_text())


def test_the_card_is_that_of_the_weights(card: dict) -> None:
    assert card["sha256"] == hashlib.sha256(GVC1D_SMALL.find().read_bytes()).hexdigest()
    assert load_model().config == SMALL


@pytest.mark.parametrize("name", PARTS)
def test_each_part_costs_what_its_card_says(model: TokenNetwork, card: dict, name: str) -> None:
    row = card["built-in clip"][name]
    whole = measure_built_in(model, name)
    assert whole["loss"] == pytest.approx(row["loss"], rel=0.02)
    assert whole["bits"] == pytest.approx(row["bits"], rel=0.02)
    for part in PARTS[name]:
        cost = 100 * (measure_built_in(model, name, part)["loss"] / whole["loss"] - 1)
        assert cost == pytest.approx(row[f"{part}, %"], abs=1 + 0.05 * abs(cost))
        assert cost > ALIVE.get((name, part), -100)
