"""The operations of `gvcodec.gvc1d.model` in torch, for training. Shapes as in `model.Ops`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gvcodec.gvc1d.model import Prediction

#: Least probability of an integer in estimates: at most 24 bits.
LEAST_PROBABILITY = 2.0**-24


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(x, weight.T, bias)


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], gain, bias)


def attention(query: Tensor, key: Tensor, value: Tensor, visible: Any = None) -> Tensor:
    """Torch's fused form, except for bfloat16 on processors: there short sequences take three times
    as long with it."""
    seen = None
    if visible is not None:
        places = torch.arange(key.shape[-2], device=key.device)
        seen = places < torch.as_tensor(visible, device=key.device)[:, None]
    if query.is_cuda or query.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(query, key, value, seen)
    scores = query * (1 / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    return scores.softmax(-1) @ value


def gelu(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


sigmoid = torch.sigmoid
softsign = functional.softsign


def concatenate(arrays: list[Tensor], axis: int) -> Tensor:
    return torch.cat(arrays, axis)


def broadcast(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return x.expand(shape)


def permute(x: Tensor, *axes: int) -> Tensor:
    return x.permute(axes)


def zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return like.new_zeros(shape)


def rate_mix(rate: Tensor, points: int) -> Tensor:
    """[B, points] of rates [B]: shares of the two points around each."""
    low = rate.floor().clamp(max=points - 2)
    mix = torch.zeros(len(rate), points, device=rate.device)
    places = low.long()[:, None]
    mix.scatter_(1, places, (1 - (rate - low))[:, None])
    return mix.scatter_(1, places + 1, (rate - low)[:, None])


def estimate_bits(tokens: Tensor, prediction: Prediction) -> Tensor:
    """Bits of each integer: the Laplace mass of [token - 1/2, token + 1/2]. All [..., C]."""
    index = prediction.scale.float().clamp(0, 63)
    deviation = 64.0 * torch.exp2((index - 63) / 6)
    distance = (tokens.float() - prediction.mean.float()).abs()
    inside = torch.exp(-(distance - 0.5).clamp(min=0) / deviation)
    outside = torch.exp(-(distance + 0.5) / deviation)
    # Nearer than 1/2 the interval holds the peak.
    near = 1 - 0.5 * torch.exp(-(0.5 - distance).clamp(min=0) / deviation) - 0.5 * outside
    mass = torch.where(distance < 0.5, near, 0.5 * (inside - outside))
    return -mass.clamp(min=LEAST_PROBABILITY).log2()
