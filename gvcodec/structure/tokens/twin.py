"""The float twin of the integer entropy network, for training: same inputs, differentiable in the values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.structure.tokens.entropy import REACH, side_count
from gvcodec.structure.tokens.model import Sizes

#: Table 27 has a mean deviation of one. An output of one adds so many tables, moves the mean by so much, inflates zero so much.
USUAL, SCALE_RANGE, MEAN_RANGE, INFLATION_RANGE = 27.0, 32.0, 8.0, 64.0
_LEAK = 0.01


def bounded(x: Tensor) -> Tensor:
    """0…1, with a small slope outside, so that a unit out of range finds its way back."""
    inside = x.clamp(0, 1)
    return inside + _LEAK * (x - inside)


class Twin(nn.Module):
    """Predicts a Laplace table with inflated zero for each integer. Activations are 0…1 here for 0…127 there."""

    def __init__(self, sizes: Sizes, hidden: tuple[int, int] = (96, 48)) -> None:
        super().__init__()
        inputs = side_count(sizes.tokens, sizes.channels) + REACH
        self.first, self.second = nn.Linear(inputs, hidden[0]), nn.Linear(*hidden)
        self.last = nn.Linear(hidden[1], 3)
        nn.init.normal_(self.last.weight, std=0.01)
        self.last.bias.data = torch.tensor([0.0, 0.0, 0.4])  # most integers are zero

    def forward(self, side: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale index (0…63), mean and zero inflation (0…127) of each of `values` (…, S), for `side` (…, S, n) uint8."""
        seen = (values.clamp(-64, 63) + 64) / 127
        before = F.pad(seen, (REACH, 0), value=64 / 127).unfold(-1, REACH, 1)[..., :-1, :].flip(-1)
        x = torch.cat([side.to(values.dtype) / 127, before], -1)
        x = bounded(self.second(bounded(self.first(x))))
        scale, mean, inflation = self.last(x).unbind(-1)
        return (
            (USUAL + SCALE_RANGE * scale).clamp(0, 63),
            MEAN_RANGE * mean,
            (INFLATION_RANGE * inflation).clamp(0, 127),
        )

    def bits(self, side: Tensor, values: Tensor) -> Tensor:
        """Bits of each value, (…, S)."""
        scale, mean, inflation = self(side, values)
        b = 2 ** ((scale - USUAL) / 6)
        far = (values - mean).abs()
        inside = far.clamp(max=0.5)  # beyond, the exponentials overflow, and so would gradients that are not used
        near = 1 - 0.5 * (torch.exp(-(0.5 - inside) / b) + torch.exp(-(0.5 + inside) / b))
        outer = -(far - 0.5) / b + torch.log1p(-torch.exp(-1 / b)) - 0.6931
        table = torch.where(far < 0.5, torch.log(near.clamp(1e-5)), outer.clamp(-60))
        kept = -0.6931 / 8 * inflation
        zero = torch.logaddexp(kept + table, torch.log1p(-torch.exp(kept.clamp(max=-1e-4))))
        # Values that training makes noisy are a part of a zero.
        near_zero = (1 - values.abs()).clamp(0, 1)
        return (near_zero * zero + (1 - near_zero) * (kept + table)) * -1.4427
