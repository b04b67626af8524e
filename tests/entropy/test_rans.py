"""Integers through the range coder and the integer network: core = second decoder."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.decoder.entropy import Rans
from gvcodec import _core
from tests.networks import forward, make_layers

SCALES = 0, 7, 15, 22, 30, 44, 63
means = st.integers(-(2**15), 2**15 - 1)
values = st.one_of(st.integers(-20, 20), st.integers(-600, 600), st.integers(-(2**31), 2**31 - 1))


@settings(max_examples=80)
@given(st.lists(st.tuples(values, st.sampled_from(SCALES), means), max_size=40))
def test_the_second_decoder_reads_integers_of_the_core(items: list[tuple[int, int, int]]) -> None:
    value = np.array([v for v, _, _ in items], np.int32)
    scale = np.array([s for _, s, _ in items], np.uint8)
    mean = np.array([m for _, _, m in items], np.int16)
    data = _core.cdf_encode(value, scale, mean)
    rans = Rans(data)
    assert [rans.integer(s, m) for _, s, m in items] == value.tolist()
    rans.close()
    decoded, whole = _core.cdf_decode(data, scale, mean)
    assert whole and (decoded == value).all()


@settings(max_examples=60)
@given(st.binary(max_size=80), st.lists(st.sampled_from(SCALES), max_size=40), means)
def test_any_bytes_decode_to_some_integers(data: bytes, scales: list[int], mean: int) -> None:
    models = np.array(scales, np.uint8), np.full(len(scales), mean, np.int16)
    decoded, whole = _core.cdf_decode(data, *models)
    rans = Rans(data)
    assert decoded.tolist() == [rans.integer(s, mean) for s in scales] and whole == rans.is_whole()


@pytest.mark.parametrize("scale", [24, 36, 48, 63])
def test_integers_cost_their_entropy(scale: int) -> None:
    deviation = 64 * 2 ** ((scale - 63) / 6)
    rng = np.random.default_rng(scale)
    mean = rng.integers(-400, 400, 20_000).astype(np.int16)
    value = np.round(mean / 8 + rng.laplace(0, deviation, mean.size)).astype(np.int32)
    probability = laplace_probability(value - mean / 8, deviation)
    data = _core.cdf_encode(value, np.full(mean.size, scale, np.uint8), mean)
    # Tables end at 1/512 and hold 16 bits.
    assert len(data) <= -np.log2(probability).sum() / 8 * 1.004 + 3


def laplace_probability(distance: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    def below(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(
            x < 0,
            np.exp(np.minimum(x, 0) / deviation) / 2,
            1 - np.exp(-np.maximum(x, 0) / deviation) / 2,
        )

    return below(distance + 0.5) - below(distance - 0.5)


def test_golden_words() -> None:
    value = np.array([0, 3, -7, 500, -70_000, 2**31 - 1], np.int32)
    mean = np.array([0, 8, -30, 4001, 9, -3], np.int16)
    data = _core.cdf_encode(value, np.array([0, 7, 21, 50, 63, 63], np.uint8), mean)
    assert data.hex() == "17c176c2ff47c4c79020ffefffdffffffa00"


def test_wrong_scales_are_refused() -> None:
    one = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="scale is"):
        _core.cdf_encode(one, np.array([64], np.uint8), np.zeros(1, np.int16))
    with pytest.raises(ValueError, match="as many"):
        _core.cdf_encode(one, np.zeros(2, np.uint8), np.zeros(2, np.int16))


@pytest.mark.usefixtures("form")
@settings(max_examples=80)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 70), min_size=2, max_size=5),
    st.integers(0, 11),
)
def test_core_equals_reference(seed: int, sizes: list[int], rows: int) -> None:
    rng = np.random.default_rng(seed)
    layers = make_layers(rng, sizes)
    x = rng.integers(0, 128, (rows, sizes[0])).astype(np.uint8)
    assert (_core.intnet_forward(layers, x) == forward(layers, x)).all()


def test_networks_that_cannot_be_are_refused() -> None:
    good = make_layers(np.random.default_rng(0), [4, 3, 2])
    x = np.zeros((1, 4), np.uint8)
    bad = {
        "at least one": [],
        "do not fit together": [good[0], good[0]],
        "activations are": [good[0]._replace(high=128), good[1]],
        "shift is": [good[0]._replace(shift=0), good[1]],
        "empty range": [good[0], good[1]._replace(low=1, high=0)],
        "another shape": [good[0]._replace(bias=np.zeros(2, np.int32)), good[1]],
        "bias beyond": [good[0]._replace(bias=np.full(3, 2**30 + 1, np.int32)), good[1]],
    }
    for message, layers in bad.items():
        with pytest.raises(ValueError, match=message):
            _core.intnet_forward(layers, x)
    with pytest.raises(ValueError, match="first layer"):
        _core.intnet_forward(good, np.zeros((1, 5), np.uint8))
