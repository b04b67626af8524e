"""A small classifier of clips (N, T, side, side, 3) that sees the order of frames. Importing this
module imports torch."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

_WIDTHS = (16, 32, 32)
#: Sides from which a fourth block keeps 4 × 4 places comparable.
_LARGE = 96


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.ReLU())


class Pairs(nn.Module):
    """Convolutions over two frames at a time, the mean over pairs, a linear layer over 4 × 4
    places."""

    def __init__(self, classes: int, side: int = 32) -> None:
        super().__init__()
        widths = (6, *_WIDTHS, *_WIDTHS[-1:] * (side >= _LARGE))
        blocks = (_block(a, b) for a, b in pairwise(widths))
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(4))
        self.head = nn.Linear(16 * _WIDTHS[-1], classes)

    def features(self, pictures: Tensor) -> Tensor:
        """(N, T, H, W, 3) → (N, 512)."""
        x = pictures.float() / 64 - 2
        pairs = torch.cat([x[:, :-1:2], x[:, 1::2] - x[:, :-1:2]], 4).flatten(0, 1)
        seen = self.body(pairs.permute(0, 3, 1, 2))  # channels last: two thirds of the time
        return seen.flatten(1).view(len(x), -1, 16 * _WIDTHS[-1]).mean(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))
