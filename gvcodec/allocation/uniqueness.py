"""UniComp: token budgets by uniqueness, so tokens similar to already sent ones are dropped.

Yuan et al., "UniComp: Rethinking Video Compression Through Informational Uniqueness", CVPR 2026
(arXiv 2512.03575). Uniqueness of two tokens is u = 1 - cos of their features. Three parts, applied
in this order to the frames of a GOP:

    frames ─ Frame Group Fusion ─► leaders ─ Token Allocation ─► tokens a leader
                                                └─ Spatial Dynamic Compression ─► kept tokens

Shapes: F frames of N tokens (all windows of a frame side by side) with D features and C channels.
Features are what leaves the encoder (`gvcodec.gvc1d.tokenizer`, of runs of tokens). A feature of
zeros resembles nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: The paper's thresholds of u, for frames (U_f) and for tokens of a frame (U_c).
FRAME_THRESHOLD, TOKEN_THRESHOLD = 0.005, 0.2


@dataclass(frozen=True, slots=True)
class TokenSelection:
    """Selected tokens of a GOP. `mask` (F, N): whether a token is sent. `near` (F, N, N): similar
    tokens of its frame, itself included."""

    mask: Mask
    near: Mask

    def merge(self, t: int, values: Features) -> NDArray[np.float64]:
        """Latents before rounding, (N, C), of frame `t`: a kept token becomes (own + mean of its
        neighbourhood) / 2, so tokens that were dropped for it are part of it; others are 0."""
        exact = values.astype(np.float64)
        mean = self.near[t] @ exact / self.near[t].sum(1, keepdims=True)
        merged: NDArray[np.float64] = np.where(self.mask[t, :, None], (exact + mean) / 2, 0)
        return merged


def normalise(features: Features) -> NDArray[np.float64]:
    """Features (..., D) of length 1."""
    wide = features.astype(np.float64)
    norm = np.linalg.norm(wide, axis=-1, keepdims=True)
    result: NDArray[np.float64] = wide / np.maximum(norm, 1e-12)
    return result


def uniqueness(features: Features, others: Features | None = None) -> NDArray[np.float64]:
    """u (N, M) = 1 - cos of features (N, D) and (M, D), 0…2; by default of all with all."""
    unit = normalise(features)
    other = unit if others is None else normalise(others)
    result: NDArray[np.float64] = 1 - unit @ other.T
    return result


def subtract_mean(features: Features) -> NDArray[np.float64]:
    """Features (F, ..., D) less their mean over the GOP. Those of this encoder are similar (most
    cosines within a frame are above 0.8); less the mean they lie around 0."""
    wide = features.astype(np.float64)
    result: NDArray[np.float64] = wide - wide.mean(tuple(range(wide.ndim - 1)))
    return result


def frame_features(features: Features) -> NDArray[np.float64]:
    """(F, N · D): unit vectors of each frame's tokens (F, ..., D), side by side, so that the cosine
    of two frames is the mean of their tokens'."""
    return normalise(features).reshape(len(features), -1)


def fuse_frames(frames: Features, threshold: float, retain: float) -> Counts:
    """Frame Group Fusion: for each frame (F, D) the first frame of its group, (F,).

    A frame joins the open group if its u to the group's first frame is at most `threshold` and the
    group has fewer than 1 / `retain` frames, `retain` being the share of all tokens that the budget
    pays for. Only first frames send tokens."""
    distance = uniqueness(frames)
    leaders = np.zeros(len(frames), np.int64)
    for t in range(1, len(frames)):
        first = leaders[t - 1]
        is_joined = distance[t, first] <= threshold and (t - first) * retain < 1 - 1e-9
        leaders[t] = first if is_joined else t
    return leaders


