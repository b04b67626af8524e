"""Chooses the clips of a data set, the number of frames of each and their quality, within a budget
of bytes.

Clips come in the order of `herding_order`; `choose_quality` picks quality and frames by training
networks on the sets that fit. Imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.condense.clip_streams import decode, encode, sizes
from gvcodec.condense.clips import Clips
from gvcodec.condense.gvset import repeat
from gvcodec.condense.learning import fit, loss

#: Qualities to try, and the index of the first.
QUALITIES, _BEGIN = (43, 47, 51, 55, 59, 63), 3
#: Bytes of a stream without its clips.
_FIXED = 96
#: Most clips to order.
MOST_ORDERED = 4096
#: Clips whose size is measured first.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """Numbers of the clips in the data set, places (N, K) of their selected frames, quality; the
    stream."""

    clips: NDArray[np.int64]
    places: NDArray[np.int64]
    q: float
    stream: bytes

    @property
    def count(self) -> int:
        return self.places.shape[1]


def subsample(clips: Clips, places: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """The frames at these places (N, K) of every clip."""
    return [pictures[selected] for pictures, selected in zip(clips.pictures, places, strict=True)]


def fill_budget(
    clips: Clips, order: Iterable[int], places: NDArray[np.int64], q: float, byte_budget: int
) -> Choice:
    """The first clips of this order whose stream fits, at least one; of each the frames at `places`
    (K) or (N, K)."""
    selected = np.array(list(order))
    every = np.broadcast_to(places, (len(clips), np.shape(places)[-1]))[selected]
    # The first few give an estimate of how many fit.
    few = subsample(clips.only(selected[:_FEW]), every[:_FEW])
    most = max(0, int(1.5 * byte_budget / float(sizes(encode(few, q)).mean()))) + _FEW
    parts = subsample(clips.only(selected[:most]), every[:most])
    spent = np.cumsum(sizes(encode(parts, q)))
    keep = max(1, int(np.searchsorted(spent, byte_budget - _FIXED, "right")))
    while True:
        stream = encode(parts[:keep], q)
        if len(stream) <= byte_budget or keep == 1:
            return Choice(selected[:keep], every[:keep], q, stream)
        keep -= max(1, int((len(stream) - byte_budget) / len(stream) * keep / 2))


def in_turns(labels: NDArray[np.int64], order: NDArray[np.int64], classes: int) -> list[int]:
    """The same order, one of each class after another."""
    queues = [[int(n) for n in order if labels[n] == label] for label in range(classes)]
    longest = max(map(len, queues))
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]


def herding_order(clips: Clips, features: NDArray[np.float64]) -> list[int]:
    """Order by class: next the clip that brings the mean of the selected ones nearest to the mean
    of all."""
    order = []
    for label in range(len(clips.classes)):
        members = np.flatnonzero(clips.labels == label)
        mean, total = features[members].mean(0), np.zeros(features.shape[1])
        remaining = list(range(len(members)))
        for number in range(1, min(len(members), MOST_ORDERED // len(clips.classes)) + 1):
            distance = np.linalg.norm(
                (total + features[members[remaining]]) / number - mean, axis=1
            )
            at = remaining.pop(int(np.argmin(distance)))
            total = total + features[members[at]]
            order.append(int(members[at]))
    return in_turns(clips.labels, np.array(order), len(clips.classes))


def validation_loss(
    clips: Clips, validation: Clips, choice: Choice, steps: int, seed: int
) -> float:
    """Validation loss of a network that learned from this choice alone. A regression on features of
    a network trained on all clips is misleading here: it prefers fewer, better clips."""
    # Repeated frames are the same pairs again.
    frames = max(2, choice.count)
    pictures = np.stack([repeat(clip, frames) for clip in decode(choice.stream)])
    network = fit(pictures, clips.labels[choice.clips], len(clips.classes), steps, seed)
    return loss(network, validation.pictures, validation.labels)


def choose_quality(
    clips: Clips,
    validation: Clips,
    order: Iterable[int],
    byte_budget: int,
    steps: int,
    seed: int,
    starts: Sequence[NDArray[np.int64]],
) -> tuple[float, Choice]:
    """The places of frames, one of `starts`, then the quality with the least validation loss, and
    that loss: along `QUALITIES` from `_BEGIN` as long as it falls."""
    order = list(order)

    def try_quality(places: NDArray[np.int64], at: int) -> tuple[float, Choice]:
        choice = fill_budget(clips, order, places, QUALITIES[at], byte_budget)
        return validation_loss(clips, validation, choice, steps, seed), choice

    first = [try_quality(places, _BEGIN) for places in starts]
    which = min(range(len(first)), key=lambda n: first[n][0])
    at, losses = _BEGIN, {_BEGIN: first[which]}
    while True:
        for place in {at - 1, at + 1} & set(range(len(QUALITIES))) - losses.keys():
            losses[place] = try_quality(starts[which], place)
        best = min(losses, key=lambda place: losses[place][0])
        if best == at:
            return losses[at]
        at = best
