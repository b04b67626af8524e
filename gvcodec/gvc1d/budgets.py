"""How many tokens each window of a frame is sent with, and the integers that they hold.

    uniform      the same number for all windows
    rd           for each window the number with the least J, by the real entropy model
    uniqueness   UniComp: more tokens where a frame differs from its group's first, the fewest for
                 frames that hardly do
    elbo         InfoTok: in proportion to -ELBO, the cost of a window that is coded whole

`share` is that of all tokens that may be sent, on average (`rd` decides it itself). Every budget
rounds by rate and distortion: an integer moves towards its prediction where that lowers J.
A budget gets the coder before the frame and gives the frame to code: lengths [W], tokens [W, T, C].
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from gvcodec.errors import UsageError
from gvcodec.gvc1d.frame_coder import Analysis, Estimate, Frame, FrameCoder, Integers, lambda_of
from gvcodec.types import Planes

#: Widths of the dead zone around predictions that are tried, in steps beyond one half.
DEAD_ZONES = (0.0, 0.1, 0.2, 0.35)
#: Shares of T that `rd` tries. The networks here were not trained on windows without tokens, so
#: none is sent.
SHARES = (1.0, 0.5, 0.25, 0.125)
#: UniComp: 1 - cosine of a frame's tokens to its group's first below which it sends the fewest
#: tokens, and above which it begins a group.
LEAST_UNIQUENESS, NEW_GROUP = 0.002, 0.3
#: Fewest tokens of a window, as a share of T (InfoTok).
LEAST_SHARE = 1 / 16


def cut_tokens(tokens: Integers, lengths: Integers) -> Integers:
    """tokens [W, T, C] with zeros beyond each window's length [W]."""
    sent = np.arange(tokens.shape[1]) < lengths[:, None]
    return tokens * sent[..., None].astype(np.int32)


class Budget(ABC):
    """See the module. `share`: of all tokens, 0 to 1."""

    def __init__(self, share: float) -> None:
        self.share = share

    def choose(self, coder: FrameCoder, planes: Planes, rate: int, keyframe: bool) -> Frame:
        """The next frame. `keyframe`: nothing came before."""
        analysis = coder.analyse(planes, rate)
        lengths = self.lengths(coder, analysis, rate, keyframe)
        return round_tokens(coder, analysis, rate, lengths)

    @abstractmethod
    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        """Tokens of each window [W]."""


class Uniform(Budget):
    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        return spread_tokens(coder, np.ones(coder.windows), self.share)


class RateDistortion(Budget):
    """Each window tries `SHARES` of T with the others whole; all choices together must lower J."""

    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        full = coder.config.tokens
        whole = np.rint(analysis.values).astype(np.int32)
        tried, costs = [], []
        for share in SHARES:
            lengths = np.full(coder.windows, round(share * full), np.int32)
            frame = Frame(rate, lengths, cut_tokens(whole, lengths))
            tried.append(lengths)
            costs.append(cost_of(coder.estimate(frame, analysis), rate))
        best = np.argmin(costs, 0)
        chosen = np.choose(best, tried).astype(np.int32)
        frame = Frame(rate, chosen, cut_tokens(whole, chosen))
        together = cost_of(coder.estimate(frame, analysis), rate).sum()
        alike = int(np.argmin([cost.sum() for cost in costs]))
        return chosen if together < costs[alike].sum() else tried[alike]


class Uniqueness(Budget):
    """UniComp. A frame's uniqueness is 1 - cosine of its tokens to those of its group's first;
    below `least` each window sends the fewest tokens."""

    least = LEAST_UNIQUENESS

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self._first: Integers | None = None  # [W, T * C]

    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        tokens = analysis.values.reshape(coder.windows, -1)
        if keyframe or self._first is None:
            self._first = tokens
            return spread_tokens(coder, np.ones(coder.windows), self.share)
        unique = 1 - _cosine(tokens, self._first)  # [W]
        if unique.mean() < self.least:
            return np.full(coder.windows, fewest_tokens(coder), np.int32)
        if unique.mean() > NEW_GROUP:
            self._first = tokens
        # Windows by the softmax of their uniqueness, as frames in the paper.
        weights = np.exp((unique - unique.max()) * np.sqrt(tokens.shape[1]))
        return spread_tokens(coder, weights, self.share)


