"""How many tokens a window gets: the names of `--alloc` for base tokens.

`uniform` every window may use all K. `elbo` N = β · ELBO / E[ELBO] within K/16…K, where the estimate of -ELBO in bits comes from
the encoder in one pass and E is its mean over the training data [InfoTok]. `uniqueness` looks at the frames of a group
together: frames like their leader get none, the others share F · N · ρ · K tokens by how unlike the rest they are, and
within a frame the most unique windows are served first [UniComp]. `oracle` tries several prefixes and keeps what is best
for its bits. Whatever is given, a window becomes a copy where its tokens do not pay.

Arrays: `effort` (N,) log2 of bits, `features` (F, N, D) of F frames of N windows, counts (F, N) or (N,), 0…K.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("uniform", "elbo", "uniqueness", "oracle")
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def routed(effort: Floats, mean: float, tokens: int, beta: float = 1.0) -> Counts:
    """The router: `mean` is E[ELBO] in bits; `beta` 1 gives a usual window all tokens."""
    wanted = beta * tokens * 2.0**effort / mean
    result: Counts = np.clip(np.round(wanted), max(1, tokens // 16), tokens).astype(np.int64)
    return result


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """`fusion`: frames whose features differ by less from their leader's get no tokens, `group` frames at most; `share` ρ of all
    tokens are given out; no frame gets more than `cap` times the mean."""

    fusion: float = 0.02
    group: int = 4
    share: float = 0.6
    cap: float = 2.0

    def counts(self, features: Floats, tokens: int) -> Counts:
        """Of frames that follow each other. Features are centred here."""
        frames, windows, _ = features.shape
        unit = _centred(features)
        leads = self._leaders(unit)
        room = windows * tokens
        given = _spread(self._weights(unit[leads]), round(self.share * room * frames), self._most(room, frames))
        result = np.zeros((frames, windows), np.int64)
        for frame, number in zip(np.flatnonzero(leads), given, strict=True):
            order = np.argsort(-_unlike(unit, frame), kind="stable")
            full, rest = divmod(int(number), tokens)
            result[frame, order[:full]] = tokens
            if rest and full < windows:
                result[frame, order[full]] = rest
        return result

    def _leaders(self, unit: Floats) -> NDArray[np.bool_]:
        leads = np.zeros(len(unit), bool)
        leader = 0
        for frame in range(len(unit)):
            distance = float((1 - (unit[frame] * unit[leader]).sum(1)).max())
            if frame == 0 or distance >= self.fusion or frame - leader >= self.group:
                leads[frame], leader = True, frame
        return leads

    @staticmethod
    def _weights(unit: Floats) -> Floats:
        """Softmax of √F (mean(s) - s), s = how much a frame is like the others."""
        count = len(unit)
        if count == 1:
            return np.ones(1)
        flat = unit.reshape(count, -1) / math.sqrt(unit.shape[1])
        alike = ((flat @ flat.T).sum(1) - 1) / (count - 1)
        logits = math.sqrt(count) * (alike.mean() - alike)
        weights: Floats = np.exp(logits - logits.max())
        return weights / weights.sum()

    def _most(self, room: int, frames: int) -> int:
        return min(room, round(self.cap * self.share * room))


def _centred(features: Floats) -> Floats:
    """Unit vectors of what features differ in from their mean over all frames and windows."""
    unit = features - features.mean((0, 1))
    result: Floats = unit / np.maximum(1e-9, np.linalg.norm(unit, axis=2, keepdims=True))
    return result


def _unlike(unit: Floats, frame: int) -> Floats:
    """How far each window is from itself in the frame before, and from the other windows of its frame, (N,)."""
    here = unit[frame]
    others = 1 - (here @ here.T).mean(1)
    before: Floats = 1 - (here * unit[max(frame - 1, 0)]).sum(1)
    return before + 0.5 * others


def _spread(weights: Floats, total: int, most: int) -> Counts:
    """Whole numbers in proportion to `weights`, none above `most`, with exactly `total` in sum where that is possible."""
    given = np.zeros(len(weights))
    open_ = np.ones(len(weights), bool)
    total = min(total, most * len(weights))
    while open_.any() and (left := total - given.sum()) > 0.5:
        add = left * weights * open_ / max(1e-12, float((weights * open_).sum()))
        given = np.minimum(given + add, most)
        open_ &= given < most - 1e-9
    result = np.floor(given + 1e-9).astype(np.int64)
    missing = total - int(result.sum())
    order = np.argsort(-(given - result), kind="stable")
    for index in [i for i in order if result[i] < most][:missing]:
        result[index] += 1
    return result


def ladder(tokens: int) -> list[int]:
    """Prefixes that `oracle` tries."""
    return [tokens >> i for i in range(tokens.bit_length())]
