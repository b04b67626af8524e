"""Integer networks on disk: safetensors that hold nothing but integers.

Layer I has tensors `I.weight` (int8), `I.bias` and `I.multiplier` (int32) and `I.bounds` (int32:
shift, low, high); metadata `form` changes whenever the meaning of the activations does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gvcodec.entropy.network import Layer
from gvcodec.entropy.streams import forward
from gvcodec.errors import MediaError, NewerModelError, UsageError
from gvcodec.models import read_arrays

_MOST_LAYERS, _OUTPUTS = 8, 3
_PARTS = ("weight", "bias", "multiplier", "bounds")


def read_network(path: Path, form: str, inputs: int, what: str) -> list[Layer]:
    """The layers in a file of form `form`, with `inputs` inputs and the outputs that
    `gvcodec.entropy.streams` expects. `what`: its name in errors. Raises `NewerModelError` for
    another form, `MediaError` for another file."""
    layers: list[Layer] = []
    try:
        arrays, metadata = read_arrays(path)
        found = metadata.get("form", "none")
        if found != form:
            raise NewerModelError(f"{path}: {what} of form {found!r:.20}, this decoder's is {form}")
        while f"{len(layers)}.weight" in arrays and len(layers) < _MOST_LAYERS:
            weight, bias, multiplier, bounds = (arrays[f"{len(layers)}.{part}"] for part in _PARTS)
            layers.append(Layer(weight, bias, multiplier, *(int(v) for v in bounds)))
        _check(layers, inputs)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise MediaError(f"{path}: not {what} ({error})") from None
    return layers


def _check(layers: Sequence[Layer], inputs: int) -> None:
    try:
        shape = forward(layers, np.zeros((1, inputs), np.uint8)).shape
    except UsageError as error:
        raise ValueError(str(error)) from None
    if shape != (1, _OUTPUTS):
        raise ValueError(f"{shape[1]} outputs instead of {_OUTPUTS}")


def write_network(path: Path, network: Sequence[Layer], form: str) -> None:
    """Write a file, atomically."""
    from safetensors.numpy import save

    tensors = {}
    for i, layer in enumerate(network):
        bounds = np.array([layer.shift, layer.low, layer.high], np.int32)
        for part, value in zip(_PARTS, (*layer[:3], bounds), strict=True):
            tensors[f"{i}.{part}"] = np.ascontiguousarray(value)
    partial = path.with_suffix(".part")
    partial.write_bytes(save(tensors, {"form": form}))
    os.replace(partial, path)
