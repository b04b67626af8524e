"""Training of classifiers, their accuracy and loss. Imports torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from gvcodec.condense.networks import Pairs

_BATCH, _RATE = 16, 2e-3


def fit(
    pictures: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, steps: int, seed: int,
    make: Callable[[int, int], nn.Module] = Pairs,
) -> nn.Module:  # fmt: skip
    """A network trained on clips (N, T, side, side, 3). Pictures are shifted by up to two pixels
    and their brightness varies."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = make(classes, pictures.shape[2])
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, steps)
    x, y = torch.from_numpy(pictures), torch.from_numpy(labels)
    for _ in range(steps):
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
    found = torch.cat([network(torch.from_numpy(part)) for part in _parts(pictures)])
    return float(F.cross_entropy(found, torch.from_numpy(labels)))


@torch.inference_mode()
def features(network: Pairs, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, features), unit length."""
    found = torch.cat(
        [F.normalize(network.features(torch.from_numpy(part)), dim=1) for part in _parts(pictures)]
    )
    return found.double().numpy()


def _parts(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pictures[at : at + 128] for at in range(0, len(pictures), 128)]
