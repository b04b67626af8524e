"""Training of classifiers, accuracy, and a ridge regression on features in place of training where
speed counts. Imports torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from gvcodec.condense.networks import Pairs

_BATCH, _RATE, _RIDGE = 16, 2e-3, 1e-2


def fit(
    pictures: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, steps: int, seed: int,
    make: Callable[[int], nn.Module] = Pairs,
) -> nn.Module:  # fmt: skip
    """A network trained on clips (N, T, side, side, 3). Pictures are shifted by up to two pixels
    and their brightness varies."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = make(classes)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.01)
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


class Ridge:
    """Least squares from features to classes, clip by clip: `gain` says what each candidate would
    add on validation clips."""

    def __init__(self, seen: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> None:
        """`seen`: features (N, F) of validation clips."""
        self._seen, self._wanted = seen, np.eye(classes)[labels] - 1 / classes
        self._inverse = np.eye(seen.shape[1]) / _RIDGE
        self._right = np.zeros((seen.shape[1], classes))
        self._classes = classes

    def loss(self) -> float:
        return float(np.square(self._seen @ self._inverse @ self._right - self._wanted).mean())

    def losses_with(
        self, candidates: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Validation loss if one of these (M, F) were added: rank-one updates, all at once."""
        wanted = np.eye(self._classes)[labels] - 1 / self._classes
        weights = self._inverse @ self._right
        gains = candidates @ self._inverse
        errors = wanted - candidates @ weights
        steps = 1 / (1 + np.einsum("mf,mf->m", gains, candidates))
        rest = self._wanted - self._seen @ weights
        reach = self._seen @ gains.T * steps
        # |rest − reach · error|² for every candidate, expanded.
        cross = np.einsum("vm,vc,mc->m", reach, rest, errors)
        square = np.square(reach).sum(0) * np.square(errors).sum(1)
        losses: NDArray[np.float64] = (np.square(rest).sum() - 2 * cross + square) / rest.size
        return losses

    def add(self, candidate: NDArray[np.float64], label: int) -> None:
        gain = self._inverse @ candidate
        self._inverse -= np.outer(gain, gain) / (1 + candidate @ gain)
        self._right += np.outer(candidate, np.eye(self._classes)[label] - 1 / self._classes)

    def accuracy(self) -> float:
        return float(
            (
                np.argmax(self._seen @ self._inverse @ self._right, 1) == np.argmax(self._wanted, 1)
            ).mean()
        )


def _parts(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pictures[at : at + 128] for at in range(0, len(pictures), 128)]
