"""The optimiser of token search."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

_EPSILON = 1e-8


class Adam:
    """Adam (Kingma and Ba, 2015): `torch.optim` would load torch's compiler, a second of processor
    time, 70 MB and a folder left in the temporary directory. `squares`: the second moments, one
    tensor for each weight, not corrected for their beginning at zero."""

    def __init__(self, weights: Iterable[Tensor], betas: tuple[float, float]) -> None:
        self.weights, self.betas = list(weights), betas
        self.means = [torch.zeros_like(w) for w in self.weights]
        self.squares = [torch.zeros_like(w) for w in self.weights]
        self.steps = 0

    def clear_gradients(self) -> None:
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step at learning rate `rate`; weights without a gradient stay."""
        self.steps += 1
        first, second = self.betas
        pace = rate / (1 - first**self.steps)
        spread = math.sqrt(1 - second**self.steps)
        for weight, mean, square in zip(self.weights, self.means, self.squares, strict=True):
            if weight.grad is None:
                continue
            mean.lerp_(weight.grad, 1 - first)
            square.mul_(second).addcmul_(weight.grad, weight.grad, value=1 - second)
            weight.addcdiv_(mean, (square.sqrt() / spread).add_(_EPSILON), value=-pace)
