"""Tokens of a `fit` in the second decoder, against an encoder written here."""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from conformance.decoder import models
from conformance.decoder.fit import read_fit
from conformance.decoder.painter import Painter
from conformance.decoder.region_tokens import RegionTokens, network_of
from conformance.decoder.wire import Damaged, Newer, Refused
from conformance.mutate import disturbed
from gvcodec import _core
from gvcodec.errors import GvcodecError
from gvcodec.painter.model import Model
from gvcodec.painter.payload import split_extras
from gvcodec.painter.token_coding import style_offsets_of, unpack
from tests.conftest import moving_texture
from tests.region_tokens import coded, fit_of, header_of, order_of, painter_with_tokens

ROOT = Path(__file__).resolve().parents[2] / "conformance"
#: The painter of the conformance files with tokens.
STEERED = json.loads((ROOT / "files/tokens.json").read_text())["container"]["painter_id"]


@pytest.mark.parametrize("dimensions", [4, 8, 16])
@pytest.mark.parametrize(
    ("width", "height", "depths"),
    [
        (75, 53, [3]),
        (256, 256, [2]),
        (300, 200, [1, 3]),
        (513, 263, [3, 0, 3, 2, 1, 3]),
        (130, 700, [0, 0, 0]),
    ],
)
def test_tokens_are_what_the_core_coded(
    tmp_path: Path, dimensions: int, width: int, height: int, depths: list[int]
) -> None:
    path, header = painter_with_tokens(tmp_path / "a", dimensions), header_of(width, height)
    model = models.painter(path.read_bytes())
    order = order_of(width, height, depths)
    rng = np.random.default_rng(len(order))
    values = rng.integers(-7, 8, (len(order), dimensions)).astype(np.int32)
    data = coded(path, header, depths, values)
    fit = read_fit(fit_of(data), model, header)
    assert fit.tokens is not None and fit.changes
    assert [v for window in fit.tokens.answer() for v in window] == values.ravel().tolist()
    assert [len(window) > 0 for window in fit.tokens.windows] == [depth > 0 for depth in depths]
    assert ("tokens" in fit.answer()) == any(depths)
    before, after = bytes([50, 7, 4, 0, 0, 0, 0, 0xF8]), bytes([255, 255, 255])
    whole = read_fit(b"\x2f" + before + fit_of(data)[1:] + after, model, header)
    assert (whole.noise, whole.keep, whole.factors) == (50, 7, [4, 0, 0, 0, 0, -8])
    assert whole.tokens == fit.tokens and whole.deltas == {}


def test_damaged_tokens_are_refused(tmp_path: Path) -> None:
    path, header = painter_with_tokens(tmp_path / "a", 4), header_of(300, 300)
    model, depths = models.painter(path.read_bytes()), [1, 0, 2, 0]
    values = np.ones((len(order_of(300, 300, depths)), 4), np.int32)
    data = coded(path, header, depths, values)
    assert read_fit(fit_of(data), model, header).tokens is not None
    beyond = values.copy()
    beyond[-1, 3] = -8
    narrow = header_of(300, 200)  # two windows
    for bad, seen in (
        (b"\x20", header),
        (b"\x20\x80\0", header),
        (fit_of(data)[:-1], header),
        (fit_of(b""), header),
        (fit_of(data[:-1]), header),
        (fit_of(data + b"\1"), header),
        (fit_of(b"\0\0"), header),
        (fit_of(b"\x10"), narrow),
        (fit_of(coded(path, header, depths, beyond)), header),
        (fit_of(b"\0", rest=b"\1"), header),
    ):
        with pytest.raises(Damaged):
            read_fit(bad, model, seen)
    with pytest.raises(Damaged, match="without any"):
        read_fit(fit_of(b"\0"), {}, header)
    with pytest.raises(Newer):
        read_fit(b"\x30", model, header)
    assert read_fit(fit_of(b"\0"), model, header).answer() == {
        "noise": 64, "keep": 0, "deltas": {}
    }  # fmt: skip


