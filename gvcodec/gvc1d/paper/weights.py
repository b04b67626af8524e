"""The paper's form on disk. A file's tensors say how wide and deep its networks are.

    encoder.*, decoder.*     tensors of the networks, fp16
    tokens.usual, .distance  integers of the entropy model (`token_counts.Tables`), int16
    prior.*                  training's estimate of bits, which files do not need

The first eight bytes of the file's SHA-256 stand in every stream.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gvcodec.entropy.network_file import check_form
from gvcodec.errors import INSTALL_TORCH, MediaError, UsageError
from gvcodec.gvc1d.paper.sizes import CHANNELS, LARGEST, MOST, TOKENS, Depth
from gvcodec.gvc1d.paper.token_counts import QUALITIES, Tables
from gvcodec.models import read_arrays, read_weights

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.gvc1d.paper.decoder import TokenDecoder
    from gvcodec.gvc1d.paper.encoder import TokenEncoder

#: `form` of the metadata; changes with what the numbers mean.
FORM = "gvc1d-paper-1"
_WHAT = "a model of GVC1D's paper form"


class Networks(NamedTuple):
    """For inference, frozen."""

    encoder: TokenEncoder
    decoder: TokenDecoder


def need_torch(verb: str) -> None:
    """Raises `UsageError` where torch is missing."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise UsageError(f"GVC1D's paper form {verb} with torch ({INSTALL_TORCH})") from None


@lru_cache(maxsize=4)
def read_tables(path: Path) -> Tables:
    """Without torch. Raises `NewerModelError` for a model of another form, `MediaError` for another
    file."""
    try:
        arrays, metadata = read_arrays(path, ("tokens.",))
        check_form(path, metadata, FORM, _WHAT)
        tables = [arrays[f"tokens.{name}"] for name in Tables._fields]
        for values in tables:
            if values.shape != (QUALITIES, TOKENS, CHANNELS) or values.dtype != np.int16:
                raise ValueError(f"tables of {values.shape} {values.dtype}")
        found = Tables(*(values.astype(np.int32) for values in tables))
        if np.abs(found.usual).max() > LARGEST or found.distance.min() < 0:
            raise ValueError("tables out of range")
        return found
    except (OSError, KeyError, ValueError) as error:
        raise MediaError(f"{path}: not {_WHAT} ({error})") from None


@lru_cache(maxsize=2)
def load_networks(path: Path, device: str = "cpu") -> Networks:
    """Encoder and decoder. Raises `MediaError`, `UsageError` for a device that is not there."""
    import torch

    from gvcodec.gvc1d.paper.decoder import TokenDecoder
    from gvcodec.gvc1d.paper.encoder import TokenEncoder

    try:
        tensors = read_weights(path)
        depths = [_depth_of(tensors, name) for name in Networks._fields]
        # Without memory of their own: a small file that claims to be large is refused first.
        with torch.device("meta"):
            networks = Networks(TokenEncoder(depths[0]), TokenDecoder(depths[1]))
        for name, network in networks._asdict().items():
            mine = f"{name}."
            mine_alone = {
                k.removeprefix(mine): t.float() for k, t in tensors.items() if k.startswith(mine)
            }
            network.load_state_dict(mine_alone, assign=True)
            network.to(device).eval().requires_grad_(False)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise MediaError(f"{path}: not {_WHAT} ({str(error).splitlines()[0]})") from None
    return networks


def _depth_of(tensors: dict[str, Tensor], name: str) -> Depth:
    """Of one of the networks. Raises `KeyError`, `ValueError`."""
    width = tensors[f"{name}.ln_post.weight"].numel()
    begin = f"{name}.transformer."
    layers = {key.removeprefix(begin).split(".")[0] for key in tensors if key.startswith(begin)}
    depth = Depth(width, len(layers))
    if not 0 < width <= MOST.width or not 0 < depth.layers <= MOST.layers or width % depth.heads:
        raise ValueError(f"{name} of {depth.layers} layers of width {width}")
    return depth
