"""A differentiable estimate of the bits of tokens: the rate term of training.

Files are coded by the integer network of `entropy_model`; this is its stand-in while tokens still
learn: a Laplace distribution for each integer of a window whose scale depends on rate, kind of
frame and on the last frame's integer at the same place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.config import GVC1DConfig


class Prior(nn.Module):
    """`bits(y, before, rate, known)` `[B, W]`."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        shape = 2, 2, 1, config.tokens, config.channels
        start = torch.linspace(1.0, -2.0, config.tokens)[:, None].expand(-1, config.channels)
        self.log_scale = nn.Parameter(start.expand(shape).clone())
        self.rate = nn.Parameter(torch.linspace(0.7, -1.4, config.rates)[:, None, None].clone())
        self.follow = nn.Parameter(torch.full((config.tokens, config.channels), 0.3))

    def forward(
        self, y: Tensor, before: Tensor | None, rate: Tensor, known: tuple[bool, bool]
    ) -> Tensor:
        """`y` `[B, W, K, C]` rounded or noisy, `before`: that of the last frame, integers."""
        base, later = known
        log_scale = self.log_scale[int(base), int(later), 0] + self.rate[rate][:, None]
        if before is not None:
            log_scale = log_scale + self.follow * (torch.log1p(before.abs()) - 0.3)
        scale = torch.exp(log_scale.clamp(-4, 6))
        far = y.abs()
        # P(|y| - 1/2 … |y| + 1/2) of a Laplace distribution, stable in its tails.
        inside = 1 - torch.exp(-0.5 / scale) * torch.cosh((far / scale).clamp(max=0.5 / scale))
        log_tail = -(far - 0.5) / scale + torch.log1p(-torch.exp(-1 / scale)) - 0.6931
        log_inside = torch.log(inside.clamp(min=1e-6))
        nats = torch.where(far < 0.5, log_inside, log_tail.clamp(min=-20))
        return nats.sum((2, 3)) * -1.4427
