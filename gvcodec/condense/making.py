"""From clips to the bytes of a `.gvset`. Imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.condense import gvset
from gvcodec.condense.choosing import (
    Choice,
    choose_quality,
    decode_frames,
    herding_order,
)
from gvcodec.condense.clips import Clips, evenly
from gvcodec.condense.learning import accuracy, features, fit
from gvcodec.condense.networks import Pairs
from gvcodec.errors import UsageError

#: Part of the clips that validates, and steps of a network's training.
_VALIDATION, _STEPS = 0.2, 300
#: Frames of a clip that are tried, in this order.
_COUNTS = (2, 4, 1)


def condense(clips: Clips, size: int, seed: int) -> tuple[bytes, dict[str, Any]]:
    """The file of at most `size` bytes, and what it came to. Raises `UsageError` where not even a
    clip fits."""
    rng = np.random.default_rng(seed)
    learn, validation = split_validation(clips, rng)
    network = fit(learn.pictures, learn.labels, len(clips.classes), _STEPS, seed)
    assert isinstance(network, Pairs)
    # The manifest is as large as a clip or two: what it takes is known only with the labels.
    room = size - len(gvset.pack(b"", clips.classes, [], clips.pictures.shape[1], {})) - 16
    for _ in range(4):
        choice = choose(learn, validation, network, room, seed)["best"]
        labels = learn.labels[choice.clips]
        info = {"names": len(clips), "q": choice.q, "frames": choice.count}
        data = gvset.pack(
            choice.stream, clips.classes, list(map(int, labels)), clips.pictures.shape[1], info
        )
        if len(data) <= size:
            break
        room -= len(data) - size
    else:
        raise UsageError(f"--size: {size} bytes are not enough for a clip, {len(data)} are")
    pictures = decode_frames(choice.stream, max(2, choice.count))
    judge = fit(pictures, labels, len(clips.classes), _STEPS, seed)
    return data, {
        "labels": labels,
        "frames": choice.count,
        "q": choice.q,
        "accuracy": accuracy(judge, validation.pictures, validation.labels),
    }


def choose(
    learn: Clips, validation: Clips, network: Pairs, room: int, seed: int, steps: int | None = None
) -> dict[str, Choice]:
    """`best`: the number of frames of a clip, and the quality, with which a network learns most in
    `steps`, by validation; `whole`: the same with all frames."""
    order = herding_order(learn, features(network, learn.pictures))
    frames = learn.pictures.shape[1]

    def search(starts: list[NDArray[np.int64]]) -> tuple[float, Choice]:
        return choose_quality(learn, validation, order, room, steps or _STEPS, seed, starts)

    known = {frames: search([np.arange(frames)])}
    for count in _COUNTS:
        # A single frame is tried where two taught more than four.
        if count >= frames or (count == 1 and known[2][0] > known[min(4, frames)][0]):
            continue
        middle = (frames - count) // 2
        known[count] = search([evenly(frames, count), np.arange(middle, middle + count)])
    best = min(known.values(), key=lambda pair: pair[0])[1]
    return {"best": best, "whole": known[frames][1]}


def split_validation(clips: Clips, rng: np.random.Generator) -> tuple[Clips, Clips]:
    """Clips to choose from, and to validate by: of every class with two clips or more a part, one
    at least."""
    held: list[int] = []
    for label in range(len(clips.classes)):
        own = rng.permutation(np.flatnonzero(clips.labels == label))
        held += (
            [int(n) for n in own[: max(1, round(_VALIDATION * len(own)))]] if len(own) > 1 else []
        )
    if not held:
        raise UsageError("a data set needs two clips of a class at least")
    rest = np.setdiff1d(np.arange(len(clips)), held)
    return clips.only(rest), clips.only(np.array(held))
