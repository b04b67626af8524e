"""Networks of random weights that tests make, as files."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.numpy import save_file

from gvcodec.gvc1d.model import Config, initial_weights
from gvcodec.gvc1d.weights import FORM

#: Windows of natural video, whose tokens are as many as LP-Comp reads; one layer.
WIDE = Config(256, 32, 32, 2, 16, 2, 1, "L", "L", 1, memory=0)


def write_network(path: Path, config: Config = WIDE, seed: int = 0) -> Path:
    """Untrained weights, as if after 12 steps with seed 3."""
    metadata = {"form": FORM, "config": json.dumps(asdict(config)), "steps": "12", "seed": "3"}
    save_file(initial_weights(config, seed), path, metadata)
    return path
