"""A small classifier of clips (N, T, side, side, 3) that sees the order of frames: its training,
accuracy and loss. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

_BATCH, _RATE = 16, 2e-3
WIDTHS = (16, 32, 32)
#: Least side with a fourth block, so that 4 × 4 places stay comparable.
_LARGE = 96


def convolutions(inputs: int, extra: bool = False) -> nn.Sequential:
    """Three blocks, or four, of half the size each: (N, inputs, H, W) → (N, 32, h, w)."""
    widths: tuple[int, ...] = (inputs, *WIDTHS)
    if extra:
        widths += WIDTHS[-1:]
    return nn.Sequential(
        *(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.GroupNorm(4, b), nn.ReLU())
            for a, b in pairwise(widths)
        )
    )


class Pairs(nn.Module):
    """Convolutions over two frames at a time, the mean over pairs, a linear layer over 4 × 4
    places."""

    def __init__(self, classes: int, side: int = 32) -> None:
        super().__init__()
        self.body = convolutions(6, side >= _LARGE).append(nn.AdaptiveAvgPool2d(4))
        self.head = nn.Linear(16 * WIDTHS[-1], classes)

    def features(self, pictures: Tensor) -> Tensor:
        """(N, T, H, W, 3) → (N, 512)."""
        x = pictures.float() / 64 - 2
        pairs = torch.cat([x[:, :-1:2], x[:, 1::2] - x[:, :-1:2]], 4).flatten(0, 1)
        maps = self.body(pairs.permute(0, 3, 1, 2))  # channels last takes two thirds of the time
        return maps.flatten(1).view(len(x), -1, 16 * WIDTHS[-1]).mean(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))


def fit(
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: int,
    steps: int,
    seed: int,
    make: Callable[[int, int], nn.Module] = Pairs,
) -> nn.Module:
    """A network trained on clips (N, T, side, side, 3). Pictures are shifted by up to two pixels
    and their brightness varies."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = make(classes, pictures.shape[2])
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, steps)
    x, y = torch.from_numpy(pictures), torch.from_numpy(labels)
    for _ in tqdm(range(steps), "network", leave=False, unit="step", disable=None):
        which = torch.from_numpy(rng.integers(0, len(x), _BATCH))
        shift = tuple(int(n) for n in rng.integers(-2, 3, 2))
        batch = torch.roll(x[which], shift, (2, 3)).float() * float(rng.uniform(0.8, 1.2))
        loss = F.cross_entropy(network(batch), y[which], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


@torch.inference_mode()
def accuracy(network: nn.Module, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    right = [network(torch.from_numpy(part)).argmax(1).numpy() for part in _parts(pictures)]
    return float((np.concatenate(right) == labels).mean())


@torch.inference_mode()
def loss(network: nn.Module, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Mean cross-entropy."""
    logits = torch.cat([network(torch.from_numpy(part)) for part in _parts(pictures)])
    return float(F.cross_entropy(logits, torch.from_numpy(labels)))


@torch.inference_mode()
def features(network: Pairs, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, features), unit length."""
    logits = torch.cat(
        [F.normalize(network.features(torch.from_numpy(part)), dim=1) for part in _parts(pictures)]
    )
    return logits.double().numpy()


def _parts(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pictures[at : at + 128] for at in range(0, len(pictures), 128)]
