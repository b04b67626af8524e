"""LP-Comp: the patch tokens of a picture become one vector, in causal layers that keep fewer and
fewer of the last tokens.

Tokens (N, 16, features) are centred and projected to `WIDTH`; behind layer i of `LAYERS` the last 1
+ ⌊7.5 (1 + cos(π i / LAYERS)) + ½⌋ tokens go on: 14, 9, 3, 1. A linear layer makes `DIM` values of
the last one and the mean of all (at first only of the mean), scaled to a length of √DIM. `Variant`
names what the paper's ablations change. Importing this module imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOKENS = 16
LAYERS, WIDTH, HEADS, DIM = 4, 96, 4, 64
#: Tokens that see each other where attention is local: a row of the picture.
_NEAR = 4


@dataclass(frozen=True, slots=True)
class Variant:
    """`learned`: False has attention without weights, or with `progressive` False too the mean of
    all tokens. `progressive`: False keeps all tokens up to the end. `kept`: the last tokens, or
    evenly spaced ones. `local`: attention within a row before the last layer. `special`: a learned
    token at the end instead of the last patch."""

    learned: bool = True
    progressive: bool = True
    kept: Literal["suffix", "uniform"] = "suffix"
    local: bool = False
    special: bool = False


def kept_after(layer: int) -> int:
    """Tokens that go on behind layer 1…LAYERS."""
    return 1 + math.floor(7.5 * (1 + math.cos(math.pi * layer / LAYERS)) + 0.5 + 1e-9)


class _Layer(nn.Module):
    """Causal self-attention and two dense layers; (N, T, WIDTH) → (N, T, WIDTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, places: Tensor, local: bool) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.mix(self.before(x)).view(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = places[None, :] <= places[:, None]
        if local:
            seen &= places[None, :] // _NEAR == places[:, None] // _NEAR
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.down(F.gelu(self.up(self.between(x))))


class LpComp(nn.Module):
    """`forward(tokens)`: (N, 16, features) → (N, DIM) of length √DIM."""

    centre: Tensor
    spread: Tensor
    project: Tensor

    def __init__(self, features: int, variant: Variant | None = None) -> None:
        super().__init__()
        self.variant = variant or Variant()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("project", torch.zeros(features, WIDTH))
        if self.variant.learned:
            self.place = nn.Parameter(0.1 * torch.randn(TOKENS + 1, WIDTH))
            self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
            self.gate = nn.Parameter(torch.tensor(0.1))
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
        variant = self.variant
        if not variant.learned:
            return _lengthen(self._pool_unlearned(x)[..., :DIM])
        mean = x.mean(1)
        x = x + self.place[:TOKENS]
        if variant.special:
            x = torch.cat([x, self.place[TOKENS].expand(len(x), 1, -1)], 1)
        places = torch.arange(x.shape[1], device=x.device)
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, places, variant.local and number < LAYERS)
            if variant.progressive:
                chosen = self._choose_tokens(x.shape[1], kept_after(number))
                x, places = x[:, chosen], places[chosen]
        return _lengthen(self.last(mean + self.gate * x[:, -1]))

    def _pool_unlearned(self, x: Tensor) -> Tensor:
        """The mean, or the same steps with attention whose weights are the tokens' own likeness."""
        if not self.variant.progressive:
            return x.mean(1)
        for number in range(1, LAYERS + 1):
            likeness = x @ x.transpose(1, 2) / math.sqrt(x.shape[2])
            causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
            x = x + likeness.masked_fill(~causal, -math.inf).softmax(2) @ x
            x = x[:, self._choose_tokens(x.shape[1], kept_after(number))]
        return x[:, 0]

    def _choose_tokens(self, tokens: int, wanted: int) -> Tensor:
        """Which tokens go on, the last one always."""
        if self.variant.kept == "suffix":
            return torch.arange(max(0, tokens - wanted), tokens)
        return (
            torch.linspace(tokens - 1, 0, min(wanted, tokens)).round().long().flip(0)
            if wanted > 1
            else torch.tensor([tokens - 1])
        )


def _lengthen(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1])
