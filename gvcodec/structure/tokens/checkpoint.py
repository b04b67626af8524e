"""The file of a token model: safetensors with float weights (fp16) and the integer entropy network, which alone chooses bits.

Tensors `model.*` are those of `TokenModel`; `entropy.I.weight` (int8), `.bias` and `.multiplier` (int32) and `.bounds`
(shift, low, high) those of layer I. Metadata: `form` = how the decoder works (`FORM`), `tokens` = the sizes as JSON, `price` = what a bit costs at q 32 in units of the
training loss, `elbo` = the mean of -ELBO over the training data, bits. The first eight bytes of its SHA-256 stand in every stream.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gvcodec.entropy.network import Layer
from gvcodec.errors import MediaError
from gvcodec.models import shipped_folders
from gvcodec.structure.tokens.entropy import STEPS

if TYPE_CHECKING:
    from gvcodec.structure.tokens.model import TokenModel

NAME = "tokens-1.safetensors"
#: 2 mixes pictures where neighbours move apart; a file without a form came before that.
FORM = "2"
#: Numbers of tokens whose smallest regions are squares.
_TREES = (2, 8, 32)
#: Bounds of what a file may ask for.
_LIMITS = {"width": 1024, "heads": 32, "local": 16, "stages": 16, "expansion": 8, "tokens": 63, "channels": 64}
_LIMITS |= {"memory": 64, "features": 256, "filters": 512, "borders": 64}


def find_tokens() -> Path:
    """The model to encode with. Raises `MediaError` when there is none."""
    for folder in shipped_folders():
        if (folder / NAME).is_file():
            return folder / NAME
    raise MediaError(f"{shipped_folders()[0] / NAME}: no model of base tokens here")


def read_sizes(path: Path) -> tuple[dict[str, int], float, float]:
    """Sizes, the price of a bit, the mean of -ELBO. Raises `MediaError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
        if metadata.get("form", "1") != FORM:
            raise ValueError(f"its form is {metadata.get('form', '1')!r:.20}, this decoder's is {FORM}")
        sizes, price, elbo = json.loads(metadata["tokens"]), float(metadata["price"]), float(metadata["elbo"])
        if set(sizes) != set(_LIMITS) or not all(type(v) is int and 0 < v <= _LIMITS[k] for k, v in sizes.items()):
            raise ValueError("sizes out of bounds")
        if sizes["tokens"] not in _TREES or sizes["channels"] <= STEPS:
            raise ValueError("tokens that make no tree")
        if not (0 <= price < math.inf and 0 < elbo < math.inf):
            raise ValueError("price or elbo out of bounds")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise MediaError(f"{path}: not a model of base tokens ({error})") from None
    return sizes, price, elbo


def read_network(path: Path) -> list[Layer]:
    """The integer entropy network. Raises `MediaError`."""
    from safetensors import SafetensorError, safe_open

    layers: list[Layer] = []
    try:
        with safe_open(path, "np") as file:
            names = set(file.keys())
            while f"entropy.{len(layers)}.weight" in names:
                prefix = f"entropy.{len(layers)}"
                weight, bias, multiplier, bounds = (
                    file.get_tensor(f"{prefix}.{part}") for part in ("weight", "bias", "multiplier", "bounds")
                )
                layers.append(Layer(weight, bias, multiplier, *(int(v) for v in bounds)))
        if not layers:
            raise ValueError("no entropy network")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise MediaError(f"{path}: not a model of base tokens ({error})") from None
    return layers


def read_model(path: Path) -> TokenModel:
    """The float network, fp32, in evaluation mode. Raises `MediaError`."""
    from safetensors import SafetensorError, safe_open

    from gvcodec.structure.tokens.model import Sizes, TokenModel

    sizes, *_ = read_sizes(path)
    try:
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith("model.")]  # noqa: SIM118 (not iterable)
            weights = {name.removeprefix("model."): file.get_tensor(name).float() for name in names}
        model = TokenModel(Sizes(**sizes))
        model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError) as error:
        raise MediaError(f"{path}: not a model of base tokens ({error})") from None
    return model.eval().requires_grad_(False)


def write(path: Path, model: TokenModel, network: Sequence[Layer], price: float, elbo: float) -> None:
    """Write a model file, atomically."""
    from gvcodec.models import save_weights

    tensors: dict[str, Any] = {f"model.{name}": value for name, value in model.state_dict().items()}
    save_weights(
        tensors,
        path,
        {"form": FORM, "tokens": json.dumps(model.sizes.as_dict()), "price": f"{price:.6g}", "elbo": f"{elbo:.6g}"},
        {f"entropy.{i}.{part}": value for i, layer in enumerate(network) for part, value in _parts(layer).items()},
    )


def _parts(layer: Layer) -> dict[str, np.ndarray]:
    bounds = np.array([layer.shift, layer.low, layer.high], np.int32)
    return {"weight": layer.weight, "bias": layer.bias, "multiplier": layer.multiplier, "bounds": bounds}
