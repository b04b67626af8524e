"""LP-Comp: the patch tokens of a picture become one vector, in causal layers that keep fewer and
fewer of the last tokens.

Tokens (N, 16, features) are centred and projected to `WIDTH`; after layer i of `LAYERS` the last 1
+ ⌊7.5 (1 + cos(π i / LAYERS)) + ½⌋ tokens remain: 14, 9, 3, 1. A linear layer makes `DIM` values of
the last one and the mean of all (at first only of the mean), scaled to a length of √DIM.
Importing this module imports torch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOKENS = 16
LAYERS, WIDTH, HEADS, DIM = 4, 96, 4, 64


def count_after(layer: int) -> int:
    """Tokens that remain after layer 1…LAYERS."""
    return 1 + math.floor(7.5 * (1 + math.cos(math.pi * layer / LAYERS)) + 0.5 + 1e-9)


class _Layer(nn.Module):
    """Causal self-attention and two dense layers; (N, T, WIDTH) → (N, T, WIDTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.mix(self.before(x)).view(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.down(F.gelu(self.up(self.between(x))))


class LpComp(nn.Module):
    """`forward(tokens)`: (N, 16, features) → (N, DIM) of length √DIM. Not `learned`: the mean of
    the projected tokens. Not `progressive`: all tokens go on to the last layer, whose last one
    remains."""

    centre: Tensor
    spread: Tensor
    project: Tensor

    def __init__(self, features: int, learned: bool = True, progressive: bool = True) -> None:
        super().__init__()
        self.learned, self.progressive = learned, progressive
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("project", torch.zeros(features, WIDTH))
        if learned:
            self.place = nn.Parameter(0.1 * torch.randn(TOKENS + 1, WIDTH))
            self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
            self.gate = nn.Parameter(torch.zeros(()))
            self.last = nn.Linear(WIDTH, DIM)
            nn.init.eye_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def narrow(self, tokens: Tensor) -> Tensor:
        """(N, 16, WIDTH): centred tokens along the directions in which they differ most."""
        return ((tokens.float() - self.centre) / self.spread).clamp(-6, 6) @ self.project

    def forward(self, tokens: Tensor) -> Tensor:
        return self.compress(self.narrow(tokens))

    def compress(self, x: Tensor) -> Tensor:
        """Narrow tokens (N, 16, WIDTH) → (N, DIM)."""
        mean = x.mean(1)
        if not self.learned:
            return _lengthen(mean[:, :DIM])
        x = x + self.place[:TOKENS]
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            if self.progressive:
                x = x[:, -count_after(number) :]
        return _lengthen(self.last(mean + self.gate * x[:, -1]))


def _lengthen(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1])
