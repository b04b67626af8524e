"""Entropy model of the paper's form: adaptive counts, integers alone.

Each integer is coded as its residual to a prediction: with a context that of the same place in the
last frame, else the usual value of its place (`Tables`, in the weights). A residual's table is one
of `CONTEXTS`, by

* whether there is a context,
* the class of its place: how far its values usually lie from their mean, in octaves,
* how lively the token before it was in this window.

Tables begin as Laplace distributions and count what comes, token by token over all windows of a
frame. docs/spec/gvc1d-paper.md has the same in words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.gvc1d.paper.sizes import CHANNELS, TOKENS

#: Residuals 0, 1, -1, 2 … -7 have a symbol, the last symbol is any other.
SYMBOLS, FARTHEST = 16, 7
CLASSES, LIVELINESS = 10, 3
CONTEXTS = 2 * CLASSES * LIVELINESS
#: Qualities, 0…63.
QUALITIES = 64
#: Distances are in 1 / 64 of an integer.
UNIT = 64
#: Scale index of the Laplace table of class 0 lies so far below 0, without and with a context; a
#: class has an octave, 6 of them.
_BEGIN = (12, 30)
_FIRST_TOTAL, _STEP, _MOST = 128, 32, 1 << 14

Integers = NDArray[np.int32]


class Tables(NamedTuple):
    """Of each integer at each quality, `[QUALITIES, T, C]`: the usual value, the mean distance from
    it in 1 / `UNIT`."""

    usual: Integers
    distance: Integers


class Counts:
    """Counts of a GOP's symbols, `[CONTEXTS, SYMBOLS]`."""

    def __init__(self) -> None:
        first = [_laplace(6 * c - begin) for begin in _BEGIN for c in range(CLASSES)]
        self._counts = np.repeat(np.stack(first), LIVELINESS, 0)

    def edges(self) -> NDArray[np.uint32]:
        """Tables of `gvcodec.entropy`, `[CONTEXTS, SYMBOLS + 1]`."""
        total = self._counts.sum(1, keepdims=True)
        share = np.cumsum(self._counts, 1) * (65536 - SYMBOLS) // total
        edges = np.zeros((CONTEXTS, SYMBOLS + 1), np.int64)
        edges[:, 1:] = share + np.arange(1, SYMBOLS + 1)
        return edges.astype(np.uint32)

    def add(self, contexts: Integers, symbols: Integers) -> None:
        """Symbols that were coded by these contexts."""
        np.add.at(self._counts, (contexts, symbols), _STEP)
        many = self._counts.sum(1) > _MOST
        self._counts[many] = (self._counts[many] + 1) // 2


def _laplace(scale: int) -> NDArray[np.int64]:
    """First counts by the Laplace table of a scale index (0 where it is below)."""
    sizes = np.diff(_core.cdf_table(max(0, scale)).astype(np.int64))
    found = np.zeros(SYMBOLS, np.int64)
    known = min(len(sizes), SYMBOLS) - 1  # the last is the escape
    found[:known] = sizes[:known]
    found[-1] = 65536 - found.sum()
    return found * _FIRST_TOTAL // 65536 + 1


class FrameContexts:
    """Predictions and contexts of one frame's windows, token by token. `last` `[W, T, C]`: integers
    of the last frame, None without a context."""

    def __init__(self, tables: Tables, q: int, windows: int, last: Integers | None) -> None:
        usual = np.broadcast_to(tables.usual[q], (windows, TOKENS, CHANNELS))
        self.predicted: Integers = usual if last is None else last
        self._known = last is not None
        self._distance = tables.distance[q]
        #: Bits of the distance: an octave each.
        octaves = np.array([int(d).bit_length() for d in self._distance.flat], np.int32)
        self._classes = octaves.clip(0, CLASSES - 1).reshape(TOKENS, CHANNELS)
        self._lively = np.ones(windows, np.int32)

    def of(self, token: int) -> Integers:
        """Contexts of a token's integers, `[W, C]`."""
        kind = self._known * CLASSES + self._classes[token][None]  # [1, C]
        found: Integers = (kind * LIVELINESS + self._lively[:, None]).astype(np.int32)
        return found

    def see(self, token: int, symbols: Integers) -> None:
        """`symbols` `[W, C]` of that token, before the contexts of the next are asked for."""
        size = ((symbols + 1) // 2).sum(1)  # of residuals; 8 for any other
        if self._known:
            self._lively = np.minimum(size, LIVELINESS - 1)
        else:
            usual = int(self._distance[token].sum())
            size = 4 * UNIT * size
            self._lively = (size >= 3 * usual).astype(np.int32) + (3 * size >= 16 * usual)


def symbols_of(residuals: Integers) -> Integers:
    """0, 1, -1, 2 … as 0, 1, 2, 3 …; `SYMBOLS` - 1 for what is farther than `FARTHEST`."""
    folded = np.where(residuals > 0, 2 * residuals - 1, -2 * residuals)
    return np.minimum(folded, SYMBOLS - 1).astype(np.int32)


def residuals_of(symbols: Integers) -> Integers:
    """The inverse, for symbols below `SYMBOLS` - 1."""
    found: Integers = np.where(symbols & 1, (symbols + 1) // 2, -(symbols // 2))
    return found
