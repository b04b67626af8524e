"""Clips for training GVC1D: the miniature world, or a folder of videos.

A batch is y [B, F, H, W], u and v [B, F, H/2, W/2], float32 in 0..1, that follows from the random
generator given, so that a resumed run sees the clips that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from gvcodec.errors import UsageError
from gvcodec.gvc1d.model import Config
from training import world

Planes = tuple[Tensor, Tensor, Tensor]
#: Clips and frames of a validation, and frames of a scene in the test of recall.
VALIDATION_CLIPS, VALIDATION_FRAMES, RECALL_CLIPS = 16, 12, 16


class Recall(NamedTuple):
    """Clips A B A, and the same with another clip's scene in place of the first A: [B, F, …]; the
    frame [B] at which A begins (again)."""

    returning: Planes
    stranger: Planes
    frame: Tensor


@dataclass(frozen=True)
class Validation:
    """Clips, and by name masks [B, F] of frames: first, next, cut, return."""

    planes: Planes
    places: dict[str, Tensor]
    recall: Recall | None = None


class Clips(Protocol):
    def batch(self, rng: np.random.Generator, clips: int, frames: int) -> Planes: ...

    def validation(self) -> Validation: ...


def open_data(table: dict[str, Any], config: Config, seed: int) -> Clips:
    """What [data] of a configuration names. Raises `UsageError`."""
    kind = table.get("kind")
    if kind == "world":
        return WorldClips()
    raise UsageError(f"data kind {kind!r} is unknown; there is world")


def _stack(clips: list[world.Clip]) -> Planes:
    planes = ([getattr(clip, name) for clip in clips] for name in ("y", "u", "v"))
    y, u, v = (torch.from_numpy(np.stack(plane)) for plane in planes)
    return y, u, v


@dataclass
class WorldClips:
    """Clips of training seeds."""

    _validation: list[Validation] = field(default_factory=list)

    def batch(self, rng: np.random.Generator, clips: int, frames: int) -> Planes:
        seeds = rng.integers(world.FIRST_TEST_SEED, size=clips)
        drawn = [world.draw(int(seed), frames) for seed in seeds]
        if frames == 1:
            return _stack(drawn)
        return _stack(drawn)

    def validation(self) -> Validation:
        if not self._validation:
            self._validation.append(_draw_validation())
        return self._validation[0]


def _draw_validation() -> Validation:
    first = world.FIRST_TEST_SEED
    clips = [world.draw(first + n, VALIDATION_FRAMES) for n in range(VALIDATION_CLIPS)]
    places = {name: torch.zeros(len(clips), VALIDATION_FRAMES, dtype=torch.bool)
              for name in ("first", "next", "cut", "return")}  # fmt: skip
    places["first"][:, 0] = True
    for row, clip in enumerate(clips):
        for frame, known in clip.cuts():
            places["return" if known else "cut"][row, frame] = True
    places["next"] = ~(places["first"] | places["cut"] | places["return"])
    return Validation(_stack(clips), places, draw_recall(first + 500, RECALL_CLIPS))


def draw_recall(first_seed: int, count: int) -> Recall:
    """Paired clips of these seeds: scene 0 for some frames, scene 1, then scene 0 goes on; and with
    scene 2 shown first instead."""
    returning, stranger, frames = [], [], []
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng([seed, 2])
        shown, between = (int(rng.integers(2, 5)) for _ in range(2))
        times = [*range(shown), *range(between), shown]
        scenes = [0] * shown + [1] * between
        total = 4 + 4 + 1
        pad = total - len(times)  # the same length for all: frames after the return
        times += [shown + 1 + n for n in range(pad)]
        for first, clips in ((0, returning), (2, stranger)):
            numbers = [first if s == 0 else s for s in scenes] + [0] * (1 + pad)
            clips.append(world.draw(seed, total, (numbers, times)))
        frames.append(shown + between)
    return Recall(_stack(returning), _stack(stranger), torch.tensor(frames))
