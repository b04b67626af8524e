"""Decoder of the paper's form: mask tokens, one a patch, read a window's tokens and its context.
Floats: its pictures differ in rounding between machines."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.paper.layers import LEVELS, Context, Stack, table
from gvcodec.gvc1d.paper.sizes import CHANNELS, PATCHES, SMALL, VALUES, Depth


class TokenDecoder(Stack):
    """See the module."""

    def __init__(self, depth: Depth = SMALL.decoder) -> None:
        super().__init__(depth)
        width = depth.width
        self.decoder_embed = nn.Linear(2 * CHANNELS, width)
        self.mask_token = table(1, width)
        self.conv_out = nn.Linear(width, VALUES)

    def decode(self, tokens: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        """Patches `[W, P, V]` of integers `[W, T, C]`, in levels; `rate` as in the encoder."""
        masks = self.mask_token.expand(PATCHES, -1)
        seen = self.decoder_embed(_smooth_features(tokens))
        found: Tensor = self.conv_out(self(masks, seen, context, rate)).float()
        return LEVELS * found


def _smooth_features(tokens: Tensor) -> Tensor:
    """`layers.features` with a slope at zero."""
    size = torch.sqrt(tokens.square() + 1e-4).log1p()
    far = 1 + tokens.abs()
    return torch.cat([tokens / far * far.log1p().clamp(min=0.1), size], -1)
