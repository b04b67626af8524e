"""How many tokens each window of a frame is sent with, and which of their integers are zeroed.

    uniform      all T tokens
    rd           fewest tokens by rate and distortion, with the real entropy model
    uniqueness   UniComp: more tokens where a frame differs from its group's first; none for frames
                 that hardly do
    elbo         InfoTok: tokens in proportion to -ELBO, the cost of a window coded whole

A budget sees the coder before the frame and gives the frame to code: rate, lengths [W], tokens
[W, T, C] with zeros where absent.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gvcodec.errors import UsageError
from gvcodec.gvc1d.frame_coder import Frame, FrameCoder, Integers
from gvcodec.types import Planes


class Budget(Protocol):
    def choose(self, coder: FrameCoder, planes: Planes, rate: int, keyframe: bool) -> Frame: ...


def make_budget(name: str) -> Budget:
    """Raises `UsageError` for one that there is not."""
    budgets = {"": Uniform, "uniform": Uniform}
    if name not in budgets:
        raise UsageError(f"base gvc1d has no budgets {name!r}")
    return budgets[name]()


def cut_tokens(tokens: Integers, lengths: Integers) -> Integers:
    """tokens [W, T, C] with zeros beyond each window's length [W]."""
    sent = np.arange(tokens.shape[1]) < lengths[:, None]
    return tokens * sent[..., None].astype(np.int32)


class Uniform:
    """All tokens of each window."""

    def choose(self, coder: FrameCoder, planes: Planes, rate: int, keyframe: bool) -> Frame:
        tokens = coder.analyse(planes, rate)
        lengths = np.full(len(tokens), coder.config.tokens, np.int32)
        return Frame(rate, lengths, tokens)
