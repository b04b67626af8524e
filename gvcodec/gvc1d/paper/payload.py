"""Bytes of a frame in the paper's form: its tokens (docs/spec/gvc1d-paper.md).

    frame = u8 flags  u8 q  var size  size bytes of symbols  { svar residual }

A residual that has no symbol of its own follows after all symbols, in their order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.entropy.tables import SymbolDecoder, encode_symbols
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d.paper.sizes import CHANNELS, LARGEST, TOKENS
from gvcodec.gvc1d.paper.token_counts import (
    CONTEXTS,
    FARTHEST,
    QUALITIES,
    SYMBOLS,
    Counts,
    FrameContexts,
    Integers,
    Tables,
    residuals_of,
    symbols_of,
)

#: Bit of the flags: the last frame is the context.
_CONTEXT = 1
_MOST_BYTES = 1 << 26


class Frame(NamedTuple):
    """`tokens` `[W, T, C]`, at most `LARGEST` either way."""

    q: int
    context: bool
    tokens: Integers

    def hash_bytes(self) -> bytes:
        """What the base hash counts: flags, q, tokens as i16."""
        return bytes([_CONTEXT * self.context, self.q]) + self.tokens.astype("<i2").tobytes()


class TokenCoder:
    """Frames of one video to bytes and back. Counts begin anew at each keyframe."""

    def __init__(self, tables: Tables, windows: int) -> None:
        self._tables, self._windows = tables, windows
        self._counts = Counts()
        self.last: Integers | None = None

    def restart(self) -> None:
        """The next frame is a keyframe."""
        self._counts, self.last = Counts(), None

    def encode(self, frame: Frame) -> bytes:
        """The payload of the next frame."""
        contexts = self._contexts(frame.q, frame.context)
        residuals = frame.tokens - contexts.predicted
        symbols = symbols_of(residuals)  # [W, T, C]
        edges, index = [], []
        for token in range(TOKENS):
            here = contexts.of(token)
            edges.append(self._counts.edges())
            index.append(here.ravel() + token * CONTEXTS)
            self._counts.add(here, symbols[:, token])
            contexts.see(token, symbols[:, token])
        order = symbols.transpose(1, 0, 2).ravel()
        data = encode_symbols(order, np.concatenate(edges), np.concatenate(index))
        far = residuals.transpose(1, 0, 2).ravel()[order == SYMBOLS - 1]
        self.last = frame.tokens
        head = bytes([_CONTEXT * frame.context, frame.q]) + encode_var(len(data))
        return head + data + b"".join(encode_svar(int(r)) for r in far)

    def decode(self, payload: bytes) -> Frame:
        """Raises `DamagedStreamError`."""
        cursor = Cursor(payload, "a frame of tokens")
        flags, q = cursor.take(2)
        if flags & ~_CONTEXT or q >= QUALITIES:
            raise DamagedStreamError(f"a frame of tokens: flags {flags:#x}, q {q}")
        if flags and self.last is None:
            raise DamagedStreamError("a frame of tokens has a context in a keyframe")
        contexts = self._contexts(q, bool(flags))
        decoder = SymbolDecoder(cursor.take(cursor.var(_MOST_BYTES)))
        symbols = np.empty((TOKENS, self._windows, CHANNELS), np.int32)
        for token in range(TOKENS):
            here = contexts.of(token)
            found = decoder.decode(self._counts.edges(), here.ravel())
            symbols[token] = found.reshape(here.shape)
            self._counts.add(here, symbols[token])
            contexts.see(token, symbols[token])
        decoder.finish()
        tokens = contexts.predicted + self._residuals(symbols, cursor).transpose(1, 0, 2)
        if len(cursor):
            raise DamagedStreamError("a frame of tokens has bytes after its end")
        if np.abs(tokens).max() > LARGEST:
            raise DamagedStreamError(f"a frame of tokens: an integer is beyond ±{LARGEST}")
        self.last = tokens
        return Frame(q, bool(flags), tokens)

    def _contexts(self, q: int, context: bool) -> FrameContexts:
        return FrameContexts(self._tables, q, self._windows, self.last if context else None)

    @staticmethod
    def _residuals(symbols: Integers, cursor: Cursor) -> Integers:
        residuals = residuals_of(symbols)
        far = np.flatnonzero(symbols == SYMBOLS - 1)
        found = np.zeros(len(far), np.int32)
        for n in range(len(far)):
            value = cursor.svar()
            if not FARTHEST < abs(value) <= 2 * LARGEST:
                raise DamagedStreamError(f"a frame of tokens: a far residual is {value}")
            found[n] = value
        residuals.flat[far] = found
        return residuals
