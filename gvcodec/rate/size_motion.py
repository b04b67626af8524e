"""A file of base motion of a given size."""

from __future__ import annotations

import dataclasses
import math

from gvcodec.rate.bracket import Bracket
from gvcodec.rate.one_pass import Pass
from gvcodec.rate.search import USUAL_SLOPE, Fitted, Search

#: Part of the limit that is aimed at, and that is enough: a step of the index is 2 to 4 % of the
#: bytes. Passes if one of them fits.
_GOAL, _ENOUGH, _PASSES = 0.985, 0.97, 7


def encode_motion(search: Search, guess: float | None = None) -> Fitted:
    """`guess`: the index to begin with. Raises `UsageError` with the smallest possible size where
    the limit cannot be met."""
    most = search.config.coarsest
    begin = search.first_guess() if guess is None else guess
    bracket = Bracket(0.0, most, USUAL_SLOPE, begin)
    best: Pass | None = None
    for q in bracket:
        coded = search.run(dataclasses.replace(search.config, base_q=q).resolve())
        bracket.known[q] = math.log(len(coded.data) / (_GOAL * search.room))
        if len(coded.data) <= search.room and (best is None or len(coded.data) > len(best.data)):
            best = coded
        if best is None and q >= most:
            raise search.too_small(coded)
        if best and (len(best.data) >= _ENOUGH * search.room or search.full >= _PASSES):
            break
    assert best is not None
    return search.fitted(best)