class Elbo(Budget):
    """InfoTok: N = clip(β · L / mean L, T / 16, T), L = J of the window with all tokens."""

    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        full = np.full(coder.windows, coder.config.tokens, np.int32)
        frame = Frame(rate, full, np.rint(analysis.values).astype(np.int32))
        return spread_tokens(coder, cost_of(coder.estimate(frame, analysis), rate), self.share)


_BUDGETS: dict[str, type[Budget]] = {
    "uniform": Uniform,
    "rd": RateDistortion,
    "uniqueness": Uniqueness,
    "elbo": Elbo,
}


def make_budget(name: str, share: float = 1.0) -> Budget:
    """The budget of `--alloc`, "" = uniform. Raises `UsageError` for one that there is not."""
    if name and name not in _BUDGETS:
        raise UsageError(f"base gvc1d has budgets {', '.join(_BUDGETS)}, not {name}")
    if not 0 < share <= 1:
        raise UsageError(f"a share of tokens is above 0 and at most 1, not {share:g}")
    return _BUDGETS[name or "uniform"](share)


def round_tokens(coder: FrameCoder, analysis: Analysis, rate: int, lengths: Integers) -> Frame:
    """Integers of the tokens: rounded, or moved towards their predictions by the dead zone that has
    the least J in each window."""
    plain = Frame(rate, lengths, cut_tokens(np.rint(analysis.values).astype(np.int32), lengths))
    estimate = coder.estimate(plain, analysis)
    expected = estimate.mean / 8  # [W, T, C]
    distance = analysis.values - np.rint(expected)
    tried, costs = [plain.tokens], [cost_of(estimate, rate)]
    for zone in DEAD_ZONES[1:]:
        steps = np.sign(distance) * np.floor(np.maximum(np.abs(distance) + 0.5 - zone, 0))
        tokens = cut_tokens((np.rint(expected) + steps).astype(np.int32), lengths)
        tried.append(tokens)
        costs.append(cost_of(coder.estimate(Frame(rate, lengths, tokens), analysis), rate))
    best = np.argmin(costs, 0)  # [W]
    mixed = np.stack(tried)[best, np.arange(coder.windows)]
    together = Frame(rate, lengths, mixed)
    total = cost_of(coder.estimate(together, analysis), rate).sum()
    alike = int(np.argmin([cost.sum() for cost in costs]))
    return together if total < costs[alike].sum() else Frame(rate, lengths, tried[alike])


def cost_of(estimate: Estimate, rate: int) -> Integers:
    """J of each window [W]."""
    cost: Integers = estimate.distortion + lambda_of(rate) * estimate.bits
    return cost


def spread_tokens(coder: FrameCoder, weights: Integers, share: float) -> Integers:
    """Tokens of each window [W], in proportion to weights, at most T and at least T / 16 each;
    together `share` of all."""
    full, windows = coder.config.tokens, coder.windows
    least = fewest_tokens(coder)
    target = max(share * full * windows, least * windows)
    low, high = 0.0, float(full * windows) / max(float(weights.min()), 1e-9)
    for _ in range(40):  # the factor at which the clipped sum is the target
        factor = (low + high) / 2
        total = np.clip(factor * weights, least, full).sum()
        low, high = (factor, high) if total < target else (low, factor)
    lengths: Integers = np.rint(np.clip(high * weights, least, full)).astype(np.int32)
    return lengths


def fewest_tokens(coder: FrameCoder) -> int:
    """Tokens that a window is sent with at least."""
    return max(1, round(LEAST_SHARE * coder.config.tokens))


def _cosine(a: Integers, b: Integers) -> Integers:
    """Cosines of rows [W, N]."""
    length = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.asarray((a * b).sum(1) / np.maximum(length, 1e-9))