def allocate_tokens(frames: Features, budget: int, most: int) -> Counts:
    """Token Allocation: tokens of each frame (F, D), (F,), together `budget` at most.

    s_t = mean cosine to all frames, U_t = (mean(s) - s_t) · √F, K_t = ⌊softmax(U)_t · budget⌋, none
    above min(`most`, max(1, 2 · ⌊budget / F⌋)); the rest is shared evenly among those
    below."""
    count = len(frames)
    similarity = (1 - uniqueness(frames)).mean(1)
    logits = (similarity.mean() - similarity) * math.sqrt(count)
    weights = np.exp(logits - logits.max())
    counts = np.floor(weights / weights.sum() * budget + 1e-9).astype(np.int64)
    caps = np.full(count, min(most, max(1, 2 * (budget // count))), np.int64)
    return share_surplus(np.minimum(counts, caps), caps, budget)


def share_surplus(counts: Counts, caps: Counts, budget: int) -> Counts:
    """`counts` (F,) plus even shares of the remaining `budget`, none above `caps`; the remainder
    goes to the earliest frames, from which others are predicted."""
    counts = counts.copy()
    while (surplus := budget - int(counts.sum())) > 0 and (counts < caps).any():
        open_frames = np.flatnonzero(counts < caps)
        share = surplus // len(open_frames)
        counts[open_frames if share else open_frames[:surplus]] += max(1, share)
        counts = np.minimum(counts, caps)
    return counts


def select_tokens(features: Features, threshold: float) -> tuple[list[int], Mask]:
    """Candidates of Spatial Dynamic Compression among tokens (N, D), in order of selection, and
    which tokens resemble which, (N, N), themselves included.

    The most unique first (largest mean u to all tokens of the frame); one whose u to a token
    selected before is below `threshold` is dropped."""
    distance = uniqueness(features)
    near = distance < threshold
    np.fill_diagonal(near, True)
    is_dropped = np.zeros(len(features), bool)
    order = []
    for i in np.argsort(-distance.mean(1), kind="stable"):
        if not is_dropped[i]:
            order.append(int(i))
            is_dropped |= near[i]
    return order, near


def compress_frames(features: Features, budgets: Counts, threshold: float) -> TokenSelection:
    """Spatial Dynamic Compression of frames (F, N, D) to `budgets` (F,).

    The first K_t in order of selection are kept; frames that select fewer pass the rest of their
    budget on, evenly, to those that select more. A frame of budget 0 keeps nothing."""
    selected = [select_tokens(frame, threshold) for frame in features]
    lengths = np.array([len(order) for order, _ in selected], np.int64)
    caps = np.where(budgets > 0, lengths, 0)
    counts = share_surplus(np.minimum(budgets, caps), caps, int(budgets.sum()))
    mask = np.zeros(features.shape[:2], bool)
    for t, (order, _) in enumerate(selected):
        mask[t, order[: counts[t]]] = True
    return TokenSelection(mask, np.stack([near for _, near in selected]))


def compress(
    features: Features,
    budget: int,
    frame_threshold: float = FRAME_THRESHOLD,
    token_threshold: float = TOKEN_THRESHOLD,
) -> TokenSelection:
    """All three parts on a GOP, by centred features (F, N, D), at most `budget` tokens. Raises
    `ValueError` for a budget below 1."""
    budgets = frame_budgets(features, budget, features.shape[1], frame_threshold)
    return compress_frames(subtract_mean(features), budgets, token_threshold)


def frame_budgets(
    features: Features, budget: int, most: int, threshold: float = FRAME_THRESHOLD
) -> Counts:
    """Frame Group Fusion and Token Allocation: tokens a frame, (F,), of frames (F, ..., D) with
    `most` tokens each; 0 for joined frames. Raises `ValueError` for a budget below 1."""
    frames = len(features)
    if budget < 1:
        raise ValueError(f"a budget of {budget} tokens")
    whole = frame_features(subtract_mean(features))
    leaders = np.unique(fuse_frames(whole, threshold, min(1.0, budget / (frames * most))))
    budgets = np.zeros(frames, np.int64)
    budgets[leaders] = allocate_tokens(whole[leaders], budget, most)
    return budgets
