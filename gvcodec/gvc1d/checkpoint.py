"""Weights of the latent tokens' network on disk: `NAME.safetensors` (half precision) with its
configuration in the file's metadata, and `NAME.json`, the model card, beside it.

| name | what |
|---|---|
| `gvc1d-small` | `config.SMALL`, trained from this repository (`training/configs/gvc1d`) |
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.errors import MediaError, NewerModelError
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.models import GVC1D_SMALL, read_arrays, read_weights, save_weights

if TYPE_CHECKING:
    from gvcodec.gvc1d.token_network import TokenNetwork


def save_model(model: TokenNetwork, path: Path) -> None:
    """Write weights and configuration, to a temporary name first."""
    weights = {name: tensor for name, tensor in model.state_dict().items()}
    save_weights(weights, path, {"config": model.config.to_json()})


def read_config(path: Path) -> GVC1DConfig:
    """Raises `NewerModelError` for a configuration of later networks, `MediaError` for a file
    without one."""
    try:
        text = read_arrays(path, ())[1].get("config", "")
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: not a model of gvc1d ({error})") from None
    if not text:
        raise MediaError(f"{path}: not a model of gvc1d (no configuration in it)")
    try:
        return GVC1DConfig.from_json(text)
    except MediaError as error:
        # Streams name a model by its hash: nothing in it is damaged.
        raise NewerModelError(f"{path}: {error}") from None


def load_model(path: Path | None = None, device: str = "cpu", fast: bool = False) -> TokenNetwork:
    """A network ready to code, frozen: the shipped one, or that of a file; `fast`: in half
    precision where that is faster. The same file gives the same object again. Raises
    `WrongModelError`, `MediaError`."""
    found = GVC1D_SMALL.find(path)
    return _load(found, found.stat().st_mtime_ns, device, fast)


@lru_cache(maxsize=4)
def _load(path: Path, changed: int, device: str, fast: bool) -> TokenNetwork:
    from gvcodec.gvc1d.token_network import TokenNetwork

    model = TokenNetwork(read_config(path))
    try:
        weights = {name: tensor.float() for name, tensor in read_weights(path).items()}
        model.load_state_dict(weights)
    except (RuntimeError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a model of gvc1d ({str(error).splitlines()[0]})") from None
    model.fast = fast
    return model.eval().requires_grad_(False).to(device)