@pytest.mark.parametrize(
    "others",
    [
        {"tokens__weight": None},
        {"tokens__0__weight": None},
        {"tokens__0__bias": None},
        {"tokens__1__bounds": None},
        {"tokens__1__weight": None},
        {"tokens__weight": np.zeros((32, 6), np.int16)},
        {"tokens__weight": np.zeros((32, 20), np.int16)},
        {"tokens__weight": np.zeros((28, 8), np.int16)},
        {"tokens__weight": np.zeros((32, 8), np.int8)},
        {"tokens__weight": np.full((32, 8), -509, np.int16)},
        {"tokens__weight": np.zeros((32, 12), np.int16)},
        {"tokens__0__bias": np.zeros(8, np.int16)},
    ],
    ids=lambda others: "-".join(others),
)
def test_a_painter_has_all_tensors_of_tokens_or_none(
    tmp_path: Path, others: dict[str, Any]
) -> None:
    path = painter_with_tokens(tmp_path / "a", 8, **others)
    with pytest.raises(Damaged):
        network_of(models.painter(path.read_bytes()))


def test_levels_are_bilinear_between_centres_of_regions() -> None:
    quadrant = {(1, 0, 0): [1], (1, 0, 1): [-1]}
    regions = {(2, 0, 0): [1], (2, 0, 1): [7], (2, 1, 0): [-2], (2, 0, 2): [7]}
    window = {(0, 0, 0): [2]} | quadrant | regions
    levels = RegionTokens(1, [window]).levels(80, 144)[0]
    assert levels.shape == (10, 18)
    # Regions: 8 · (2 + 1 + 1) = 32, 8 · 10, cut to 63, 8 · 8, too; below 8, 24, 8.
    first = [(32 * (16 - f) + 63 * f) / 16 for f in range(1, 16, 2)]
    assert levels[0].tolist() == [32] * 4 + [int(level + 0.5) for level in first] + [63] * 6
    assert levels[9, 0] == int((32 * 5 + 8 * 11) / 16 + 0.5)
    corner = (32 * 25 + 63 * 55 + 8 * 55 + 24 * 121) / 256
    assert levels[9, 9] == int(corner + 0.5)
    assert RegionTokens(4, [{}]).levels(16, 32).tolist() == np.zeros((4, 2, 4)).tolist()


def test_levels_move_what_style_sees(tmp_path: Path) -> None:
    """Of one token for all of the picture: as another bias of `style`."""
    path, header = painter_with_tokens(tmp_path / "a", 8), header_of(75, 53)
    model = models.painter(path.read_bytes())
    token = [3, -7, 0, 5, 7, -1, 2, 6]
    level = 8 * np.array(token)
    moved = model["style.bias"] + model["tokens.weight"].astype(int) @ level
    steered = Painter(model, header, RegionTokens(8, [{(0, 0, 0): token}]))
    biased, plain = Painter(model | {"style.bias": moved}, header), Painter(model, header)
    unsteered = Painter(model, header, RegionTokens(8, [{}]))
    for frame in moving_texture(75, 53, 2):
        base = [plane.astype(int) for plane in frame]
        shown = [painter.paint(base, 300) for painter in (steered, biased, plain, unsteered)]
        for one, other in ((0, 1), (2, 3)):
            assert all(map(np.array_equal, shown[one], shown[other]))
        assert not np.array_equal(shown[0][0], shown[2][0])


def test_both_decoders_say_the_same_of_mutated_tokens() -> None:
    """Of four windows, three of which stick out; levels where both read them."""
    path = ROOT / "models" / f"{STEERED}.safetensors"
    header, rng, drawn = header_of(260, 260), Random(1), np.random.default_rng(4)
    steered, model = Model.load(path).tokens, models.painter(path.read_bytes())
    assert steered is not None
    figures = Counter[bool]()
    for _ in range(200):
        depths = drawn.integers(0, 4, 4).tolist()
        values = drawn.integers(-7, 8, (len(order_of(260, 260, depths)), 8)).astype(np.int32)
        payload = fit_of(coded(path, header, depths, values * drawn.integers(0, 2, values.shape)))
        if rng.random() < 0.7:
            payload = disturbed(payload, rng)
        first: Any = None
        second: Any = None
        try:
            if (given := split_extras(payload)[1].tokens) is not None:
                first = style_offsets_of(unpack(given, steered, header.q, 260, 260)).tolist()
            _core.read_fit(payload, path.read_bytes(), 260, 260, header.q)
        except GvcodecError:
            first = "refused"
        try:
            if (found := read_fit(payload, model, header).tokens) is not None:
                second = found.of_regions(272, 272).tolist()
        except Refused:
            second = "refused"
        assert first == second, payload.hex()
        figures[first == "refused"] += 1
    assert min(figures[True], figures[False]) > 10
