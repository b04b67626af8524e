"""The shipped weights: alive in every part that the model card names."""

from __future__ import annotations

import hashlib
import json

import pytest

from gvcodec.gvc1d.checkpoint import load_model
from gvcodec.gvc1d.config import SMALL
from gvcodec.gvc1d.model import GVC1D
from gvcodec.models import GVC1D_SMALL
from training.gvc1d.card import measure_built_in

#: Of each row of the card.
PARTS = {
    "no base": ("zeroed", "shuffled", "features", "local"),
    "base": ("zeroed", "shuffled", "features", "local"),
    "return": ("memory", "shuffled memory"),
    "half the windows": ("global",),
}
#: What the loss rises by at least, in per cent, without tokens or a memory that are alive, or with
#: those of another clip.
ALIVE = {
    ("no base", "zeroed"): 30,
    ("no base", "shuffled"): 30,
    ("return", "memory"): 1.5,
    ("return", "shuffled memory"): 1.5,
}


@pytest.fixture(scope="module")
def model() -> GVC1D:
    return load_model()


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads(GVC1D_SMALL.find().with_suffix(".json").read_text())


def test_the_card_is_that_of_the_weights(card: dict) -> None:
    assert card["sha256"] == hashlib.sha256(GVC1D_SMALL.find().read_bytes()).hexdigest()
    assert load_model().config == SMALL


@pytest.mark.parametrize("name", PARTS)
def test_each_part_costs_what_its_card_says(model: GVC1D, card: dict, name: str) -> None:
    row = card["built-in clip"][name]
    whole = measure_built_in(model, name)
    assert whole["loss"] == pytest.approx(row["loss"], rel=0.02)
    assert whole["bits"] == pytest.approx(row["bits"], rel=0.02)
    for part in PARTS[name]:
        cost = 100 * (measure_built_in(model, name, part)["loss"] / whole["loss"] - 1)
        assert cost == pytest.approx(row[f"{part}, %"], abs=1 + 0.05 * abs(cost))
        assert cost > ALIVE.get((name, part), -100)
