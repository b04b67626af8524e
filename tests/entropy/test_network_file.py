"""Files of integer networks, and scales of Laplace tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gvcodec.entropy import streams
from gvcodec.entropy.network_file import read_network, write_network
from gvcodec.errors import MediaError, NewerModelError
from tests.networks import make_layers

NETWORK = make_layers(np.random.default_rng(58), [58, 16, 3])
INPUTS = NETWORK[0].weight.shape[1]


def test_networks_come_back(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    write_network(path, NETWORK, "a-1")
    found = read_network(path, "a-1", INPUTS, "a network")
    seen = np.random.default_rng(1).integers(0, 128, (5, INPUTS)).astype(np.uint8)
    assert np.array_equal(streams.forward(found, seen), streams.forward(NETWORK, seen))
    assert [path] == list(tmp_path.iterdir())


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    write_network(path, NETWORK, "a-1")
    with pytest.raises(NewerModelError, match="a network of form 'a-1', this decoder's is a-2"):
        read_network(path, "a-2", INPUTS, "a network")
    with pytest.raises(MediaError, match="not a network"):
        read_network(path, "a-1", INPUTS + 1, "a network")
    write_network(path, NETWORK[:1], "a-1")
    with pytest.raises(MediaError, match="16 outputs instead of 3"):
        read_network(path, "a-1", INPUTS, "a network")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MediaError, match="not a network"):
        read_network(path, "a-1", INPUTS, "a network")


def test_scales_double_every_six_tables() -> None:
    widest = streams.scale_index([64.0, 32.0, 16.0, 1e6, 0.0])
    assert widest.tolist() == [63, 57, 51, 63, 0]
    assert streams.backend_of("cpu") == "cpu"
