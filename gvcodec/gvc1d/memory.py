"""Long-term context: a 1-D memory of M vectors a window, rewritten by every frame.

`update`: the memory attends to itself, to the decoder's tokens and to its patches. `read`: learned
queries attend to the memory; what they find joins the sequences of encoder and decoder. It begins
anew with every GOP.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.transformer import Block


class Memory(nn.Module):
    """Vectors have the decoder's width D; the encoder reads them through a linear map."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        width, heads = config.decoder.width, config.decoder.heads
        self.start = nn.Parameter(0.5 * torch.randn(config.memory, width))
        self.query = nn.Parameter(0.5 * torch.randn(config.queries, width))
        self.write, self.reader = Block(width, heads, 0.5), Block(width, heads, 0.5)
        self.norm = nn.LayerNorm(width)
        self.to_encoder = nn.Linear(width, config.encoder.width)

    def fresh(self, batch: int, windows: int) -> Tensor:
        """The memory of a GOP's first frame, `[B, W, M, D]`."""
        return self.start.expand(batch, windows, -1, -1)

    def read(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What encoder `[B, W, Q, D_e]` and decoder `[B, W, Q, D]` are given of it."""
        b, w, m, d = memory.shape
        query = self.query.expand(b * w, -1, -1)
        found = self.reader(query, memory.reshape(b * w, m, d)).view(b, w, -1, d)
        return self.to_encoder(found), found

    def update(self, memory: Tensor, tokens: Tensor, patches: Tensor) -> Tensor:
        """After a frame: `tokens` `[B, W, K, D]` and `patches` `[B, W, P, D]` of the decoder."""
        b, w, m, d = memory.shape
        seen = torch.cat([memory, tokens, patches], 2).reshape(b * w, -1, d)
        return self.norm(self.write(memory.reshape(b * w, m, d), seen)).view(b, w, m, d)
