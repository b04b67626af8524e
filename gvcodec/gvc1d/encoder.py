"""The encoder: source ⊕ latent slots ⊕ context → tokens `[B, W, K, C]`.

A window's slots begin as the mean of their regions' patches, each with a position of its own: free
queries of one kind become alike in a layer. What the transformer finds is added to what the direct
path measures.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.blocks import token_regions
from gvcodec.gvc1d.buffer import Context
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.layers import ContextEmbedding, Stack
from gvcodec.gvc1d.picture import Picture, pack, split
from gvcodec.util.tensors import SMALL, to_rgb


class Features(NamedTuple):
    """Of the slots, `[B, W, K, D]`: what leaves the last layer, and the keys of the last local
    one."""

    slots: Tensor
    keys: Tensor


class Encoder(nn.Module):
    """See the module."""

    regions: Tensor

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.config, width = config, config.encoder.width
        area = config.patch**2
        if config.titok:
            self.patch_embed: nn.Module = nn.Conv2d(3, width, config.patch, config.patch)
        else:
            self.patch_embed = nn.Conv2d(3 * area, width, 1)
        self.context = ContextEmbedding(config, width)
        scale = width**-0.5 if config.titok else 0.5
        self.places = nn.Parameter(scale * torch.randn(config.side**2, width))
        self.slots = nn.Parameter(scale * torch.randn(config.tokens, width))
        self.hidden = nn.Parameter(torch.zeros(width))  # stands for a masked patch
        self.first = nn.Parameter(scale * torch.randn(width)) if config.titok else None
        self.stack = Stack(config, config.encoder)
        self.out = nn.Linear(width, config.channels)
        if not config.titok:
            nn.init.normal_(self.out.weight, std=0.004)
            nn.init.zeros_(self.out.bias)
        regions = token_regions(config).float()
        self.register_buffer("regions", regions / regions.sum(1, keepdim=True), persistent=False)

    def forward(
        self,
        source: Picture,
        context: Context,
        rate: Tensor,
        memory: Tensor | None,
        masked: Tensor | None = None,
    ) -> tuple[Tensor, Features]:
        """Tokens before rounding, in integers' units (`titok`: in latents), and the slots'
        features. `masked` `[B, W, P]`: patches of the source that are not seen."""
        patch, side = self.config.patch, self.config.side
        if self.config.titok:
            seen = self.patch_embed(to_rgb(source.y / 1.003, source.uv / 1.003, SMALL).clamp(0, 1))
        else:
            difference = source - context.picture
            planes = [4 * pack(difference, patch), 2 * (pack(source, patch) - 0.5)]
            seen = self.patch_embed(torch.cat(planes, 1))
        seen = split(seen, side)  # [B, W, P, D]
        if masked is not None:
            seen = torch.where(masked[..., None], self.hidden.to(seen.dtype), seen)
        patches = seen + self.context(context, rate) + self.places
        slots = self.slots.expand(*patches.shape[:2], -1, -1)
        if not self.config.titok:
            slots = slots + self.regions.to(patches.dtype) @ patches
        columns = source.y.shape[3] // self.config.window
        _, found, keys = self.stack(patches, slots, memory, columns, self.first)
        return self.out(found).float(), Features(found.float(), keys.float())
