"""Variable rate: latents are rounded, with straight-through gradients, at eight rates. Each channel
has its step size, log-spaced over the rates. `Prior` is training's rate term."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.config import GVC1DConfig

#: Octaves by which the step grows from a rate to the next coarser one; λ, which goes with its
#: square, grows by twice as many.
OCTAVES = 1 / 2
#: Magnitude of a token's integer at most.
LARGEST = 1023


def round_latent(y: Tensor, noise: bool = False) -> Tensor:
    """Integers with the gradient of the identity; `noise`: uniform noise instead of rounding, for
    every other step of training."""
    if noise:
        return y + torch.rand_like(y) - 0.5
    clipped = y.clamp(-LARGEST, LARGEST)
    return clipped + (clipped.round() - clipped).detach()


class StepSizes(nn.Module):
    """`steps(rate)` `[B, 1, tokens, channels]`: what an integer 1 stands for."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.log_step = nn.Parameter(
            torch.full((config.tokens, config.channels), math.log(config.step))
        )
        rates = torch.arange(config.rates) * OCTAVES * math.log(2)
        self.log_rate = nn.Parameter(rates)

    def forward(self, rate: Tensor) -> Tensor:
        """`rate`: index of each sample, `[B]` int64."""
        return torch.exp(self.log_step + self.log_rate[rate][:, None, None])[:, None]


class Prior(nn.Module):
    """A differentiable estimate of bits, `[B, W]`, while tokens still learn: a Laplace distribution
    for each integer whose scale depends on rate, kind of frame and the last frame's integer at the
    same place. Files are coded by the network of `entropy_model`."""

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
