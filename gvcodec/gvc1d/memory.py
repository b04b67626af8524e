"""Long-term context: a 1-D memory of vectors for each window, rewritten by every frame.

`update`: M learned vectors attend to themselves, to the decoder's tokens and to its patches; the
vectors of `gvcodec.gvc1d.scenes` store the picture. `read`: learned queries attend to both kinds
and join the sequences of encoder and decoder. The memory is reset at every GOP, but not at a scene
cut inside one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.picture import Picture
from gvcodec.gvc1d.scenes import SCENES, Scenes
from gvcodec.gvc1d.transformer import Block


class Remembered(NamedTuple):
    """`vectors` `[B, W, M, D]`; `scenes` `[B, W, 2, regions, R + 1]`, None without a direct
    path."""

    vectors: Tensor
    scenes: Tensor | None

    def detach(self) -> Remembered:
        return Remembered(
            self.vectors.detach(), None if self.scenes is None else self.scenes.detach()
        )


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
        self.scenes = Scenes(config) if config.direct else None
        if self.scenes is not None:
            self.about = nn.Linear(self.scenes.size, width)
            self.places = nn.Parameter(0.5 * torch.randn(SCENES, config.tokens // 2, width))

    def fresh(self, batch: int, windows: int) -> Remembered:
        """The memory of a GOP's first frame."""
        scenes = None if self.scenes is None else self.scenes.fresh(batch, windows)
        return Remembered(self.start.expand(batch, windows, -1, -1), scenes)

    def read(self, memory: Remembered) -> tuple[Tensor, Tensor]:
        """What encoder `[B, W, Q, D_e]` and decoder `[B, W, Q, D]` are given of it."""
        b, w, _, d = memory.vectors.shape
        known = memory.vectors
        if self.scenes is not None and memory.scenes is not None:
            # Coefficients of grey to white are in the thousands, most of them below a hundred.
            low = memory.scenes[..., :-1]
            seen = self.about(low.sign() * torch.log1p(low.abs() / 8)) + self.places
            known = torch.cat([known, seen.flatten(2, 3).to(known.dtype)], 2)
        query = self.query.expand(b * w, -1, -1)
        found = self.reader(query, known.flatten(0, 1)).view(b, w, -1, d)
        return self.to_encoder(found), found

    def update(
        self, memory: Remembered, tokens: Tensor, patches: Tensor, picture: Picture
    ) -> Remembered:
        """After a frame: `tokens` `[B, W, K, D]` and `patches` `[B, W, P, D]` of the decoder, the
        picture without what the network added."""
        b, w, m, d = memory.vectors.shape
        seen = torch.cat([memory.vectors, tokens, patches], 2).reshape(b * w, -1, d)
        vectors = self.norm(self.write(memory.vectors.reshape(b * w, m, d), seen))
        scenes = memory.scenes
        if self.scenes is not None and scenes is not None:
            scenes = self.scenes.update(scenes, picture)
        return Remembered(vectors.view(b, w, m, d).float(), scenes)
