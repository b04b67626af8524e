"""The decoder, a mirror of the encoder: mask tokens ⊕ tokens ⊕ context → picture.

Mask tokens, one a patch, know their place, the context there and what the direct path makes of the
tokens; the transformer lets them read the window's tokens. A convolutional head at a quarter of the
resolution turns their features into what is added to the guess.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.buffer import Context
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.layers import ContextEmbedding, Stack
from gvcodec.gvc1d.picture import Picture, from_rgb, join, pack, split, unpack

#: What the head adds is scaled so in the beginning, with and without a base: perceptual losses
#: answer to structure of one level, and Adam's own noise must stay below it.
_ADDED = (0.06, 0.25)


class Decoded(NamedTuple):
    """`picture`: what the network adds (`titok`: the picture itself); `features` for the buffer,
    `[B, C, H/s, W/s]`; `slots` `[B, W, K, D]` and `patches` `[B, W, P, D]` for the memory."""

    picture: Picture
    features: Tensor
    slots: Tensor
    patches: Tensor


class Decoder(nn.Module):
    """See the module."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.config, width = config, config.decoder.width
        self.decoder_embed = nn.Linear(config.channels, width)
        self.context = ContextEmbedding(config, width)
        scale = width**-0.5 if config.titok else 0.5
        self.mask_token = nn.Parameter(scale * torch.randn(width))
        self.places = nn.Parameter(scale * torch.randn(config.side**2, width))
        self.slots = nn.Parameter(scale * torch.randn(config.tokens, width))
        self.first = nn.Parameter(scale * torch.randn(width)) if config.titok else None
        self.direct = nn.Conv2d(config.patch**2 * 3 // 2, width, 1) if config.direct else None
        self.stack = Stack(config, config.decoder)
        self.head: ConvolutionalHead | PixelHead = (
            PixelHead(config) if config.head == "pixels" else ConvolutionalHead(config)
        )

    def forward(
        self,
        latent: Tensor,
        added: Picture | None,
        context: Context,
        rate: Tensor,
        memory: Tensor | None,
    ) -> Decoded:
        """`latent` `[B, W, K, C]`: integers (`titok`: times their steps). `added`: what the direct
        path makes of them."""
        if not self.config.titok:
            latent = latent.sign() * torch.log1p(latent.abs())
        slots = self.decoder_embed(latent) + self.slots
        masks = self.mask_token + self.places + self.context(context, rate)  # [B, W, P, D]
        if self.direct is not None and added is not None:
            known = self.direct(8 * pack(added, self.config.patch))
            masks = masks + split(known, self.config.side)
        columns = context.picture.y.shape[3] // self.config.window
        patches, slots, _ = self.stack(masks, slots, memory, columns, self.first)
        field = join(patches, self.config.side, columns)  # [B, D, H/16, W/16]
        picture, features = self.head(field, added, context, rate)
        return Decoded(picture, features, slots, patches)


class PixelHead(nn.Module):
    """TA-TiTok's: a linear map from a patch's features to its RGB samples, then 3×3 over them."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.ffn = nn.Conv2d(config.decoder.width, 3 * config.patch**2, 1)
        self.conv_out = nn.Conv2d(3, 3, 3, padding=1)

    def forward(
        self, field: Tensor, added: Picture | None, context: Context, rate: Tensor
    ) -> tuple[Picture, Tensor]:
        p = self.patch
        x = self.ffn(field).unflatten(1, (p, p, 3)).permute(0, 3, 4, 1, 5, 2)
        rgb = self.conv_out(x.reshape(len(x), 3, field.shape[2] * p, field.shape[3] * p))
        return from_rgb(rgb.float()), field


class ConvolutionalHead(nn.Module):
    """Patches' features at a quarter of the resolution, joined by what is known there sample by
    sample."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        width = config.head_width
        self.up = nn.Linear(config.decoder.width, 16 * width)
        self.up_patch = config.patch // 4
        if self.up_patch != 4:
            self.up = nn.Linear(config.decoder.width, self.up_patch**2 * width)
        self.planes = nn.Conv2d(72, width, 3, padding=1)
        self.before = nn.Conv2d(width, width, 1)
        self.blocks = nn.ModuleList(_Residual(width) for _ in range(config.head_blocks))
        self.known = nn.Parameter(torch.zeros(2, 2, 2 * width * config.head_blocks))
        self.rate = nn.Parameter(torch.zeros(config.rates, 2 * width * config.head_blocks))
        self.last = nn.Conv2d(width, 24, 3, padding=1)
        self.scale = nn.Parameter(torch.tensor(_ADDED).log())
        nn.init.normal_(self.up.weight, std=0.05)
        nn.init.normal_(self.last.weight, std=0.002)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(
        self, field: Tensor, added: Picture | None, context: Context, rate: Tensor
    ) -> tuple[Picture, Tensor]:
        guess = context.picture
        none = Picture(torch.zeros_like(guess.y), torch.zeros_like(guess.uv))
        planes = [2 * (pack(guess, 4) - 0.5), 8 * pack(context.last, 4), 8 * pack(added or none, 4)]
        x = self.planes(torch.cat(planes, 1).contiguous(memory_format=torch.channels_last))
        x = x + _shuffle(self.up(field.permute(0, 2, 3, 1)), self.up_patch)
        if context.features is not None:
            x = x + self.before(context.features.to(x.dtype))
        base, before = context.known
        film = self.known[0, int(base)] + self.known[1, int(before)] + self.rate[rate]
        for block, about in zip(self.blocks, film.chunk(len(self.blocks), 1), strict=True):
            x = block(x, about.to(x.dtype))
        # Features enter the next frame: of unit size, so that they cannot grow from frame to frame.
        size = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
        x = x * torch.rsqrt(size.square() / x.shape[1] + 1e-3).to(x.dtype)
        out = self.last(x).float() * torch.exp(self.scale[0 if base else 1])
        return unpack(out, 4), x


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.6)

    def forward(self, x: Tensor, about: Tensor) -> Tensor:
        """`about` `[B, 2·C]`: gain and offset of each channel."""
        gain, offset = about[:, :, None, None].chunk(2, 1)
        hidden = F.leaky_relu(self.first(x), 0.1, inplace=True)
        if len(x) > 1:
            return torch.addcmul(x + offset, self.second(hidden), 1 + gain)
        # Of one picture they are part of the convolution.
        weight = self.second.weight * (1 + gain).view(-1, 1, 1, 1)
        assert self.second.bias is not None
        bias = self.second.bias * (1 + gain).flatten() + offset.flatten()
        return x + F.conv2d(hidden, weight, bias, padding=1)


def _shuffle(x: Tensor, step: int) -> Tensor:
    """`F.pixel_shuffle` of `[B, h, w, step²·C]`, whose result has channels last in memory."""
    b, h, w, c = x.shape
    x = x.view(b, h, w, c // step**2, step, step).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(b, h * step, w * step, -1).permute(0, 3, 1, 2)
