"""The block of a vision transformer, for the encoder of the painter's tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """`x` [B, N, D] looks at itself. Written out: with a gradient and few places this is faster on
    processors than torch's fused form."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        parts = self.in_proj(x).chunk(3, -1)
        q, k, v = (part.reshape(b, n, self.heads, -1).transpose(1, 2) for part in parts)
        logits = q * (d // self.heads) ** -0.5 @ k.transpose(-1, -2)  # [B, heads, N, N]
        out: Tensor = self.out_proj((logits.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each on normalised input: [B, N, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x))))
        return out
