"""A small GVC1D network with random weights, for conformance files and tests."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from gvcodec.gvc1d.model import Config, initial_weights
from gvcodec.gvc1d.weights import FORM

TINY = Config(
    window=32, patch=8, tokens=4, channels=4, width=16, heads=2, encoder="LG", decoder="LG",
    entropy_layers=2, memory=6, memory_layers=1, grid=3,
)  # fmt: skip


def tiny_weights(config: Config = TINY) -> dict[str, np.ndarray]:
    """Weights whose integers and predictions are not trivial."""
    weights = initial_weights(config, 3)
    rng = np.random.default_rng(4)
    weights["laplace.weight"] = (0.3 * rng.normal(size=(16, 3 * config.channels))).astype("f4")
    return {name: value.astype(np.float16) for name, value in weights.items()}


def save_tiny(path: Path, config: Config = TINY) -> Path:
    """A weight file of it."""
    metadata = {"form": FORM, "config": json.dumps(asdict(config))}
    save_file(tiny_weights(config), path, metadata)
    return path
