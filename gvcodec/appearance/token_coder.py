"""Tokens of a frame as bytes, by the adaptive integer coder: whatever selects a probability is decoded before.

    for each window, row by row: how many tokens were sent, then their values, token by token

A value's class of statistics is its place (token, channel); within it the magnitudes just coded before choose the context. The statistics
live as long as a `TokenCoder`: one serves the frames of one GOP, in order, so that later frames are cheap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.appearance.coder import Contexts, Decoder, Encoder
from gvcodec.errors import DamagedStreamError

Values = NDArray[np.int64]


class TokenCoder:
    """`pack` or `unpack` the frames of a GOP; `shape`: (rows, columns, K, C) of a frame's tokens, `limit` their largest magnitude."""

    def __init__(self, shape: tuple[int, int, int, int], limit: int) -> None:
        self._shape, self._limit = shape, limit
        self._contexts = Contexts()

    def pack(self, values: Values) -> bytes:
        """`values` of the shape, whole numbers; zero tokens at the end of a window are not sent."""
        coder = Encoder(self._contexts)
        for window in values.reshape(-1, *self._shape[2:]):
            sent = np.flatnonzero(window.any(1))
            count = int(sent[-1]) + 1 if len(sent) else 0
            coder.put(count, self._shape[2] * self._shape[3])
            for kind, value in enumerate(window[:count].ravel().tolist()):
                coder.put(value, kind)
        return coder.finish()

    def unpack(self, data: bytes) -> tuple[Values, Values]:
        """The values and how many tokens each window was sent, `(rows, columns)`. Raises `DamagedStreamError`."""
        rows, columns, tokens, channels = self._shape
        coder = Decoder(data, self._contexts)
        values = np.zeros((rows * columns, tokens * channels), np.int64)
        counts = np.zeros(rows * columns, np.int64)
        for number, window in enumerate(values):
            count = coder.get(tokens * channels)
            if not 0 <= count <= tokens:
                raise DamagedStreamError("a window with more tokens than there are")
            counts[number] = count
            for kind in range(count * channels):
                window[kind] = coder.get(kind)
        coder.finish()
        if np.abs(values).max(initial=0) > self._limit:
            raise DamagedStreamError("a token's value is out of range")
        return values.reshape(self._shape), counts.reshape(rows, columns)
