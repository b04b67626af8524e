"""Stored pixels moved for the task before they are encoded: what is decoded should move features as
whole classes do. Imports torch.

Distribution matching (Zhao and Bilen, WACV 2023): under networks drawn at random, and the trained
one, mean features of the decoded clips of a class come near those of the data set's. Gradients go
straight through the codec, whose error is taken anew every few steps; bytes are real ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.condense.choosing import Choice, subsample
from gvcodec.condense.clips import Clips, evenly
from gvcodec.condense.coded import decode, encode
from gvcodec.condense.networks import Pairs

_RATE, _ANEW, _REAL = 4.0, 10, 16
#: How much of the movement is kept.
_PART = 0.5


def optimise(
    clips: Clips, network: Pairs, choice: Choice, room: int, steps: int, seed: int
) -> Choice:
    """The same clips with moved pixels, without the last ones where these take more bytes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    labels, frames = clips.labels[choice.clips], clips.pictures.shape[1]
    start = np.stack(subsample(clips.only(choice.clips), choice.count)).astype(np.float32)
    moved = torch.from_numpy(start.copy()).requires_grad_(True)
    optimiser = torch.optim.Adam([moved], _RATE)
    index = _spread_index(frames, choice.count)
    error = torch.zeros_like(moved)
    for step in range(steps):
        if step % _ANEW == 0:
            now = moved.detach().numpy()
            error = torch.from_numpy(np.stack(decode(encode(list(_bytes(now)), choice.q))) - now)
        seen = (moved + error)[:, index]
        loss = _mismatch(
            network if step % 2 else Pairs(len(clips.classes)), seen, labels, clips, rng
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            moved.clamp_(0, 255)
    parts = list(_bytes(start + _PART * (moved.detach().numpy() - start)))
    while len(stream := encode(parts, choice.q)) > room and len(parts) > 1:
        parts.pop()
    return replace(choice, clips=choice.clips[: len(parts)], stream=stream)


def _mismatch(
    network: Pairs, seen: Tensor, labels: NDArray[np.int64], clips: Clips, rng: np.random.Generator
) -> Tensor:
    """Squared distances of mean features, class by class."""
    ours = network.features(seen)
    loss = ours.new_zeros(())
    for label in np.unique(labels):
        real = rng.choice(np.flatnonzero(clips.labels == label), _REAL)
        with torch.no_grad():
            wanted = network.features(torch.from_numpy(clips.pictures[real])).mean(0)
        loss = loss + (ours[torch.from_numpy(labels == label)].mean(0) - wanted).square().sum()
    return loss


def _bytes(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def _spread_index(frames: int, count: int) -> Tensor:
    nearest = np.abs(np.arange(frames)[:, None] - evenly(frames, count)[None]).argmin(1)
    return torch.from_numpy(nearest)
