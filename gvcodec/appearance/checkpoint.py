"""The renderers' files: safetensors, fp16, with the configuration in their metadata. The hash of
one stands in every stream.

`base.safetensors` paints on every base; where a base has a renderer of its own,
`base-BASE.safetensors`, that is taken. The integer painter's are `painter.safetensors` and
`painter-BASE.safetensors`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gvcodec.errors import MediaError
from gvcodec.models import CHECKPOINT_VARIABLE, model_id, save_weights, shipped_folders

if TYPE_CHECKING:
    from torch import nn

    from gvcodec.appearance.integer_twin import IntegerRenderer
    from gvcodec.appearance.renderer import Renderer

#: Sizes that files of renderers without tokens name although they mean nothing.
_GONE = ("tokens", "token_channels", "token_width", "memory")
Module = TypeVar("Module", bound="nn.Module")


def find_checkpoint(path: Path | None = None, base: str = "", painter: str = "float") -> Path:
    """The checkpoint to use: `path`, $GVCODEC_CHECKPOINT, or that in `checkpoints/` of the checkout
    or inside the package, best one for `base`. `painter`: "float" or "integer".

    Raises `MediaError` when there is none."""
    named = path or os.environ.get(CHECKPOINT_VARIABLE)
    stem = "painter" if painter == "integer" else "base"
    names = [f"{stem}-{base}.safetensors"] * bool(base) + [f"{stem}.safetensors"]
    places = (
        [Path(named)]
        if named
        else [folder / name for name in names for folder in shipped_folders()]
    )
    for place in places:
        if place.is_file():
            return place
    raise MediaError(
        f"{places[0]}: no checkpoint of the renderer here (name one in ${CHECKPOINT_VARIABLE})"
    )


def checkpoint_id(path: Path | None = None) -> bytes:
    """Eight bytes of the SHA-256 of the checkpoint file."""
    return model_id(find_checkpoint(path))


def _sizes(metadata: dict[str, str] | None, key: str = "renderer") -> dict[str, Any]:
    """The configuration that was written with a model. Raises `KeyError` or `ValueError`."""
    sizes: dict[str, Any] = json.loads((metadata or {})[key])
    return sizes


def save_checkpoint(renderer: Renderer, path: Path) -> None:
    """Write weights and configuration."""
    save_weights(renderer.state_dict(), path, {"renderer": json.dumps(renderer.config.as_dict())})


def read_module(
    path: Path, key: str, make: Callable[[dict[str, Any]], Module], what: str
) -> Module:
    """What `save_weights` wrote, fp32, in evaluation mode, made by `make` from the configuration
    that stands at `key` of the metadata. Raises `MediaError` for a file that is missing or is not
    `what`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            sizes = _sizes(file.metadata(), key)
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not iterable)
        module = make(sizes)
        module.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MediaError(f"{path}: not {what} ({error})") from None
    return module.eval().requires_grad_(False)


def is_integer(path: Path) -> bool:
    """Whether a file of a painter is one of the integer painter. Raises `MediaError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return "painter" in (file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise MediaError(f"{path}: not a painter ({error})") from None


def load_painter(path: Path | None = None) -> Renderer | IntegerRenderer:
    """The renderer of a file, or the twin of the integer painter. Raises `MediaError`."""
    from gvcodec.appearance.integer_twin import IntegerRenderer

    found = find_checkpoint(path)
    return IntegerRenderer.load(found) if is_integer(found) else load_checkpoint(found)


def load_checkpoint(path: Path | None = None) -> Renderer:
    """The base renderer, fp32, in evaluation mode. Raises `MediaError` when the file is missing or
    is not a checkpoint."""
    from gvcodec.appearance.renderer import Renderer, RendererConfig

    def made(sizes: dict[str, Any]) -> Renderer:
        if sizes.get("tokens") or sizes.get("memory"):
            raise ValueError("it reads tokens, which this version does not")
        return Renderer(RendererConfig(**{k: v for k, v in sizes.items() if k not in _GONE}))

    return read_module(find_checkpoint(path), "renderer", made, "a checkpoint of the renderer")
