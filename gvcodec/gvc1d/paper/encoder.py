"""Encoder of the paper's form: learned queries read a window's patches and its context; what
becomes of them are the window's tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.codec_network import dead_zone
from gvcodec.gvc1d.paper.layers import LEVELS, Context, Stack, table
from gvcodec.gvc1d.paper.sizes import CHANNELS, PATCHES, SMALL, TOKENS, VALUES, Depth

#: An integer at rate 0 stands for a quarter of a latent.
_GAIN = 4


class TokenEncoder(Stack):
    """See the module. `hides`: share of the patches that training masks, at most."""

    def __init__(self, depth: Depth = SMALL.encoder) -> None:
        super().__init__(depth)
        width = depth.width
        self.patch_embed = nn.Linear(VALUES, width)
        self.latent_tokens = table(TOKENS, width)
        self.masked_patch = table(1, width)
        self.conv_out = nn.Linear(width, CHANNELS)
        self.hides = 0.0

    def encode(self, patches: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        """Integers before rounding, `[W, T, C]`, of `patches` `[W, P, V]`; `rate` `[W]` is
        log₂(step / 60), and a step twice as coarse makes integers half as large."""
        seen = self.patch_embed(patches / LEVELS)
        if self.training and self.hides:
            share = self.hides * torch.rand(len(seen), 1, 1, device=seen.device)
            masked = torch.rand(len(seen), PATCHES, 1, device=seen.device) < share
            seen = torch.where(masked, self.masked_patch.to(seen.dtype), seen)
        found = self.conv_out(self(self.latent_tokens, seen, context, rate)).float()
        return found * _GAIN * 2 ** -rate[:, None, None]


def quantise(unrounded: Tensor) -> Tensor:
    """Tokens as whole numbers: rounded towards 0 by a dead zone."""
    return dead_zone(unrounded)
