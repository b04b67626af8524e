"""Budgets of windows: one function from features, errors and a total to tokens a window.

`gvcodec.config.METHODS`, the names of `--alloc`:

    uniform      every window the same
    uniqueness   frames and tokens unlike the others [UniComp, `uniqueness`]
    elbo         windows in proportion to bits + distortion [InfoTok, `router`]
    both         UniComp's frames, and among the windows of a frame InfoTok's shares
    rd           the prefixes of steepest slope on each window's convex hull, by trial
                 (Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers",
                 1988)

Shapes: F frames of W windows of K tokens; D features.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from gvcodec.allocation.router import route_to
from gvcodec.allocation.uniqueness import TokenSelection, compress, frame_budgets
from gvcodec.option_rules import METHODS

Floats = NDArray[np.floating]
Counts = NDArray[np.int64]


def allocate(features: Floats, errors: Floats | None, method: str, total: int) -> Counts:
    """Tokens of each window (F, W), together `total` at most.

    `features` (F, W, K, D). `errors`: for `elbo` and `both` -ELBO of each window (F, W), or the
    error of each prefix (F, W, K + 1), the last of which, that of all tokens, is taken for it; `rd`
    needs the latter. Raises `ValueError` for arguments that do not match."""
    frames, windows, tokens = features.shape[:3]
    if method not in METHODS:
        raise ValueError(f"no allocation {method!r}; there are {', '.join(METHODS)}")
    if total < 0:
        raise ValueError(f"a budget of {total} tokens")
    if total == 0:
        return np.zeros((frames, windows), np.int64)
    if method == "uniform":
        return _uniform(frames * windows, tokens, total).reshape(frames, windows)
    if method == "uniqueness":
        return select(features, total).mask.reshape(frames, windows, tokens).sum(-1)
    if errors is None:
        raise ValueError(f"allocation {method} needs errors")
    if method == "rd":
        if errors.shape != (frames, windows, tokens + 1):
            raise ValueError("allocation rd needs the error of every prefix")
        flat = errors.reshape(-1, tokens + 1)
        bits = np.broadcast_to(np.arange(tokens + 1.0), flat.shape)
        return rate_distortion(bits, flat, total).reshape(frames, windows)
    elbo = errors[..., -1] if errors.ndim == 3 else errors
    if elbo.shape != (frames, windows):
        raise ValueError(f"errors of {elbo.shape} windows for {frames} × {windows}")
    if method == "elbo":
        return route_to(elbo, tokens, total)
    assert method == "both", method
    budgets = frame_budgets(features, total, windows * tokens)
    return np.stack([route_to(elbo[t], tokens, int(budgets[t])) for t in range(frames)])


def select(features: Floats, total: int) -> TokenSelection:
    """UniComp's tokens of a GOP (F, W, K, D), at most `total`: mask (F, W · K), and the members of
    merged tokens."""
    return compress(features.reshape(len(features), -1, features.shape[-1]), total)


def rate_distortion(bits: Floats, errors: Floats, total: float) -> Counts:
    """One option for each of n items, (n,), with the least sum of errors whose bits come to `total`
    at most, as far as convex hulls reach: `bits` and `errors` (n, options), bits rising.

    Option 0 of every item is taken even where those alone exceed `total`."""
    count = len(bits)
    steps = []
    for i in range(count):
        hull = lower_hull(bits[i], errors[i])
        for before, after in itertools.pairwise(hull):
            slope = (errors[i, before] - errors[i, after]) / (bits[i, after] - bits[i, before])
            steps.append((-float(slope), i, before, after))
    steps.sort(key=lambda step: step[0])  # stable, so an item's steps stay in order
    chosen = np.zeros(count, np.int64)
    remaining = total - float(bits[:, 0].sum())
    for _, i, before, after in steps:
        price = float(bits[i, after] - bits[i, before])
        if chosen[i] == before and price <= remaining + 1e-9:
            chosen[i] = after
            remaining -= price
    return chosen


def lower_hull(bits: Floats, errors: Floats) -> list[int]:
    """Options on the lower convex hull of (bits, errors), from option 0 to the least error."""
    hull = [0]
    for option in range(1, len(bits)):
        if errors[option] >= errors[hull[-1]] or bits[option] <= bits[hull[-1]]:
            continue
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            rise = (errors[a] - errors[b]) * (bits[option] - bits[a])
            if rise > (errors[a] - errors[option]) * (bits[b] - bits[a]):
                break
            hull.pop()
        hull.append(option)
    return hull


def _uniform(count: int, tokens: int, total: int) -> Counts:
    """The same for all; the remainder goes to the first ones."""
    each, rest = divmod(min(total, count * tokens), count)
    return each + (np.arange(count) < rest).astype(np.int64)
