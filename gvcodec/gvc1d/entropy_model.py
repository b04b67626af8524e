"""Entropy model of latent tokens: autoregressive inside a frame, with a memory of frames before.

An integer network chooses the probability table of every value (`gvcodec.entropy.streams`), so CPU
and CUDA write the same bytes and no bit depends on a float. GVC1D codes the tokens of a window one
after another and windows in parallel; here `GROUP` neighbouring windows share a stream, one after
another, so each sees those before it too.

    values  [W, T, C] int16   windows row by row, T tokens (a power of two), channels
    counts  [W]       uint8   tokens that a window has, 0…T: a prefix, the others are zero

What the network sees of a value, all of it integers that both sides know: which token and channel
it is, what frames before had there and in the windows beside (`Memory`), and rate (`SIDE`
activations); and magnitudes of the same frame before it (`BACK`), since what neighbours share is
how large they are, rarely their sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d.patterns import is_chroma
from gvcodec.gvc1d.token_places import (
    CHANNELS,
    KINDS,
    OWN,
    beside,
    describe_places,
    rims_of,
    spans_of,
)

#: Tokens of a window at most; a model may have fewer.
MOST_TOKENS = 64
#: Magnitude of a value at most. The lowest patterns of a picture without context need it.
LARGEST = 1023
#: Windows that share a stream.
GROUP = 8
#: Activations known before the frame, and spans of values before that the network sees.
SIDE, BACK = KINDS + 1 + CHANNELS + 17, 17
#: Activations that come from frames before.
MEMORY = slice(KINDS + 1 + CHANNELS, KINDS + 1 + CHANNELS + 12)
#: Of the memory: a new frame has a weight of 1 / 2^_DECAY; magnitudes count up to _LARGE, in
#: 1 / _UNIT. Frames are counted up to _OLD.
_DECAY, _LARGE, _UNIT, _OLD = 2, 31, 32, 8

Values = NDArray[np.int16]  # [W, T, C]
Counts = NDArray[np.uint8]  # [W]
_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of each value from frames before: the last one that was coded, and the running
    mean of magnitudes in 1/32, both [W, T, C]; `age`: frames with tokens since the GOP began."""

    values: Values
    level: NDArray[np.int32]
    age: int = 0

    @staticmethod
    def empty(windows: int, tokens: int) -> Memory:
        shape = windows, tokens, CHANNELS
        return Memory(np.zeros(shape, np.int16), np.zeros(shape, np.int32))

    def after(self, values: Values, counts: Counts) -> Memory:
        """The memory after a frame; tokens that it does not have leave what is known of them."""
        coded = np.arange(self.values.shape[1])[None, :, None] < counts[:, None, None]
        size = np.minimum(np.abs(values.astype(np.int32)), _LARGE) * _UNIT
        level = self.level + ((size - self.level + (1 << _DECAY - 1)) >> _DECAY)
        return Memory(
            np.where(coded, values, self.values).astype(np.int16),
            np.where(coded, level, self.level).astype(np.int32),
            self.age + 1,
        )


class Streams(NamedTuple):
    """S streams of at most N values: how many each has (S,), activations (S, N, SIDE), spans of
    values before (S, N, BACK), and where each value is among all of the frame (S, N)."""

    counts: NDArray[np.int32]
    side: _Bytes
    back: NDArray[np.int32]
    place: NDArray[np.int64]


