"""Tokens of a frame as bytes, by the adaptive integer coder: whatever selects a probability is decoded before.

    for each window, row by row: how many tokens were sent, then their values, token by token

A value's class of statistics is that of its token's number: 1, 2–3, 4–7 and so on. A class for each place learns too slowly for the few values of a GOP. A class
is split by what the window's memory holds of the place, a running mean of its magnitudes over the frames before, in integers; within it the magnitude coded just before
chooses the context. Statistics and memory live as long as a `TokenCoder`: one serves the frames of one GOP, in order, so that later frames are cheap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.appearance.coder import Contexts, Decoder, Encoder
from gvcodec.errors import DamagedStreamError

Values = NDArray[np.int64]

#: The memory counts in eighths; from these on a place is in the next class.
_UNIT, _EDGES = 8, (1, 4, 12)


class TokenCoder:
    """`pack` or `unpack` the frames of a GOP; `shape`: (rows, columns, K, C) of a frame's tokens, `limit` their largest magnitude.

    `memory` and `neighbour` off (for ablations) leave out the memory and the magnitude coded just before."""

    def __init__(
        self, shape: tuple[int, int, int, int], limit: int, memory: bool = True, neighbour: bool = True
    ) -> None:
        self._shape, self._limit = shape, limit
        self._contexts, self._remembers, self._neighbour = Contexts(), memory, neighbour
        rows, columns, tokens, channels = shape
        self._memory = np.zeros((rows * columns, tokens * channels), np.int64)

    def pack(self, values: Values) -> bytes:
        """`values` of the shape, whole numbers; zero tokens at the end of a window are not sent."""
        coder = Encoder(self._contexts)
        flat = values.reshape(self._memory.shape)
        for window, kinds in zip(flat, self._kinds(), strict=True):
            sent = np.flatnonzero(window)
            count = int(sent[-1]) // self._shape[3] + 1 if len(sent) else 0
            coder.put(count, -1)
            for kind, value in zip(kinds, window[: count * self._shape[3]].tolist(), strict=False):
                if not self._neighbour:
                    coder.forget()
                coder.put(value, kind)
        self._remember(flat)
        return coder.finish()

    def unpack(self, data: bytes) -> tuple[Values, Values]:
        """The values and how many tokens each window was sent, `(rows, columns)`. Raises `DamagedStreamError`."""
        rows, columns, tokens, channels = self._shape
        coder = Decoder(data, self._contexts)
        values = np.zeros(self._memory.shape, np.int64)
        counts = np.zeros(rows * columns, np.int64)
        for number, (window, kinds) in enumerate(zip(values, self._kinds(), strict=True)):
            count = coder.get(-1)
            if not 0 <= count <= tokens:
                raise DamagedStreamError("a window with more tokens than there are")
            counts[number] = count
            for place, kind in enumerate(kinds[: count * channels]):
                if not self._neighbour:
                    coder.forget()
                window[place] = coder.get(kind)
        coder.finish()
        if np.abs(values).max(initial=0) > self._limit:
            raise DamagedStreamError("a token's value is out of range")
        self._remember(values)
        return values.reshape(self._shape), counts.reshape(rows, columns)

    def _kinds(self) -> list[list[int]]:
        """Classes of the places of each window."""
        token = np.arange(self._memory.shape[1]) // self._shape[3] + 1
        level = sum((self._memory >= edge).astype(np.int64) for edge in _EDGES)
        classes = np.frexp(token)[1] * (len(_EDGES) + 1) + level
        kinds: list[list[int]] = classes.tolist()
        return kinds

    def _remember(self, values: Values) -> None:
        if self._remembers:
            self._memory += (_UNIT * np.abs(values) - self._memory) >> 1
