"""Latent tokens of single pictures, without any context: what search and condensed sets use.

tokenizer = Tokenizer()
tokens = tokenizer.encode([planes, …])       # values [N, W, K, C], features [N, W, K, D]
luma, chroma = tokenizer.decode(tokens.values, width, height)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.gvc1d.checkpoint import load_model
from gvcodec.gvc1d.picture import crop, from_planes, pad
from gvcodec.types import Planes

#: Pictures that are coded at once.
_BATCH = 8


class Tokens(NamedTuple):
    """Of N pictures with W windows of K tokens: `values` `[N, W, K, C]`, and `features`
    `[N, W, K, D]` of the encoder's last layer."""

    values: NDArray[np.int16]
    features: NDArray[np.float32]


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
        """Of pictures of one size, 10 bits."""
        values, features = [], []
        for first in range(0, len(pictures), _BATCH):
            part = list(pictures[first : first + _BATCH])
            source = pad(from_planes(part, self.device), self.model.config.window)
            height, width = source.y.shape[2:]
            context = self.model.context(None, None, None, (len(part), height, width))
            y = self.model.analyse(source, context, self.rate).round()
            assert self.model.features is not None
            values.append(y.short().cpu().numpy())
            features.append(self.model.features.slots.float().cpu().numpy())
        return Tokens(np.concatenate(values), np.concatenate(features))

    def decode(
        self, values: Tensor | NDArray[np.int16], width: int, height: int
    ) -> tuple[Tensor, Tensor]:
        """Luma `[N, 1, H, W]` and chroma `[N, 2, H/2, W/2]` in 0…1 (sample 255), of tokens
        `[N, W, K, C]`; differentiable."""
        tokens = torch.as_tensor(values).to(self.device).float()
        window = self.model.config.window
        size = len(tokens), height + -height % window, width + -width % window
        context = self.model.context(None, None, None, size)
        picture, _ = self.model.synthesise(tokens, context, self.rate)
        return crop(picture, height + height % 2, width + width % 2)

    def bits(self, values: Tensor | NDArray[np.int16]) -> Tensor:
        """What training pays for tokens, `[N, W]`; differentiable. Files are coded tighter."""
        tokens = torch.as_tensor(values).to(self.device).float()
        rate = torch.full((len(tokens),), self.rate, device=tokens.device)
        return self.model.prior(tokens, None, rate, (False, False))
