"""The adaptive entropy model against static tables: the measure itself, and what it says about
clips of the test set."""

from __future__ import annotations

import numpy as np
import pytest
from clips import DATA, make_clip, needs_clips

from eval.experiments.static_tables import CHANNELS, SYNTAX, Tables, count_clips, read_clips
from gvcodec.structure.klt.reference_contexts import FAMILIES, SLOT


def family(seen: np.ndarray, name: str) -> np.ndarray:
    first = SLOT(name, *(0 for _ in FAMILIES[name]))
    return seen[first : first + int(np.prod(FAMILIES[name]))]


class Spy(Tables):
    """Compares the two ways in which a decoder tells what it read."""

    def add(self, decoder, payload: bytes, key: bool) -> None:  # type: ignore[no-untyped-def]
        super().add(decoder, payload, key)
        seen, _ = decoder.decisions(key)
        tokens = [decoder.tokens(level) for level in range(5)]
        significant = sum(int((np.abs(value) > 0).sum()) for value, _ in tokens)
        last_ones = sum(int((last >= 0).sum()) for _, last in tokens)
        larger = sum(int((np.abs(value) > 1).sum()) for value, _ in tokens)
        assert family(seen, "sig.index")[:, 1].sum() == significant - last_ones
        assert family(seen, "big.index").sum() == significant
        assert family(seen, "big.index")[:, 1].sum() == larger
        assert family(seen, "sign.near").sum() + family(seen, "sign.rest").sum() == significant


def test_tokens_and_decisions_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.experiments.static_tables.Tables", Spy)
    found = count_clips([make_clip(80, 64, 6, seed=2)], 30)
    assert sum(t.frames for t in found.values()) == 6
    for tables in found.values():
        assert isinstance(tables, Spy)
        # Tables made of the very symbols they code: no more than what the adaptive model, which
        # knew nothing, paid.
        assert tables.cost(tables, SYNTAX) < 1.1 * tables.real_bytes


@pytest.mark.slow
@needs_clips
@pytest.mark.parametrize("clip", ["dev2_motorway_1080p", "dev6_std_foreman_cif"])
@pytest.mark.parametrize("q", [24, 40, 56])
def test_adaptive_model_is_a_fifth_below_static_tables(clip: str, q: int) -> None:
    trained = count_clips(read_clips(sorted((DATA / "train").glob("*.mp4"))[::8], 9, 416, 240), q)
    tested = count_clips(read_clips([DATA / "devtest" / f"{clip}.mp4"], 16, 416, 240), q)
    static = sum(tables.cost(trained[kind], CHANNELS) for kind, tables in tested.items())
    assert sum(tables.real_bytes for tables in tested.values()) < 0.8 * static
