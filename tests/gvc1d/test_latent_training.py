"""Training of the entropy network of latent tokens: material, bits that fall, a card."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("torch")

from gvcodec.gvc1d.entropy_model import EntropyModel, Memory
from gvcodec.gvc1d.files import entropy_beside, pair_id
from gvcodec.gvc1d.token_places import CHANNELS
from gvcodec.types import VideoFormat
from tests.clips import make_clip
from tests.gvc1d.tiny import write_model
from training import integer_network, latent_entropy
from training.__main__ import main


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Runs of the two halves, whose integers follow those of the frame before."""
    folder, rng = tmp_path_factory.mktemp("material"), np.random.default_rng(3)
    for number in range(12):
        values = np.round(rng.laplace(0, 1.5, (4, 4, 8, CHANNELS)))
        values[1:] = np.where(rng.random(values[1:].shape) < 0.8, values[:1], values[1:])
        counts = np.full((4, 4), 8, np.uint8)
        found = {"values": values.astype(np.int8), "counts": counts, "rate": 3, "base": True}
        found |= {"begins": np.arange(4) == 0, "phases": 1}
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
    model = EntropyModel(network, 2, 2, 8, True)
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
    for q in (60, None):
        values, begins, grid = latent_entropy.code(frames, fmt, model, 2, q)
        passes = 3 if q is None else 2  # of a model of two phases
        assert values.shape == (passes, 2, 8, CHANNELS) and grid == (1, 2) and values.any()
        assert begins.tolist() == [True, *[False] * (passes - 1)]
    before = pair_id(model)
    entropy_beside(model).write_bytes(entropy_beside(model).read_bytes() + b" ")
    assert pair_id(model) != before
