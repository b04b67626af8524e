"""Short-term context: what the last frame leaves for the next one.

The last restored picture, the decoder's features before its output head and what tokens have added
so far are moved by block motion, where the decoder has any, and trusted as far as the frames shown
agree there. Nothing of it is sent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec.gvc1d.blocks import spread
from gvcodec.gvc1d.memory import Remembered
from gvcodec.gvc1d.picture import Picture, grey
from gvcodec.types import BLOCK
from gvcodec.util.tensors import places, warp

#: Mean difference, in 8-bit levels, at which a block is trusted by 1/e.
_SOFT = 4.0


class State(NamedTuple):
    """After a frame: `picture` as restored, `reference`: the same without what the network added,
    which would pile up; `shown` before restoration (None without a base), `added`: what tokens have
    added to it so far, `features` `[B, C, H/s, W/s]` of the decoder,
    `memory` (None: the network has none), `phase` of the next frame."""

    picture: Picture
    reference: Picture
    shown: Picture | None
    added: Picture
    features: Tensor
    memory: Remembered | None
    phase: int = 0

    def detach(self) -> State:
        parts: list[Any] = [p if p is None or isinstance(p, int) else p.detach() for p in self]
        return State(*parts)


class Context(NamedTuple):
    """Before a frame: `picture`, the best guess of it, to which the decoder adds; `shown` = the
    frame to restore, or None; `last`: the moved last picture less the guess; `added`: with a base,
    moved, weighted by trust; `features` moved, or None; `memory` or None; `known`:
    (is there a base, is there a last frame); `phase` of the direct path's patterns."""

    picture: Picture
    shown: Picture | None
    last: Picture
    added: Picture
    features: Tensor | None
    memory: Remembered | None
    known: tuple[bool, bool]
    phase: int = 0


def carry(
    shown: Picture | None,
    state: State | None,
    motion: Tensor | None,
    like: Tensor,
    size: tuple[int, int, int],
) -> Context:
    """The context of a frame. `motion`: `[B, 2, H/16, W/16]` luma samples (dy, dx), None = no
    motion. `size`: (B, H, W) where neither `shown` nor `state` is there."""
    if state is None:
        picture = grey(*size, like) if shown is None else shown
        none = Picture(torch.zeros_like(picture.y), torch.zeros_like(picture.uv))
        return Context(picture, shown, none, none, None, None, (shown is not None, False))
    features = _move_features(state.features, motion, state.picture.y.shape[2])
    if shown is None:
        (last, guess), _ = _move([state.picture - state.reference, state.reference], motion)
        return Context(
            guess, None, last, state.added, features, state.memory, (False, True), state.phase
        )
    before = [] if state.shown is None else [state.shown]
    (moved, added, *others), inside = _move([state.picture, state.added, *before], motion)
    trust = torch.ones_like(shown.y[:, :, ::BLOCK, ::BLOCK])
    for other in others:
        error = F.avg_pool2d((other.y - shown.y).abs(), BLOCK) * 255
        trust = torch.exp(-error / _SOFT)
        if inside is not None:
            trust = trust * F.avg_pool2d(inside.to(trust.dtype), BLOCK)
    added = _weigh(added, trust)
    guess = shown + added
    last = _weigh(moved - guess, trust)
    side = shown.y.shape[2] // features.shape[2]
    features = features * spread(trust, BLOCK // side).to(features.dtype)
    return Context(guess, shown, last, added, features, state.memory, (True, True), state.phase)


def _move(pictures: list[Picture], motion: Tensor | None) -> tuple[list[Picture], Tensor | None]:
    """Pictures fetched at the vectors' places, and a map of where these lie inside (None:
    everywhere)."""
    if motion is None:
        return pictures, None
    y, inside = warp(torch.cat([p.y for p in pictures], 1), motion)
    uv, _ = warp(torch.cat([p.uv for p in pictures], 1), motion, 2)
    planes = zip(y.split(1, 1), uv.split(2, 1), strict=True)
    return [Picture(*pair) for pair in planes], inside


def _move_features(x: Tensor, motion: Tensor | None, height: int) -> Tensor:
    if motion is None:
        return x
    b, c, h, w = x.shape
    index, _ = places(motion, h, w, height // h)
    index = (index + torch.arange(b, device=x.device)[:, None, None] * (h * w)).flatten()
    return x.permute(0, 2, 3, 1).reshape(-1, c)[index].view(b, h, w, c).permute(0, 3, 1, 2)


def _weigh(picture: Picture, trust: Tensor) -> Picture:
    return Picture(picture.y * spread(trust, BLOCK), picture.uv * spread(trust, BLOCK // 2))
