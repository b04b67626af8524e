"""Variable rate: latents are rounded, with straight-through gradients, at eight rates. Each channel
has its step size, log-spaced over the rates."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.entropy_model import LARGEST

#: Octaves by which the step grows from a rate to the next coarser one; λ, which goes with its
#: square, grows by twice as many.
OCTAVES = 1 / 2


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
