"""Chooses the clips of a data set, the number of frames of each and their quality, within a budget
of bytes.

Clips come in the order of `herding_order`; `choose_quality` picks quality and frames by training
networks on the sets that fit. Imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.condense.clips import Clips
from gvcodec.condense.coded import decode, encode, sizes
from gvcodec.condense.gvset import repeat
from gvcodec.condense.learning import fit, loss

#: Qualities that are tried, and the place where that begins.
QUALITIES, _BEGIN = (43, 47, 51, 55, 59, 63), 3
#: Bytes of a stream besides its clips.
_FIXED = 96
#: Clips that are put in an order, at most.
MOST_ORDERED = 4096
#: Clips whose size is measured first.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """Numbers of the clips in the data set, places (N, K) of the frames kept of each, quality; the
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
    return [pictures[own] for pictures, own in zip(clips.pictures, places, strict=True)]


def fill_room(
    clips: Clips, order: Iterable[int], places: NDArray[np.int64], q: float, room: int
) -> Choice:
    """Clips in this order, of each the frames at `places` (K) or (N, K), as long as their stream
    fits; one at least."""
    chosen = np.array(list(order))
    every = np.broadcast_to(places, (len(clips), np.shape(places)[-1]))[chosen]
    # The first few say about how many are worth looking at.
    few = subsample(clips.only(chosen[:_FEW]), every[:_FEW])
    most = max(0, int(1.5 * room / float(sizes(encode(few, q)).mean()))) + _FEW
    parts = subsample(clips.only(chosen[:most]), every[:most])
    spent = np.cumsum(sizes(encode(parts, q)))
    keep = max(1, int(np.searchsorted(spent, room - _FIXED, "right")))
    while True:
        stream = encode(parts[:keep], q)
        if len(stream) <= room or keep == 1:
            return Choice(chosen[:keep], every[:keep], q, stream)
        keep -= max(1, int((len(stream) - room) / len(stream) * keep / 2))


def in_turns(labels: NDArray[np.int64], order: NDArray[np.int64], classes: int) -> list[int]:
    """The same order, one of each class after another."""
    queues = [[int(n) for n in order if labels[n] == label] for label in range(classes)]
    longest = max(map(len, queues))
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]


def herding_order(clips: Clips, seen: NDArray[np.float64]) -> list[int]:
    """By class: each time the clip that brings the mean of the chosen ones nearest to the mean of
    all."""
    order = []
    for label in range(len(clips.classes)):
        own = np.flatnonzero(clips.labels == label)
        mean, total = seen[own].mean(0), np.zeros(seen.shape[1])
        left = list(range(len(own)))
        for number in range(1, min(len(own), MOST_ORDERED // len(clips.classes)) + 1):
            distance = np.linalg.norm((total + seen[own[left]]) / number - mean, axis=1)
            at = left.pop(int(np.argmin(distance)))
            total = total + seen[own[at]]
            order.append(int(own[at]))
    return in_turns(clips.labels, np.array(order), len(clips.classes))


def validation_loss(
    clips: Clips, validation: Clips, choice: Choice, steps: int, seed: int
) -> float:
    """Validation loss of a network that learned from this choice alone. A regression on features
    of a network that has seen all clips is no judge of this: it asks for fewer, better clips."""
    # Repeated frames are the same pairs again.
    frames = max(2, choice.count)
    pictures = np.stack([repeat(clip, frames) for clip in decode(choice.stream)])
    network = fit(pictures, clips.labels[choice.clips], len(clips.classes), steps, seed)
    return loss(network, validation.pictures, validation.labels)


def choose_quality(
    clips: Clips,
    validation: Clips,
    order: Iterable[int],
    room: int,
    steps: int,
    seed: int,
    starts: Sequence[NDArray[np.int64]],
) -> tuple[float, Choice]:
    """The places of frames, one of `starts`, then the quality, at which clips in this order teach
    most, and the validation loss: along `QUALITIES` from `_BEGIN` as long as it falls."""
    order = list(order)

    def tried(places: NDArray[np.int64], at: int) -> tuple[float, Choice]:
        choice = fill_room(clips, order, places, QUALITIES[at], room)
        return validation_loss(clips, validation, choice, steps, seed), choice

    first = [tried(places, _BEGIN) for places in starts]
    which = min(range(len(first)), key=lambda n: first[n][0])
    at, known = _BEGIN, {_BEGIN: first[which]}
    while True:
        for place in {at - 1, at + 1} & set(range(len(QUALITIES))) - known.keys():
            known[place] = tried(starts[which], place)
        best = min(known, key=lambda place: known[place][0])
        if best == at:
            return known[at]
        at = best
