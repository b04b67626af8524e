"""Integer networks as tensors of a weight file, which hold nothing but integers.

Layer I has tensors `I.weight` (int8), `I.bias` and `I.multiplier` (int32) and `I.bounds` (int32:
shift, low, high); metadata `form` changes whenever the meaning of the activations does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.network import Layer
from gvcodec.entropy.streams import forward
from gvcodec.errors import NewerModelError

_MOST_LAYERS, _OUTPUTS = 8, 3
_PARTS = ("weight", "bias", "multiplier", "bounds")


def check_form(path: Path, metadata: Mapping[str, str], form: str, file_kind: str) -> None:
    """Raise `NewerModelError` for a file of another form."""
    file_form = metadata.get("form", "none")
    if file_form != form:
        raise NewerModelError(
            f"{path}: {file_kind} of form {file_form!r:.20}, this decoder's is {form}"
        )


def layers_in(arrays: Mapping[str, NDArray[Any]], inputs: int, prefix: str = "") -> list[Layer]:
    """The layers among a file's tensors. Raises `KeyError`, `ValueError`, `UsageError` unless they
    are a network of `inputs` inputs."""
    layers: list[Layer] = []
    while (name := f"{prefix}{len(layers)}.") + "weight" in arrays and len(layers) < _MOST_LAYERS:
        layers.append(layer_in(arrays, name))
    outputs = forward(layers, np.zeros((1, inputs), np.uint8)).shape[1]
    if outputs != _OUTPUTS:
        raise ValueError(f"{outputs} outputs instead of {_OUTPUTS}")
    return layers


def layer_in(arrays: Mapping[str, NDArray[Any]], name: str) -> Layer:
    """One layer, not checked. Raises `KeyError`, `ValueError`."""
    weight, bias, multiplier, bounds = (arrays[name + part] for part in _PARTS)
    return Layer(weight, bias, multiplier, *(int(v) for v in bounds))


def tensors_of(network: Sequence[Layer], prefix: str = "") -> dict[str, NDArray[Any]]:
    """The inverse."""
    tensors = {}
    for i, layer in enumerate(network):
        bounds = np.array([layer.shift, layer.low, layer.high], np.int32)
        for part, value in zip(_PARTS, (*layer[:3], bounds), strict=True):
            tensors[f"{prefix}{i}.{part}"] = np.ascontiguousarray(value)
    return tensors
