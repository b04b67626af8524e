"""From clips to the bytes of a `.gvset`. Imports torch.

frames     clips in herding order, few frames of each as AV1; quality, number of frames and
           their spacing by validation loss
selector   the same with frames by a trained selector (`selector`)
joint      selector and latent codes optimised with the task (`joint`)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.condense import codes, gvset
from gvcodec.condense.choosing import Choice, choose_quality, herding_order
from gvcodec.condense.clip_streams import decode
from gvcodec.condense.clips import METHODS, Clips, evenly
from gvcodec.condense.gvset import repeat
from gvcodec.condense.joint import ALL, CodedSet, Parts, optimise
from gvcodec.condense.learning import Pairs, accuracy, features, fit
from gvcodec.condense.selector import COUNTS, choose_places, train_selector
from gvcodec.errors import UsageError
from gvcodec.models import model_id

#: Share of clips for validation, training steps of a network for choices and of one for the final
#: measurement: in 300 it learns only half of a thousand clips.
_VALIDATION, _STEPS, _JUDGED = 0.2, 300, 900
#: Numbers of frames of a clip to try, in this order.
_COUNTS = (2, 4, 1)
#: Frames of a clip in codes, a quadrant of a window, and the network's coarsest rate: both measured
#: on Motion8 with an early state of the network and codes that were not optimised.
_JOINT_COUNT, _JOINT_RATE = 4, 7
#: Training steps of a network per step of codes, which takes far longer.
_JOINT_EVERY = 5


@dataclass(frozen=True, slots=True)
class CondensedClips:
    """Content of the file: numbers of the `clips` (N,), their decoded frames `pictures` (N, K,
    side, side, 3), and the bytes: a `stream` of quality `q`, or codes of a `form`."""

    clips: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    q: float
    stream: bytes
    form: codes.Form | None = None

    @staticmethod
    def of(choice: Choice) -> CondensedClips:
        return CondensedClips(
            choice.clips, np.stack(decode(choice.stream)), choice.q, choice.stream
        )

    @property
    def count(self) -> int:
        return self.pictures.shape[1]

    def repeat_frames(self, frames: int) -> NDArray[np.uint8]:
        """(N, frames, side, side, 3): input of a network."""
        return np.stack([repeat(clip, frames) for clip in self.pictures])


def condense(
    clips: Clips, size: int, seed: int, method: str = METHODS[0]
) -> tuple[bytes, dict[str, Any]]:
    """The file of at most `size` bytes, and its figures. Raises `UsageError` if not even a clip
    fits."""
    learn, validation = split_validation(clips, np.random.default_rng(seed))
    network = fit(learn.pictures, learn.labels, len(clips.classes), _STEPS, seed)
    assert isinstance(network, Pairs)
    make = MAKERS[method](learn, validation, network, seed, _STEPS)
    # The manifest is as large as a clip or two; its size depends on the labels.
    byte_budget = size - len(gvset.pack(b"", clips.classes, [], clips.pictures.shape[1], {})) - 16
    for _ in range(4):
        condensed = make(byte_budget)
        labels = learn.labels[condensed.clips]
        info = {"names": len(clips), "q": condensed.q, "frames": condensed.count}
        data = gvset.pack(
            condensed.stream,
            clips.classes,
            labels.tolist(),
            clips.pictures.shape[1],
            info,
            condensed.form,
        )
        if len(data) <= size:
            break
        byte_budget -= len(data) - size
    else:
        raise UsageError(
            f"--size: {size} bytes are not enough for a clip, {len(data)} are",
            code="size-unreachable",
        )
    classifier = fit(
        condensed.repeat_frames(max(2, condensed.count)), labels, len(clips.classes), _JUDGED, seed
    )
    return data, {
        "labels": labels,
        "frames": condensed.count,
        "q": condensed.q,
        "accuracy": accuracy(classifier, validation.pictures, validation.labels),
    }


#: Makes a set of at most the given number of bytes.
Maker = Callable[[int], CondensedClips]


def make_frames(learn: Clips, validation: Clips, network: Pairs, seed: int, steps: int) -> Maker:
    return lambda byte_budget: CondensedClips.of(
        choose(learn, validation, network, byte_budget, seed, steps)["best"]
    )


def make_selected(learn: Clips, validation: Clips, network: Pairs, seed: int, steps: int) -> Maker:
    """Frames by a selector, with the number per clip by validation loss."""
    selector = train_selector(learn, steps, seed)
    order = herding_order(learn, features(network, learn.pictures))

    def make(byte_budget: int) -> CondensedClips:
        counts = (count for count in COUNTS if count <= learn.pictures.shape[1])
        starts = ([choose_places(selector, learn, count)] for count in counts)
        candidates = (
            choose_quality(learn, validation, order, byte_budget, steps, seed, s) for s in starts
        )
        return CondensedClips.of(min(candidates, key=lambda pair: pair[0])[1])

    return make


def make_joint(
    learn: Clips, validation: Clips, network: Pairs, seed: int, steps: int, parts: Parts = ALL
) -> Maker:
    """Codes, optimised for the first budget; for later ones the last clips are dropped."""
    from gvcodec.gvc1d.tokenizer import Tokenizer

    tokenizer = Tokenizer(rate=_JOINT_RATE)
    space, name = codes.WindowCodes(tokenizer), model_id(tokenizer.path).hex()
    order = herding_order(learn, features(network, learn.pictures))
    count, side = min(_JOINT_COUNT, learn.pictures.shape[1]), learn.pictures.shape[2]
    optimised: list[CodedSet] = []

    def make(byte_budget: int) -> CondensedClips:
        if not optimised:
            step_share = steps // _JOINT_EVERY
            optimised.append(
                optimise(learn, order, space, count, byte_budget, step_share, seed, parts)
            )
        values = optimised[0].fitting(byte_budget)
        clips, tokens = values.shape[:2]
        form = codes.Form(name, _JOINT_RATE, clips, count, side, tokens)
        pictures = np.stack(space.show(values, count, side))
        clip_indices = np.array(order[:clips])
        return CondensedClips(clip_indices, pictures, float(_JOINT_RATE), space.pack(values), form)

    return make


MAKERS = {"frames": make_frames, "selector": make_selected, "joint": make_joint}


def choose(
    learn: Clips, validation: Clips, network: Pairs, byte_budget: int, seed: int, steps: int
) -> dict[str, Choice]:
    """`best`: the number of frames of a clip, and the quality, with the least validation loss after
    `steps`; `whole`: the same with all frames."""
    order = herding_order(learn, features(network, learn.pictures))
    frames = learn.pictures.shape[1]

    def search(starts: list[NDArray[np.int64]]) -> tuple[float, Choice]:
        return choose_quality(learn, validation, order, byte_budget, steps, seed, starts)

    results = {frames: search([np.arange(frames)])}
    for count in _COUNTS:
        # Try a single frame if two taught more than four.
        if count >= frames or (count == 1 and results[2][0] > results[min(4, frames)][0]):
            continue
        middle = (frames - count) // 2
        results[count] = search([evenly(frames, count), np.arange(middle, middle + count)])
    best = min(results.values(), key=lambda pair: pair[0])[1]
    return {"best": best, "whole": results[frames][1]}


def split_validation(clips: Clips, rng: np.random.Generator) -> tuple[Clips, Clips]:
    """Clips to choose from and clips for validation: at least one of every class with two clips or
    more."""
    validation_clips: list[int] = []
    for label in range(len(clips.classes)):
        shuffled = rng.permutation(np.flatnonzero(clips.labels == label))
        count = max(1, round(_VALIDATION * len(shuffled))) * (len(shuffled) > 1)
        validation_clips += [int(n) for n in shuffled[:count]]
    if not validation_clips:
        raise UsageError("a data set needs two clips of a class at least", code="data-set")
    rest = np.setdiff1d(np.arange(len(clips)), validation_clips)
    return clips.only(rest), clips.only(np.array(validation_clips))
