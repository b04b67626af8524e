"""Code lengths of tokens, in bits: factorised, and with context.

Both give each integer a Laplace distribution over the whole numbers. `Factorised` knows which
integer of a token it is and the CRF; `Context` sees the tokens left, above and beside them that are
coded before, and the integers before it in the same token.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: A CRF is so many of these.
_CRF = 63.0
#: Numbers that say what CRF a picture has.
CONDITION = 3
#: Tokens that are known where one is coded, row by row: (rows up, columns left).
_KNOWN = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2))
_HIDDEN = 48
#: Bounds of the distribution's width, in steps of the quantiser.
_WIDTHS = 0.05, 60.0


def condition(q: Tensor) -> Tensor:
    """CRFs `(B,)` as `(B, CONDITION)`."""
    t = (q / _CRF)[:, None]
    return torch.cat([t, t * t, torch.ones_like(t)], 1)


def laplace_bits(z: Tensor, middle: Tensor, log_width: Tensor) -> Tensor:
    """Bits of `z` within half a step, elementwise; at most 24."""
    width = log_width.exp().clamp(*_WIDTHS)

    def below(t: Tensor) -> Tensor:
        half = 0.5 * torch.exp(-t.abs() / width)
        return torch.where(t < 0, half, 1 - half)

    # On the side of the tail: the difference of two numbers near 1 is none.
    far = -(z - middle).abs()
    return -torch.log2((below(far + 0.5) - below(far - 0.5)).clamp(min=2.0**-24))


class Factorised(nn.Module):
    """`(B, C, h, w)`, CRFs `(B,)` → bits of the same shape."""

    def __init__(self, integers: int) -> None:
        super().__init__()
        self.log_width = nn.Parameter(torch.zeros(integers, CONDITION))
        self.middle = nn.Parameter(torch.zeros(integers, CONDITION))

    def forward(self, z: Tensor, q: Tensor) -> Tensor:
        by_q = condition(q)
        middle, log_width = (
            (by_q @ part.T)[:, :, None, None] for part in (self.middle, self.log_width)
        )
        return laplace_bits(z, middle, log_width)


class Context(nn.Module):
    """`(B, C, h, w)`, CRFs `(B,)` → bits of the same shape; each depends on what is coded before
    it only, rows from the top, tokens from the left, integers in order."""

    def __init__(self, integers: int) -> None:
        super().__init__()
        self.integers = integers
        self.first = nn.Linear(integers * (len(_KNOWN) + 2) + CONDITION, _HIDDEN)
        self.second = nn.Linear(_HIDDEN, _HIDDEN)
        self.leave = nn.Linear(_HIDDEN, 2)
        nn.init.normal_(self.leave.weight, std=0.02)
        nn.init.zeros_(self.leave.bias)

    def gather_known(self, z: Tensor, q: Tensor) -> Tensor:
        """What is known of each integer, `(B, C, h, w, inputs)`."""
        batch, count, rows, columns = z.shape
        wide = F.pad(z, (2, 2, 2, 0))
        around = [
            wide[:, :, 2 - up : 2 - up + rows, 2 - left : 2 - left + columns] for up, left in _KNOWN
        ]
        place = torch.cat(around, 1).permute(0, 2, 3, 1)[:, None]
        before = torch.ones(count, count, device=z.device).tril(-1)
        own = z.permute(0, 2, 3, 1)[:, None] * before[None, :, None, None]
        which = torch.eye(count, device=z.device)[None, :, None, None]
        by_q = condition(q)[:, None, None, None]
        parts = (place, own, which, by_q)
        return torch.cat([p.expand(batch, count, rows, columns, -1) for p in parts], -1)

    def forward(self, z: Tensor, q: Tensor) -> Tensor:
        # Large values differ by their size in logarithms more than by their difference.
        x = self.gather_known(z.sign() * torch.log1p(z.abs()), q)
        hidden = F.leaky_relu(self.second(F.leaky_relu(self.first(x), 0.1)), 0.1)
        middle, log_width = self.leave(hidden).unbind(-1)
        return laplace_bits(z, torch.sinh(middle.clamp(-5, 5)), log_width)
