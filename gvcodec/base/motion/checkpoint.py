"""The file of the entropy network of base motion: safetensors, integers alone.

Tensors `I.weight` (int8), `I.bias` and `I.multiplier` (int32) and `I.bounds` (int32: shift, low,
high) are those of layer I; metadata `form` is `FORM`. Its inputs are the `TREE_SIDE` activations
and `TREE_BACK` values before of csrc/motion_tree/contexts.hpp, its outputs those of
`gvcodec.entropy.streams`. The first eight bytes of the file's SHA-256 stand in every stream.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gvcodec._core import TREE_BACK, TREE_SIDE
from gvcodec.entropy.network import Layer
from gvcodec.errors import MediaError
from gvcodec.util.models import shipped_folders

NAME = "motion.safetensors"
#: Changes with what the activations mean.
FORM = "3"
_MOST_LAYERS, _OUTPUTS = 8, 3
_PARTS = ("weight", "bias", "multiplier", "bounds")


def find_motion_model() -> Path:
    """The model to encode with. Raises `MediaError` when there is none."""
    for folder in shipped_folders():
        if (folder / NAME).is_file():
            return folder / NAME
    raise MediaError(f"{shipped_folders()[0] / NAME}: no model of base motion here")


def read_network(path: Path) -> list[Layer]:
    """The entropy network. Raises `MediaError`."""
    from safetensors import SafetensorError, safe_open

    layers: list[Layer] = []
    try:
        with safe_open(path, "np") as file:
            form = (file.metadata() or {}).get("form", "none")
            if form != FORM:
                raise ValueError(f"its form is {form!r:.20}, this decoder's is {FORM}")
            names = set(file.keys())
            while f"{len(layers)}.weight" in names and len(layers) < _MOST_LAYERS:
                weight, bias, multiplier, bounds = (
                    file.get_tensor(f"{len(layers)}.{part}") for part in _PARTS
                )
                layers.append(Layer(weight, bias, multiplier, *(int(v) for v in bounds)))
        _check(layers)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise MediaError(f"{path}: not a model of base motion ({error})") from None
    return layers


def _check(layers: Sequence[Layer]) -> None:
    """Raises `ValueError`, `TypeError`."""
    from gvcodec.entropy.streams import forward
    from gvcodec.errors import UsageError

    inputs = TREE_SIDE + TREE_BACK
    try:
        shape = forward(layers, np.zeros((1, inputs), np.uint8)).shape
    except UsageError as error:
        raise ValueError(str(error)) from None
    if shape != (1, _OUTPUTS):
        raise ValueError(f"{shape[1]} outputs instead of {_OUTPUTS}")


def write_network(path: Path, network: Sequence[Layer]) -> None:
    """Write a model file, atomically."""
    from safetensors.numpy import save

    tensors = {}
    for i, layer in enumerate(network):
        bounds = np.array([layer.shift, layer.low, layer.high], np.int32)
        for part, value in zip(_PARTS, (*layer[:3], bounds), strict=True):
            tensors[f"{i}.{part}"] = np.ascontiguousarray(value)
    partial = path.with_suffix(".part")
    partial.write_bytes(save(tensors, {"form": FORM}))
    os.replace(partial, path)
