"""Integer network: core = second decoder, at every size and at the extremes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvcodec import _core
from tests.networks import forward, make_layers


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
