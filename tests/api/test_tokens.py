"""`gvcodec.tokens`: what an independent decoder read from the conformance files, as arrays."""

import json
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.errors import LimitError, WrongModelError
from gvcodec.limits import Limits

CONFORMANCE = Path(__file__).parents[2] / "conformance"
FILES, MODELS = CONFORMANCE / "files", [CONFORMANCE / "models"]


def _expect(name: str) -> dict:
    return json.loads((FILES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["tokens", "token-windows"])
def test_tokens_of_the_painter_are_those_of_the_second_decoder(name: str) -> None:
    sets = gvcodec.tokens(FILES / f"{name}.gvc", models=MODELS)
    windows = [fit["tokens"] for fit in _expect(name)["fit"] if fit and fit.get("tokens")]
    expected = [[value for window in fit for value in window] for fit in windows]
    coded = [one.values.ravel().tolist() for one in sets if len(one.values)]
    # A GOP without a packet of its own goes on with the tokens before: the same set.
    assert coded == [some for n, some in enumerate(expected) if n == 0 or some != expected[n - 1]]
    info = gvcodec.info(FILES / f"{name}.gvc")
    assert info.tokens == sum(len(one.values) for one in sets)
    assert 8 * info.token_bytes == sum(one.bits for one in sets)
    for one in sets:
        assert one.kind == "painter" and one.windows.shape == (len(one.values), 4)
        assert 0 <= one.frames[0] < one.frames[1] <= info.frames
        assert (one.windows[:, :2] < (info.width, info.height)).all()
        assert set(one.windows[:, 2:].ravel().tolist()) <= {256, 128, 64}


def test_tokens_of_a_network_are_those_of_its_frames() -> None:
    path = FILES / "gvc1d-network.gvc"
    sets = gvcodec.tokens(path, models=MODELS)
    packets = [packet for packet in gvcodec.info(path).packets if "frame" in packet]
    assert [one.frames for one in sets] == [(n, n + 1) for n in range(len(packets))]
    rows = [row for row in _find_lists(_expect("gvc1d-network")) if "lengths" in row]
    assert len(rows) >= len(sets)
    for one, row, packet in zip(sets, rows, packets, strict=False):
        assert one.kind == "network" and 0 < one.bits < 8 * packet["bytes"]
        _, counts = np.unique(one.windows[:, [1, 0]], axis=0, return_counts=True)
        assert counts.tolist() == [length for length in row["lengths"] if length]
        assert np.abs(one.values).max() > 0


def _find_lists(value: object) -> list[dict]:
    """Objects inside of a JSON value, in order."""
    if isinstance(value, dict):
        return [value, *(row for part in value.values() for row in _find_lists(part))]
    return [row for part in value for row in _find_lists(part)] if isinstance(value, list) else []


def test_streams_without_tokens_and_without_their_model() -> None:
    assert gvcodec.tokens(FILES / "av1.gvc") == []
    for name in ("tokens", "gvc1d-network"):
        with pytest.raises(WrongModelError):
            gvcodec.tokens(FILES / f"{name}.gvc")
    with pytest.raises(LimitError):
        gvcodec.tokens(FILES / "tokens.gvc", models=MODELS, limits=Limits(max_pixels=100))
