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

from gvcodec.condense.choosing import Choice, shown, thinned
from gvcodec.condense.clips import Clips, evenly
from gvcodec.condense.coded import decode, encode
from gvcodec.condense.learning import Ridge, features
from gvcodec.condense.networks import Pairs

_RATE, _ANEW, _REAL = 4.0, 10, 16
#: How much of the movement is kept, tried in turn until the bytes fit and validation gains.
_PARTS = (1.0, 0.5, 0.25)


def optimised(
    clips: Clips,
    validation: Clips,
    network: Pairs,
    choice: Choice,
    room: int,
    steps: int,
    seed: int,
) -> Choice:
    """The same clips with pixels that teach more, or the choice as it is where the ridge's
    validation loss does not fall."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    labels, frames = clips.labels[choice.clips], clips.pictures.shape[1]
    start = np.stack(thinned(clips.only(choice.clips), choice.count)).astype(np.float32)
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
    end = moved.detach().numpy()
    least = _loss(clips, validation, network, choice.stream, labels)
    for part in _PARTS:
        stream = encode(list(_bytes(start + part * (end - start))), choice.q)
        if len(stream) <= room and _loss(clips, validation, network, stream, labels) < least:
            return replace(choice, stream=stream)
    return choice


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


def _loss(
    clips: Clips, validation: Clips, network: Pairs, stream: bytes, labels: NDArray[np.int64]
) -> float:
    ridge = Ridge(features(network, validation.pictures), validation.labels, len(clips.classes))
    for one, label in zip(
        features(network, shown(stream, clips.pictures.shape[1])), labels, strict=True
    ):
        ridge.add(one, int(label))
    return ridge.loss()


def _bytes(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def _spread_index(frames: int, count: int) -> Tensor:
    nearest = np.abs(np.arange(frames)[:, None] - evenly(frames, count)[None]).argmin(1)
    return torch.from_numpy(nearest)
