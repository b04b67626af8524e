"""Latent tokens of single pictures, for search and condensed sets.

tokenizer = Tokenizer()
tokens = tokenizer.encode([planes, …])       # values [N, W, K, C], features [N, W, K, D]
luma, chroma = tokenizer.decode(tokens.values, width, height)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.errors import MediaError, NewerModelError
from gvcodec.gvc1d.config import TokenizerConfig
from gvcodec.gvc1d.picture import crop, from_planes, pad
from gvcodec.models import TOKENIZER, read_arrays, read_weights, save_weights
from gvcodec.types import Planes

if TYPE_CHECKING:
    from gvcodec.gvc1d.token_network import TokenNetwork


def save_model(model: TokenNetwork, path: Path) -> None:
    """Write weights and configuration, to a temporary name first."""
    weights = {name: tensor for name, tensor in model.state_dict().items()}
    save_weights(weights, path, {"config": model.config.to_json()})


def read_config(path: Path) -> TokenizerConfig:
    """Raises `NewerModelError` for a configuration of later networks, `MediaError` for a file
    without one."""
    try:
        text = read_arrays(path, ())[1].get("config", "")
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: not a model of gvc1d ({error})") from None
    if not text:
        raise MediaError(f"{path}: not a model of gvc1d (no configuration in it)")
    try:
        return TokenizerConfig.from_json(text)
    except MediaError as error:
        # Streams name a model by its hash: nothing in it is damaged.
        raise NewerModelError(f"{path}: {error}") from None


def load_model(path: Path | None = None, device: str = "cpu", fast: bool = False) -> TokenNetwork:
    """A network ready to code, frozen: the shipped one, or that of a file; `fast`: in half
    precision where that is faster. The same file gives the same object again. Raises
    `WrongModelError`, `MediaError`."""
    file = TOKENIZER.find(path)
    return _load(file, file.stat().st_mtime_ns, device, fast)


@lru_cache(maxsize=4)
def _load(path: Path, stamp: int, device: str, fast: bool) -> TokenNetwork:
    from gvcodec.gvc1d.token_network import TokenNetwork

    model = TokenNetwork(read_config(path))
    try:
        model.load({name: tensor.float() for name, tensor in read_weights(path).items()})
    except (KeyError, RuntimeError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a model of gvc1d ({str(error).splitlines()[0]})") from None
    model.fast = fast
    return model.eval().requires_grad_(False).to(device)


#: Pictures that are coded at once.
_BATCH = 8


class Tokens(NamedTuple):
    """Tokens of N pictures with W windows of K tokens: `values` `[N, W, K, C]`; of the encoder
    `features` `[N, W, K, D]`, which leave its last layer, and `keys` `[N, W, K, D]` of its last
    local one."""

    values: NDArray[np.int16]
    features: NDArray[np.float32]
    keys: NDArray[np.float32]


class Tokenizer:
    """`path`: weights (the shipped ones), `rate`: 0 = fine … 7, `fast`: in half precision where
    that is faster. Raises `MediaError`."""

    def __init__(
        self, path: Path | None = None, device: str = "cpu", rate: int = 3, fast: bool = False
    ) -> None:
        self.model = load_model(path, device, fast)
        self.device, self.rate = device, rate
        self.dim = self.model.config.encoder.width

    @torch.no_grad()
    def encode(self, pictures: Sequence[Planes]) -> Tokens:
        """Tokens of pictures of one size, 10 bits."""
        parts = []
        for first in range(0, len(pictures), _BATCH):
            part = list(pictures[first : first + _BATCH])
            source = pad(from_planes(part, self.device), self.model.config.window)
            y, features = self.model.analyse(source, self.rate)
            tensors = (y.round().short(), features.slots.float(), features.keys.float())
            parts.append([x.cpu().numpy() for x in tensors])
        return Tokens(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def decode(
        self, values: Tensor | NDArray[np.int16], width: int, height: int
    ) -> tuple[Tensor, Tensor]:
        """Luma `[N, 1, H, W]` and chroma `[N, 2, H/2, W/2]` in 0…1 (sample 255), of tokens
        `[N, W, K, C]`; differentiable."""
        tokens = torch.as_tensor(values).to(self.device).float()
        window = self.model.config.window
        size = height + -height % window, width + -width % window
        picture = self.model.synthesise(tokens, *size, self.rate)
        return crop(picture, height + height % 2, width + width % 2)

    def bits(self, values: Tensor | NDArray[np.int16]) -> Tensor:
        """Rate term of training for tokens, `[N, W]`; differentiable. Files are coded tighter."""
        tokens = torch.as_tensor(values).to(self.device).float()
        rate = torch.full((len(tokens),), self.rate, device=tokens.device)
        return self.model.prior(tokens, rate)
