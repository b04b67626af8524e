"""The model of base gvc1d on disk: what decoding needs as integers, what encoding needs as
floats too.

    transform.*     integers of the loop (`gvcodec.gvc1d.exact.Weights`)
    entropy.I.*     layers of the integer network (`gvcodec.entropy.network_file`)
    filter.I.*      layers of the loop filter (`gvcodec.gvc1d.loop_filter`)
    float.*         tensors of `gvcodec.gvc1d.codec_network`, fp16 and fp32

The first eight bytes of the file's SHA-256 stand in every stream.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gvcodec.entropy.network import Layer
from gvcodec.entropy.network_file import check_form, layers_in
from gvcodec.errors import MediaError, UsageError
from gvcodec.gvc1d import loop_filter
from gvcodec.gvc1d.exact import ExactTransform, Weights
from gvcodec.gvc1d.token_order import BACK, SIDES
from gvcodec.models import GVC1D, read_arrays, read_weights

if TYPE_CHECKING:
    from gvcodec.gvc1d.codec_network import CodecNetwork


class LoopModel(NamedTuple):
    """What the integer loop needs."""

    transform: ExactTransform
    network: tuple[Layer, ...]
    loop_filter: tuple[Layer, ...]


@lru_cache(maxsize=4)
def read_loop(path: Path) -> LoopModel:
    """Raises `NewerModelError` for a model of another form, `MediaError` for another file."""
    try:
        tensors, metadata = read_arrays(path, ("transform.", "entropy.", "filter."))
        check_form(path, metadata, GVC1D.form, "a model of base gvc1d")
        layers = layers_in(tensors, SIDES + BACK, "entropy.")
        filters = loop_filter.layers_in(tensors, "filter.")
        return LoopModel(ExactTransform(Weights.of(tensors)), tuple(layers), filters)
    except (OSError, KeyError, ValueError, TypeError, UsageError) as error:
        raise MediaError(f"{path}: not a model of base gvc1d ({error})") from None


@lru_cache(maxsize=2)
def load_network(path: Path, device: str = "cpu") -> CodecNetwork:
    """The network for encoding, for evaluation. Raises `MediaError`."""
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
    return network


def _is_float(name: str) -> bool:
    """Analyst and restorer of files before 1.1 take part in nothing."""
    gone = "float.analyst.", "float.restorer."
    return not name.startswith(("transform.", "entropy.", "filter.", *gone))
