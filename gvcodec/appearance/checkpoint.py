"""The renderers' files: safetensors, fp16, with the configuration in their metadata. The hash of one stands in every stream.

`base.safetensors` paints on every base; where a base has a renderer of its own, `base-BASE.safetensors`, that is taken.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gvcodec.errors import MediaError
from gvcodec.models import CHECKPOINT_VARIABLE, model_id, shipped_folders

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.appearance.renderer import Renderer


def find_checkpoint(path: Path | None = None, base: str = "") -> Path:
    """The checkpoint to use: `path`, $GVCODEC_CHECKPOINT, or that in `checkpoints/` of the checkout or inside the package, best one for `base`.

    Raises `MediaError` when there is none."""
    named = path or os.environ.get(CHECKPOINT_VARIABLE)
    names = [f"base-{base}.safetensors"] * bool(base) + ["base.safetensors"]
    places = [Path(named)] if named else [folder / name for name in names for folder in shipped_folders()]
    for place in places:
        if place.is_file():
            return place
    raise MediaError(f"{places[0]}: no checkpoint of the renderer here (name one in ${CHECKPOINT_VARIABLE})")


def checkpoint_id(path: Path | None = None) -> bytes:
    """Eight bytes of the SHA-256 of the checkpoint file."""
    return model_id(find_checkpoint(path))


def _sizes(metadata: dict[str, str] | None) -> dict[str, Any]:
    """What `save_checkpoint` wrote of the renderer's configuration. Raises `KeyError` or `ValueError`."""
    sizes: dict[str, Any] = json.loads((metadata or {})["renderer"])
    return sizes


def has_tokens(path: Path | None = None) -> bool:
    """Whether the renderer of the checkpoint reads tokens; torch is not needed. Raises `MediaError`."""
    from safetensors import SafetensorError, safe_open

    place = find_checkpoint(path)
    try:
        with safe_open(place, "np") as file:
            return bool(_sizes(file.metadata()).get("tokens", 0))
    except (SafetensorError, KeyError, ValueError, AttributeError) as error:
        raise MediaError(f"{place}: not a checkpoint of the renderer ({error})") from None


def save_weights(weights: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as fp16, to a temporary name first."""
    from safetensors.torch import save

    partial = path.with_suffix(".part")
    halves = {name: tensor.detach().half().cpu().contiguous() for name, tensor in weights.items()}
    partial.write_bytes(save(halves, metadata=metadata))
    os.replace(partial, path)


def save_checkpoint(renderer: Renderer, path: Path) -> None:
    """Write weights and configuration."""
    save_weights(renderer.state_dict(), path, {"renderer": json.dumps(renderer.config.as_dict())})


def load_checkpoint(path: Path | None = None) -> Renderer:
    """The base renderer, fp32, in evaluation mode. Raises `MediaError` when the file is missing or is not a checkpoint."""
    from safetensors import SafetensorError, safe_open

    from gvcodec.appearance.renderer import Renderer, RendererConfig

    place = find_checkpoint(path)
    try:
        with safe_open(place, "pt") as file:
            config = RendererConfig(**_sizes(file.metadata()))
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not iterable)
        renderer = Renderer(config)
        renderer.load_state_dict(weights)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MediaError(f"{place}: not a checkpoint of the renderer ({error})") from None
    return renderer.eval().requires_grad_(False)
