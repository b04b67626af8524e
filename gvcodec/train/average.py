"""The running mean of a network's weights: what training saves, steadier than the last step."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(mean: nn.Module, model: nn.Module, keep: float) -> None:
    """Move the parameters of `mean` to those of `model`; the share `keep` (0 to 1) stays."""
    for a, b in zip(mean.parameters(), model.parameters(), strict=True):
        a.lerp_(b, 1 - keep)
