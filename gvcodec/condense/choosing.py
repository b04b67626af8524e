"""Which clips of a data set are kept, how many frames of each, at which quality, within so many
bytes.

`by_gain` is what `gvcodec condense` does: frames and quality are tried on random clips, then clips
are added one by one, each time that one which takes most off the validation loss of a ridge
regression a byte. The other ways are what it is compared with. Imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.condense.clips import Clips, evenly
from gvcodec.condense.coded import decode, encode, sizes
from gvcodec.condense.gvset import spread
from gvcodec.condense.learning import Ridge, features
from gvcodec.condense.networks import Pairs

#: Frames of a clip, and quality, that are tried.
COUNTS, QUALITIES = (1, 2, 4, 8), (28, 40, 52)
#: Bytes of a stream besides its clips.
_FIXED = 96
#: Clips that are looked at, at most.
_POOL = 200
#: Clips whose size is measured first.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """Numbers of the clips in the data set, frames of each, quality; the stream."""

    clips: NDArray[np.int64]
    count: int
    q: float
    stream: bytes


def thinned(clips: Clips, count: int) -> list[NDArray[np.uint8]]:
    """`count` frames of every clip, evenly spaced."""
    places = evenly(clips.pictures.shape[1], count)
    return [pictures[places] for pictures in clips.pictures]


def shown(stream: bytes, frames: int) -> NDArray[np.uint8]:
    """What a network sees of the clips of a stream: (N, frames, side, side, 3)."""
    return np.stack([spread(clip, frames) for clip in decode(stream)])


def filled(clips: Clips, order: Iterable[int], count: int, q: float, room: int) -> Choice:
    """Clips in this order as long as their stream fits; one at least."""
    chosen = list(order)
    parts = thinned(clips.only(np.array(chosen)), count)
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


def random_order(clips: Clips, rng: np.random.Generator) -> list[int]:
    return in_turns(clips.labels, rng.permutation(len(clips)), len(clips.classes))[:_POOL]


def uniform_order(clips: Clips) -> list[int]:
    """Evenly spaced in the list of each class."""
    places = [np.flatnonzero(clips.labels == label) for label in range(len(clips.classes))]
    halved = [own[_van_der_corput(len(own))] for own in places]
    return in_turns(clips.labels, np.concatenate(halved), len(clips.classes))[:_POOL]


def herding_order(clips: Clips, seen: NDArray[np.float64]) -> list[int]:
    """By class: each time the clip that brings the mean of the chosen ones nearest to the mean of
    all."""
    order = []
    for label in range(len(clips.classes)):
        own = np.flatnonzero(clips.labels == label)
        mean, total = seen[own].mean(0), np.zeros(seen.shape[1])
        left = list(range(len(own)))
        for number in range(1, min(len(own), _POOL // len(clips.classes)) + 1):
            distance = np.linalg.norm((total + seen[own[left]]) / number - mean, axis=1)
            at = left.pop(int(np.argmin(distance)))
            total = total + seen[own[at]]
            order.append(int(own[at]))
    return in_turns(clips.labels, np.array(order), len(clips.classes))


def k_centre_order(clips: Clips, seen: NDArray[np.float64]) -> list[int]:
    """By class: each time the clip that is farthest from those chosen."""
    order = []
    for label in range(len(clips.classes)):
        own = np.flatnonzero(clips.labels == label)
        at = int(np.argmin(np.linalg.norm(seen[own] - seen[own].mean(0), axis=1)))
        nearest = np.full(len(own), np.inf)
        for _ in range(min(len(own), _POOL // len(clips.classes))):
            order.append(int(own[at]))
            nearest = np.minimum(nearest, np.linalg.norm(seen[own] - seen[own[at]], axis=1))
            at = int(np.argmax(nearest))
    return in_turns(clips.labels, np.array(order), len(clips.classes))


def settings(
    clips: Clips, validation: Clips, network: Pairs, room: int, rng: np.random.Generator
) -> tuple[int, float]:
    """Frames of a clip and quality whose random clips make the best regression in so many bytes."""
    seen = features(network, validation.pictures)
    best, chosen = np.inf, (clips.pictures.shape[1], QUALITIES[1])
    order = random_order(clips, rng)
    for count in (n for n in COUNTS if n <= clips.pictures.shape[1]):
        for q in QUALITIES:
            choice = filled(clips, order, count, q, room)
            ridge = Ridge(seen, validation.labels, len(clips.classes))
            decoded = features(network, shown(choice.stream, clips.pictures.shape[1]))
            for one, label in zip(decoded, clips.labels[choice.clips], strict=True):
                ridge.add(one, int(label))
            if ridge.loss() < best:
                best, chosen = ridge.loss(), (count, q)
    return chosen


def by_gain(
    clips: Clips,
    validation: Clips,
    network: Pairs,
    room: int,
    count: int,
    q: float,
    rng: np.random.Generator,
) -> Choice:
    """Clips added one by one, by validation gain a byte, of a pool drawn at random."""
    pool = np.array(random_order(clips, rng))
    stream = encode(thinned(clips.only(pool), count), q)
    bytes_of, labels = sizes(stream), clips.labels[pool]
    candidates = features(network, shown(stream, clips.pictures.shape[1]))
    ridge = Ridge(features(network, validation.pictures), validation.labels, len(clips.classes))
    left = np.ones(len(pool), bool)
    order: list[int] = []
    spent = _FIXED
    while True:
        fits = left & (spent + bytes_of <= room)
        if not fits.any():
            break
        gain = (ridge.loss() - ridge.losses_with(candidates, labels)) / bytes_of
        at = int(np.argmax(np.where(fits, gain, -np.inf)))
        ridge.add(candidates[at], int(labels[at]))
        left[at], spent = False, spent + int(bytes_of[at])
        order.append(int(pool[at]))
    return filled(clips, order or [int(pool[0])], count, q, room)


def _van_der_corput(count: int) -> NDArray[np.int64]:
    """0 … count − 1 so that the first few are evenly spaced, too."""
    bits = max(1, (count - 1).bit_length())
    turned = [int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits)]
    return np.array([n for n in turned if n < count])
