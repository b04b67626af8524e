"""Files of integer networks, and scales of Laplace tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gvcodec.entropy import streams
from gvcodec.entropy.network_file import check_form, layers_in, tensors_of
from gvcodec.errors import NewerModelError, UsageError
from tests.networks import make_layers

NETWORK = make_layers(np.random.default_rng(58), [58, 16, 3])
INPUTS = NETWORK[0].weight.shape[1]


def test_networks_come_back() -> None:
    found = layers_in(tensors_of(NETWORK, "net."), INPUTS, "net.")
    seen = np.random.default_rng(1).integers(0, 128, (5, INPUTS)).astype(np.uint8)
    assert np.array_equal(streams.forward(found, seen), streams.forward(NETWORK, seen))


def test_other_networks_are_refused() -> None:
    with pytest.raises(NewerModelError, match="a network of form 'a-1', this decoder's is a-2"):
        check_form(Path("x"), {"form": "a-1"}, "a-2", "a network")
    tensors = tensors_of(NETWORK)
    with pytest.raises(UsageError):
        layers_in(tensors, INPUTS + 1)
    with pytest.raises(ValueError, match="16 outputs instead of 3"):
        layers_in(tensors_of(NETWORK[:1]), INPUTS)
    del tensors["1.bias"]
    with pytest.raises(KeyError, match=r"1\.bias"):
        layers_in(tensors, INPUTS)


def test_scales_double_every_six_tables() -> None:
    widest = streams.scale_index([64.0, 32.0, 16.0, 1e6, 0.0])
    assert widest.tolist() == [63, 57, 51, 63, 0]
