"""Packets of base tokens, without torch: what a frame's integers are and how they are coded.

    key     = u8 q  intra picture                     q of the tokens; an AV1 temporal unit as in base av1
    inter   = 0xC0  inter picture                     a refresh: the next AV1 temporal unit of this GOP, predicted from those before
    inter   = 0xC1  inter tokens                      from here to the next refresh frames go backward: each follows the one that
                                                      is shown after it, the last of them the refresh, and they are decoded in
                                                      that order, behind the refresh; `MOST_BACKWARD` at most. Where the
                                                      GOP ends without one (a stream was mended) they repeat the frame before
    inter   = [u8 head  [windows]  [counts]  rows]    tokens; nothing at all: every window repeats the frame before
    head    = 0x00 | n        every window has n tokens, 1…K
              0x40 | n        windows: a bit each (first window in the lowest bit): 1 = n tokens, 0 = a copy
              0x80            counts: var size, an rANS packet of N counts 0…K (Laplace table 45, mean 16)
    rows    = windows with tokens in order, `ROW` together as one rANS packet, each but the last after its size (var):
              token by token, channel by channel; tables by the integer network of the model from `entropy.side` and
              the values before

`Entropy` is one side's state: it changes with every frame of tokens, encoded or decoded, and starts anew at a
keyframe. A refresh leaves it as it is. Frames that go backward begin with what was known behind the keyframe or refresh before
theirs, motion turned round (`turned`), and what they change is forgotten behind the last of them. Raises `DamagedStreamError` for bytes that mean nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import DamagedStreamError
from gvcodec.structure.tokens import entropy
from gvcodec.structure.tokens.entropy import Integers

#: Windows whose tokens go into one packet: fewer bytes of framing against work that can be done
#: side by side.
ROW = 4
#: Largest magnitude of a token's integer.
LARGEST = 127
_SAME, _SOME, _EACH = 0x00, 0x40, 0x80
REFRESH, BACKWARD = b"\xc0", b"\xc1"
#: Frames that a decoder keeps waiting for a refresh.
MOST_BACKWARD = 16
_COUNT_SCALE, _COUNT_MEAN = 45, 16 * 8


class Entropy:
    """Codes frames of `windows` windows with K = `tokens` of C = `channels` integers each."""

    def __init__(self, network: Sequence[Layer], windows: int, tokens: int, channels: int) -> None:
        self._network = network
        self._shape = windows, tokens, channels
        self.q = 0
        self.restart(0)

    def restart(self, q: int) -> None:
        """A keyframe: nothing is remembered. Tokens are coded for `q`, 0…63."""
        self.q = q
        self._last = np.zeros(self._shape, np.int32)
        self._level = np.zeros(self._shape, np.int32)

    def turned(self) -> Entropy:
        """For the other way through time: what moved moves back."""
        other = copy.copy(self)
        other._last = self._last.copy()
        other._last[..., : entropy.STEPS] *= -1
        return other

    def encode(self, tokens: Integers, counts: NDArray[np.int64]) -> bytes:
        """The payload of a frame. Of `tokens` (N, K, C) the first `counts` (N,) of each window are
        coded."""
        if not counts.any():
            return b""
        with_tokens = np.flatnonzero(counts)
        rows = self._rows(counts)
        side = entropy.side(self._last, self._level, self.q, counts)
        values = tokens.reshape(len(tokens), -1)
        packets = streams.encode_predicted(
            self._network,
            *(self._joined(part, rows, counts) for part in (side, values)),
            self._steps(rows, counts),
        )
        self._remember(tokens, counts)
        framed = [encode_var(len(packet)) + packet for packet in packets[:-1]] + packets[-1:]
        return self._head(counts, with_tokens) + b"".join(framed)

    def decode(self, payload: bytes) -> tuple[Integers, NDArray[np.int64]]:
        """Tokens (N, K, C), zero behind the counts, and counts (N,)."""
        windows, tokens, channels = self._shape
        if not payload:
            return np.zeros(self._shape, np.int32), np.zeros(windows, np.int64)
        cursor = Cursor(payload, "tokens")
        counts = self._counts(cursor)
        rows = self._rows(counts)
        packets = [cursor.take(cursor.var()) for _ in rows[:-1]] + [cursor.take(len(cursor))]
        side = entropy.side(self._last, self._level, self.q, counts)
        steps = self._steps(rows, counts)
        values, whole = streams.decode_predicted(self._network, self._joined(side, rows, counts), packets, steps)
        if not whole.all() or np.abs(values).max(initial=0) > LARGEST:
            raise DamagedStreamError("tokens that no encoder makes")
        found = np.zeros((windows, tokens * channels), np.int32)
        for row, line in zip(rows, values, strict=True):
            at = 0
            for window in row:
                size = int(counts[window]) * channels
                found[window, :size] = line[at : at + size]
                at += size
        result = found.reshape(self._shape)
        self._remember(result, counts)
        return result, counts

    def bits(self, tokens: Integers, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """About what each window takes, (N,)."""
        side = entropy.side(self._last, self._level, self.q, counts)
        values = tokens.reshape(len(tokens), -1)
        packets = streams.encode_predicted(self._network, side, values, (counts * tokens.shape[2]).astype(np.int32))
        return np.array([8.0 * len(packet) for packet in packets])

    def _remember(self, tokens: Integers, counts: NDArray[np.int64]) -> None:
        """Windows that are copies leave what is known of them as it is."""
        known = np.arange(self._shape[1])[:, None] < counts[:, None, None]
        kept = np.where(known, tokens, 0).astype(np.int32)
        level = entropy.remembered(self._level, kept)
        there = (counts > 0)[:, None, None]
        self._last = np.where(there, kept, self._last)
        self._level = np.where(there, level, self._level)

    def _head(self, counts: NDArray[np.int64], with_tokens: NDArray[np.int64]) -> bytes:
        windows = self._shape[0]
        n = int(counts[with_tokens[0]])
        if (counts[with_tokens] == n).all():
            if len(with_tokens) == windows:
                return bytes([_SAME | n])
            return bytes([_SOME | n]) + np.packbits(counts > 0, bitorder="little").tobytes()
        coded = streams.encode(counts[None].astype(np.int32), *self._count_tables())[0]
        return bytes([_EACH]) + encode_var(len(coded)) + coded

    def _counts(self, cursor: Cursor) -> NDArray[np.int64]:
        windows, tokens, _ = self._shape
        head = cursor.uint(1)
        kind, n = head & 0xC0, head & 0x3F
        if kind == _EACH and n == 0:
            values, whole = streams.decode([cursor.take(cursor.var())], *self._count_tables())
            counts = values[0].astype(np.int64)
            if not whole.all() or counts.min() < 0 or counts.max() > tokens or not counts.any():
                raise DamagedStreamError("impossible counts of tokens")
            return counts
        if kind not in (_SAME, _SOME) or not 0 < n <= tokens:
            raise DamagedStreamError("impossible counts of tokens")
        if kind == _SAME:
            return np.full(windows, n, np.int64)
        bits = np.unpackbits(np.frombuffer(cursor.take(-(-windows // 8)), np.uint8), bitorder="little")
        if bits[windows:].any() or not bits[:windows].any():
            raise DamagedStreamError("impossible counts of tokens")
        return bits[:windows].astype(np.int64) * n

    def _count_tables(self) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        windows = self._shape[0]
        return np.full((1, windows), _COUNT_SCALE, np.uint8), np.full((1, windows), _COUNT_MEAN, np.int16)

    @staticmethod
    def _rows(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Numbers of the windows that have tokens, `ROW` at a time."""
        with_tokens = np.flatnonzero(counts)
        return [with_tokens[i : i + ROW] for i in range(0, len(with_tokens), ROW)]

    def _steps(self, rows: list[NDArray[np.int64]], counts: NDArray[np.int64]) -> NDArray[np.int32]:
        return np.array([counts[row].sum() * self._shape[2] for row in rows], np.int32)

    def _joined(
        self, parts: NDArray[np.generic], rows: list[NDArray[np.int64]], counts: NDArray[np.int64]
    ) -> NDArray[np.generic]:
        """What belongs to the integers of each row, one behind the other: (rows, longest, …)."""
        steps = self._steps(rows, counts)
        out = np.zeros((len(rows), int(steps.max()), *parts.shape[2:]), parts.dtype)
        for line, row in zip(out, rows, strict=True):
            at = 0
            for window in row:
                size = int(counts[window]) * self._shape[2]
                line[at : at + size] = parts[window, :size]
                at += size
        return out
