"""The model of base gvc1d on disk: what decoding needs as integers, what encoding and restoring
need as halves.

    transform.*     integers of the loop (`gvcodec.gvc1d.exact.Weights`)
    entropy.I.*     layers of the integer network (`gvcodec.entropy.network_file`)
    analyst.*, restorer.*, twin.*, float.*   tensors of `gvcodec.gvc1d.codec_network`, fp16 and fp32

The first eight bytes of the file's SHA-256 stand in every stream.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gvcodec.entropy.network import Layer
from gvcodec.entropy.streams import forward
from gvcodec.errors import MediaError, NewerModelError, UsageError
from gvcodec.gvc1d.exact import ExactTransform, Weights
from gvcodec.gvc1d.token_order import BACK, SIDES
from gvcodec.models import GVC1D, read_arrays, read_weights

if TYPE_CHECKING:
    from gvcodec.gvc1d.codec_network import CodecNetwork

_PARTS = ("weight", "bias", "multiplier", "bounds")


class LoopModel(NamedTuple):
    """What the integer loop needs."""

    transform: ExactTransform
    network: tuple[Layer, ...]


def find_model() -> Path:
    """The model to encode with. Raises `WrongModelError` when there is none."""
    return GVC1D.find()


@lru_cache(maxsize=4)
def read_loop(path: Path) -> LoopModel:
    """Raises `NewerModelError` for a model of another form, `MediaError` for another file."""
    try:
        tensors, metadata = read_arrays(path, ("transform.", "entropy."))
        form = metadata.get("form", "none")
        if form != GVC1D.form:
            raise NewerModelError(
                f"{path}: a model of base gvc1d of form {form!r:.20}, this decoder's is "
                f"{GVC1D.form}"
            )
        layers: list[Layer] = []
        while f"entropy.{len(layers)}.weight" in tensors and len(layers) < 8:
            parts = [tensors[f"entropy.{len(layers)}.{part}"] for part in _PARTS]
            layers.append(Layer(parts[0], parts[1], parts[2], *(int(v) for v in parts[3])))
        shape = forward(layers, np.zeros((1, SIDES + BACK), np.uint8)).shape
        if shape != (1, 3):
            raise ValueError("another entropy network")
        return LoopModel(ExactTransform(Weights.of(tensors)), tuple(layers))
    except (OSError, KeyError, ValueError, TypeError, UsageError) as error:
        raise MediaError(f"{path}: not a model of base gvc1d ({error})") from None


@lru_cache(maxsize=2)
def load_network(path: Path, device: str = "cpu") -> CodecNetwork:
    """The network for encoding and restoring, for evaluation. Raises `MediaError`."""
    import torch

    from gvcodec.gvc1d.codec_network import CodecNetwork

    network = CodecNetwork()
    try:
        loaded = read_weights(path)
        state = {n.removeprefix("float."): t.float() for n, t in loaded.items() if _is_float(n)}
        network.load_state_dict(state)
    except (OSError, ValueError, RuntimeError) as error:
        line = str(error).partition("\n")[0]
        raise MediaError(f"{path}: not a model of base gvc1d ({line})") from None
    network = network.to(torch.device(device)).eval().requires_grad_(False)
    network.restorer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _is_float(name: str) -> bool:
    return not name.startswith(("transform.", "entropy."))


def integers_of(network: CodecNetwork) -> dict[str, Any]:
    """The integer tensors of a trained network."""
    from gvcodec.gvc1d.exact import weights_of
    from gvcodec.gvc1d.export import layers_of

    state = {k: v.detach().cpu().numpy() for k, v in network.transform.state_dict().items()}
    found: dict[str, Any] = weights_of(state)
    for i, layer in enumerate(layers_of(network.twin)):
        bounds = np.array([layer.shift, layer.low, layer.high], np.int32)
        for part, value in zip(_PARTS, (*layer[:3], bounds), strict=True):
            found[f"entropy.{i}.{part}"] = np.ascontiguousarray(value)
    return found


def save_network(network: CodecNetwork, path: Path) -> None:
    """Write the file, atomically. Transform and twin stay fp32, transformers become fp16."""
    import os

    import torch
    from safetensors.torch import save

    tensors = {k: torch.from_numpy(v) for k, v in integers_of(network).items()}
    for name, tensor in network.state_dict().items():
        kind = torch.float32 if name.startswith("twin.") else torch.float16
        tensors[f"float.{name}"] = tensor.detach().cpu().to(kind).contiguous()
    partial = path.with_suffix(".part")
    partial.write_bytes(save(tensors, {"form": GVC1D.form}))
    os.replace(partial, path)