class EntropyModel:
    """Codes frames of `rows` × `columns` windows of `tokens` tokens, rounded at one of `rates`.
    `backend`: where the network runs (`gvcodec.entropy.streams`); `phases` of the direct path."""

    def __init__(
        self,
        network: Sequence[Layer],
        rows: int,
        columns: int,
        tokens: int,
        backend: streams.Backend = "cpu",
        rates: int = 8,
        phases: int = 1,
    ) -> None:
        self._network, self.backend, self._phases = network, backend, phases
        self.rows, self.columns, self.tokens, self.rates = rows, columns, tokens, rates
        self.windows = rows * columns
        self._fixed, self._own = describe_places(tokens), spans_of(tokens)
        self._rims = rims_of(tokens)

    def encode(self, values: Values, counts: Counts, memory: Memory, rate: int) -> list[bytes]:
        """A packet for each group that has values."""
        batch = self.contexts(counts, memory, rate)
        rows = values.reshape(-1)[batch.place].astype(np.int32)
        return streams.encode_predicted(
            self._network, batch.side, rows, batch.counts, self.backend, batch.back
        )

    def decode(self, packets: Sequence[bytes], counts: Counts, memory: Memory, rate: int) -> Values:
        """Inverse of `encode`. Raises `DamagedStreamError` for packets that no encoder makes."""
        values = np.zeros(self.windows * self.tokens * CHANNELS, np.int16)
        batch = self.contexts(counts, memory, rate)
        rows, whole = streams.decode_predicted(
            self._network, batch.side, packets, batch.counts, self.backend, batch.back
        )
        if not whole.all() or np.abs(rows.astype(np.int64)).max(initial=0) > LARGEST:
            raise DamagedStreamError("latent tokens that no encoder makes")
        coded = np.arange(rows.shape[1])[None] < batch.counts[:, None]
        values[batch.place[coded]] = rows[coded]
        return values.reshape(self.windows, self.tokens, CHANNELS)

    def groups_of(self, counts: Counts) -> list[slice]:
        """Windows of each stream; groups without values have none."""
        firsts = range(0, self.windows, GROUP)
        return [slice(i, i + GROUP) for i in firsts if counts[i : i + GROUP].any()]

    def contexts(self, counts: Counts, memory: Memory, rate: int) -> Streams:
        """All streams of a frame. Values of a stream are in the order window, token, channel."""
        known = self._known(counts, memory, rate)  # [W, T, C, SIDE]
        parts = []
        for group in self.groups_of(counts):
            here = counts[group].astype(int)
            window, token = np.nonzero(here[:, None] > np.arange(self.tokens))  # (K,) both
            at = window + group.start
            place = ((at * self.tokens + token) * CHANNELS)[:, None] + np.arange(CHANNELS)
            back = self._back(token, window, here, group.start)
            parts.append((known[at, token].reshape(-1, SIDE), back, place.reshape(-1)))
        sizes = np.array([len(place) for _, _, place in parts], np.int32)
        longest = int(sizes.max(initial=0))
        side = np.zeros((len(parts), longest, SIDE), np.uint8)
        back = np.zeros((len(parts), longest, BACK), np.int32)
        places = np.zeros((len(parts), longest), np.int64)
        for i, (one, before, place) in enumerate(parts):
            side[i, : len(one)], back[i, : len(one)] = one, before
            places[i, : len(one)] = place
        return Streams(sizes, side, back, places)

    def _back(
        self,
        token: NDArray[np.int64],
        window: NDArray[np.int64],
        counts: NDArray[np.int64],
        first: int,
    ) -> NDArray[np.int32]:
        """Spans of earlier values that each value's table depends on (K · CHANNELS, BACK): within
        its window (`spans_of`), the whole stream, and, where coded already, in the windows to the
        left and above the same value, its token, and the region that touches this one."""
        back = np.zeros((len(token), CHANNELS, BACK), np.int64)
        back[..., :OWN] = self._own[token]
        channel = np.arange(CHANNELS)
        starts = CHANNELS * (np.cumsum(counts) - counts)  # of each window in the stream
        step = (starts[window] + CHANNELS * token)[:, None] + channel  # (K, CHANNELS)
        back[..., OWN] = streams.span(step, step)
        for direction, by in enumerate((self.columns, 1)):  # above, to the left
            there = window >= by
            if direction == 1:
                there &= (window + first) % self.columns > 0
            other = np.where(there, window - by, 0)
            apart = starts[window] - starts[other]
            same = np.where(there & (token < counts[other]), apart, 0)[:, None]  # (K, 1)
            back[..., OWN + 1 + direction] = streams.span(same, 1)
            back[..., OWN + 3 + direction] = streams.span(
                np.where(same, same + channel, 0), CHANNELS
            )
            rim = self._rims[direction][token]
            touches = there & (rim >= 0) & (rim < counts[other])
            near = streams.span(apart + CHANNELS * (token - rim), 1)[:, None]
            back[..., direction] = np.where(touches[:, None], near, back[..., direction])
        return back.reshape(-1, BACK).astype(np.int32)

    def _known(self, counts: Counts, memory: Memory, rate: int) -> _Bytes:
        """Activations [W, T, C, SIDE]."""
        side = np.zeros((*memory.values.shape, SIDE), np.uint8)
        fixed = self._fixed.shape[-1]
        side[..., :fixed] = self._fixed
        last, level = memory.values.astype(np.int32), memory.level
        phase = memory.age % self._phases
        grid = self.rows, self.columns, *level.shape[1:]
        means = [
            level.sum(axis, keepdims=True) // np.prod([level.shape[i] for i in axis])
            for axis in ((2,), (1,), (1, 2), (0,))
        ]
        parts = [
            _around_zero(8 * last),
            _around_zero(last),
            _loud(level),
            *map(_loud, means),
            _loud(beside(level, grid, 1)),
            _loud(beside(level, grid, 0)),
            _around_zero(8 * beside(last, grid, 1)),
            _around_zero(8 * beside(last, grid, 0)),
            np.uint8(min(memory.age, _OLD) * 15),
            np.uint8(rate * 18),
            np.uint8(127),
            np.minimum(2 * counts.astype(int), 127).astype(np.uint8)[:, None, None],
            np.uint8(phase * 8),
            np.uint8(127 * is_chroma(phase)),
        ]
        for i, part in enumerate(parts):
            side[..., fixed + i] = part
        return side


def _around_zero(values: NDArray[np.int32]) -> _Bytes:
    return (np.clip(values, -64, 63) + 64).astype(np.uint8)


def _loud(size: NDArray[np.integer]) -> _Bytes:
    """Eight steps an octave of size + 1 (up to 2^15): the place of the first bit, then the three
    after it."""
    n = np.minimum(size, (1 << 15) - 1).astype(np.int64) + 1
    octave = np.frexp(n)[1] - 1
    return np.minimum(8 * octave + ((n << 3 >> octave) & 7), 127).astype(np.uint8)
