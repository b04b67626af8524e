"""Which clips of a data set are kept, how many frames of each, at which quality, within so many
bytes.

Clips come in the order of `herding_order`; the quality and number of frames are those of `settled`:
networks are trained on what fits. Imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.condense.clips import Clips, evenly
from gvcodec.condense.coded import decode, encode, sizes
from gvcodec.condense.gvset import spread
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
    """Numbers of the clips in the data set, frames of each, quality; the stream."""

    clips: NDArray[np.int64]
    count: int
    q: float
    stream: bytes


def subsample(clips: Clips, count: int) -> list[NDArray[np.uint8]]:
    """`count` frames of every clip, evenly spaced."""
    places = evenly(clips.pictures.shape[1], count)
    return [pictures[places] for pictures in clips.pictures]


def decode_frames(stream: bytes, frames: int) -> NDArray[np.uint8]:
    """What a network sees of the clips of a stream: (N, frames, side, side, 3)."""
    return np.stack([spread(clip, frames) for clip in decode(stream)])


def fill_room(clips: Clips, order: Iterable[int], count: int, q: float, room: int) -> Choice:
    """Clips in this order as long as their stream fits; one at least."""
    chosen = list(order)
    parts = subsample(clips.only(np.array(chosen)), count)
    # The first few say about how many are worth looking at.
    each = float(sizes(encode(parts[:_FEW], q)).mean())
    parts = parts[: int(1.5 * room / each) + _FEW]
    spent = np.cumsum(sizes(encode(parts, q)))
    keep = max(1, int(np.searchsorted(spent, room - _FIXED, "right")))
    while len(stream := encode(parts[:keep], q)) > room and keep > 1:
        keep -= 1
    return Choice(np.array(chosen[:keep]), count, q, stream)


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


def taught(clips: Clips, validation: Clips, choice: Choice, steps: int, seed: int) -> float:
    """Validation loss of a network that learned from this choice alone. A regression on features
    of a network that has seen all clips is no judge of this: it asks for fewer, better clips."""
    pictures = decode_frames(choice.stream, clips.pictures.shape[1])
    network = fit(pictures, clips.labels[choice.clips], len(clips.classes), steps, seed)
    return loss(network, validation.pictures, validation.labels)


def choose_quality(
    clips: Clips, validation: Clips, order: Iterable[int], room: int, steps: int, seed: int
) -> tuple[float, Choice]:
    """The quality, then the number of frames, at which clips in this order teach most, and the
    validation loss: along `QUALITIES` from `_BEGIN` as long as it falls, then half the frames."""
    order = list(order)
    known: dict[int, tuple[float, Choice]] = {}

    def tried(count: int, q: float) -> tuple[float, Choice]:
        choice = fill_room(clips, order, count, q, room)
        return taught(clips, validation, choice, steps, seed), choice

    at, frames = _BEGIN, clips.pictures.shape[1]
    while True:
        for place in {at - 1, at, at + 1} & set(range(len(QUALITIES))) - known.keys():
            known[place] = tried(frames, QUALITIES[place])
        best = min(known, key=lambda place: known[place][0])
        if best == at:
            half = tried(max(1, frames // 2), QUALITIES[at])
            return min(known[at], half, key=lambda pair: pair[0])
        at = best
