"""What encoder and decoder of the paper's form share: a sequence of slots through transformer
blocks, the short-term context, features of integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.paper.sizes import CHANNELS, PATCHES, TOKENS, VALUES, Depth
from gvcodec.gvc1d.transformer import Block

#: Levels that are 1 for the networks.
LEVELS = 48
#: Steps of the objective of training, 8-bit levels at a quarter of the size, at q 0 and 63; the
#: step of rate 0.
FINEST, COARSEST, REFERENCE = 26.0, 180.0, 60.0
_Q_END = 63


def rate_of(q: int) -> float:
    """log₂(step / `REFERENCE`) at `q` 0…63."""
    octaves = math.log2(COARSEST / FINEST) * q / _Q_END
    return math.log2(FINEST / REFERENCE) + octaves


class Context(NamedTuple):
    """What went before in windows: patches `[W, P, V]` of the last picture as decoded, and its
    integers `[W, T, C]`."""

    patches: Tensor
    tokens: Tensor


def table(rows: int, width: int) -> nn.Parameter:
    """Learned vectors `[rows, width]`."""
    return nn.Parameter(0.5 * torch.randn(rows, width))


def features(tokens: Tensor) -> Tensor:
    """`[…, 2 C]` of integers `[…, C]`: sign and logarithm of their size."""
    size = tokens.abs().log1p()
    return torch.cat([tokens.sign() * size, size], -1)


class Stack(nn.Module):
    """Slots ⊕ patches or tokens ⊕ context through transformer blocks; gives the slots `[W, N, D]`.
    A sequence without context ends before it."""

    def __init__(self, depth: Depth) -> None:
        super().__init__()
        width = depth.width
        self.context_embed = nn.Linear(VALUES, width)
        self.memory_embed = nn.Linear(2 * CHANNELS, width)
        self.rate_embed = nn.Linear(1, width)
        self.positional_embedding = table(3 * PATCHES + TOKENS, width)
        blocks = [Block(width, depth.heads, 0.5, True) for _ in range(depth.layers)]
        self.ln_post = nn.LayerNorm(width)
        with torch.no_grad():
            # Attention begins near: all parts have the places of the first, keys are queries.
            places = self.positional_embedding
            for part in range(1, 4):
                places[part * PATCHES : (part + 1) * PATCHES] = places[:PATCHES]
            for block in blocks:
                projection = block.attn.in_proj.weight
                projection[width : 2 * width] = projection[:width]
        self.transformer = nn.ModuleList(blocks)

    def forward(self, slots: Tensor, seen: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        """`slots` `[N, D]`, `seen` `[W, M, D]`, `rate` `[W]`."""
        parts: Sequence[Tensor] = (slots.expand(len(seen), -1, -1), seen)
        if context is not None:
            pictures = self.context_embed(context.patches / LEVELS)
            parts = (*parts, pictures, self.memory_embed(features(context.tokens)))
        x = torch.cat(list(parts), 1) + self.rate_embed(rate[:, None])[:, None]
        x = x + self.positional_embedding[: x.shape[1]]
        for block in self.transformer:
            x = block(x)
        out: Tensor = self.ln_post(x[:, : len(slots)])
        return out
