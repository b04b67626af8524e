"""The weight file of a GVC1D network: safetensors, fp16 or float32, with its configuration.

Metadata: `form` (`FORM`), `config` (JSON of `model.Config`). Names and shapes of the tensors are
those of `model.parameter_shapes`. Raises `MediaError` for anything else, so a file cannot make a
network of another size than its configuration says.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import MediaError, UsageError
from gvcodec.gvc1d.model import Config, parameter_shapes
from gvcodec.models import read_arrays

#: Changes with the meaning of the numbers.
FORM = "gvc1d-6"
#: Most parameters of a network that is opened: ViT-L twice, with room.
MOST_PARAMETERS = 1 << 30


def read_network(path: Path) -> tuple[Config, dict[str, NDArray[np.float32]]]:
    """Configuration and weights as float32 (fp16 is expanded exactly). Raises `MediaError`."""
    try:
        _, metadata = read_arrays(path, ())
        config = _read_config(path, metadata)
        shapes = parameter_shapes(config)
        count = sum(int(np.prod(shape, dtype=np.int64)) for shape, _ in shapes.values())
        if count > MOST_PARAMETERS:
            raise MediaError(f"{path}: a network of {count} parameters is beyond the limit")
        arrays, _ = read_arrays(path)
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: not a model ({error})") from None
    weights = {}
    for name, (shape, _) in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype not in (np.float16, np.float32):
            raise MediaError(f"{path}: {name} is missing or has another shape")
        if not np.isfinite(array).all():
            raise MediaError(f"{path}: {name} is not finite")
        weights[name] = np.ascontiguousarray(array, np.float32)
    return config, weights


def _read_config(path: Path, metadata: dict[str, str]) -> Config:
    if metadata.get("form") != FORM:
        raise MediaError(f"{path}: not a network of GVC1D (form {metadata.get('form', '')!r})")
    names = {field.name for field in fields(Config)}
    try:
        table = json.loads(metadata["config"])
        types = {field.name: type(field.default) for field in fields(Config)}
        if not isinstance(table, dict) or set(table) - names:
            raise MediaError(f"{path}: its configuration has fields that are unknown here")
        if any(type(value) is not types[name] for name, value in table.items()):
            raise MediaError(f"{path}: a field of its configuration has another type")
        return Config(**table)
    except (KeyError, ValueError, UsageError) as error:
        raise MediaError(f"{path}: its configuration cannot be read ({error})") from None
