"""A small GVC1D network of random weights, whose tiles have tokens of their own."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from gvcodec.gvc1d.model import Config, initial_weights
from gvcodec.gvc1d.weights import FORM

#: Tokens of a frame, and their integers.
RUN, CHANNELS = 2, 3
SMALL = Config(64, 8, 16 * RUN, CHANNELS, 16, 2, 1, "L", "L", 2, memory=4, memory_layers=1)


def write_network(path: Path, config: Config = SMALL) -> Path:
    """A random network whose predictions depend on the integers before."""
    arrays = initial_weights(config, 0)
    rng = np.random.default_rng(1)
    shape = arrays["laplace.weight"].shape
    arrays["laplace.weight"] = rng.normal(0, 0.2, shape).astype(np.float32)
    save_file(arrays, path, {"form": FORM, "config": json.dumps(asdict(config))})
    return path
