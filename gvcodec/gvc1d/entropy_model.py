"""Entropy model of latent tokens: autoregressive inside a frame, with a memory of frames before.

An integer network chooses the probability table of every value (`gvcodec.entropy.streams`), so CPU
and CUDA write the same bytes and no bit depends on a float. GVC1D codes the tokens of a window one
after another and windows in parallel; here `GROUP` neighbouring windows share a stream, in which a
token of all of them comes before the next token, so each sees its neighbours too.

    values  [W, T, C] int16   windows row by row, T tokens (a power of two), channels
    counts  [W]       uint8   tokens that a window has, 0…T: a prefix, the others are zero

What the network sees of a value, all of it integers that both sides know: which token and channel
it is, what frames before had there and in the windows beside (`Memory`), rate, and whether there is
a base frame (`SIDE` activations); and values of the same frame before it (`BACK`).
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

CHANNELS = 16
#: Tokens of a window at most; a model may have fewer.
MOST_TOKENS = 64
#: Magnitude of a value at most. The lowest patterns of a picture without context need it.
LARGEST = 1023
#: Windows that share a stream.
GROUP = 8
#: Kinds of tokens: levels of 1, 2, 4 … tokens, regions of the window, and the last one before them.
KINDS = 7
#: Activations known before the frame, and values before that the network sees.
SIDE, BACK = KINDS + 1 + CHANNELS + 15, 7
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
            min(self.age + 1, _OLD),
        )


class Streams(NamedTuple):
    """S streams of at most N values: how many each has (S,), activations (S, N, SIDE), distances
    of values before (S, N, BACK), and where each value is among all of the frame (S, N)."""

    counts: NDArray[np.int32]
    side: NDArray[np.uint8]
    back: NDArray[np.int32]
    place: NDArray[np.int64]


class EntropyModel:
    """Codes frames of `rows` × `columns` windows of `tokens` tokens, rounded at one of `rates`.
    `has_base`: there are base frames. `backend`: where the network runs
    (`gvcodec.entropy.streams`). `blocks`: rows and columns of the motion that frames may have
    (`gvcodec.gvc1d.motion`), None with a base."""

    def __init__(
        self,
        network: Sequence[Layer],
        rows: int,
        columns: int,
        tokens: int,
        has_base: bool,
        backend: streams.Backend = "cpu",
        rates: int = 8,
        blocks: tuple[int, int] | None = None,
    ) -> None:
        self._network, self._has_base, self.backend = network, has_base, backend
        self.rows, self.columns, self.tokens, self.rates = rows, columns, tokens, rates
        self.blocks = blocks
        self.windows = rows * columns
        self._fixed, self._parents = _describe_places(tokens), _parents_of(tokens)

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
        """All streams of a frame. Values of a stream are in the order token, window, channel."""
        known = self._known(counts, memory, rate)  # [W, T, C, SIDE]
        parts = []
        for group in self.groups_of(counts):
            here = counts[group].astype(int)
            token, window = np.nonzero(here > np.arange(self.tokens)[:, None])  # (K,) both
            rank = np.full((len(here), self.tokens), -1)
            rank[window, token] = np.arange(len(token))
            at = window + group.start
            place = ((at * self.tokens + token) * CHANNELS)[:, None] + np.arange(CHANNELS)
            back = self._back(token, window, rank, group.start)
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
        rank: NDArray[np.int64],
        first: int,
    ) -> NDArray[np.int32]:
        """How many values before each value (K · CHANNELS, BACK) those are that it has to do with:
        two channels before; of the same channel the two tokens before, the coarser one or the
        region above (`_parents_of`), and the windows to the left and above, as far as they are in
        the stream."""
        own = np.arange(len(token))
        back = np.zeros((len(token), CHANNELS, BACK), np.int32)
        back[:, 1:, 0], back[:, 2:, 1] = 1, 2
        for entry, other in ((2, token - 1), (3, token - 2), (4, self._parents[token])):
            there = (token > 0) & (other >= 0)
            found = own - rank[window, np.where(there, other, 0)]
            back[:, :, entry] = (np.where(there, found, 0) * CHANNELS)[:, None]
        left = np.where((window + first) % self.columns > 0, window - 1, -1)
        for entry, other in ((5, left), (6, window - self.columns)):
            beside = np.where(other >= 0, rank[np.maximum(other, 0), token], -1)
            back[:, :, entry] = (np.where(beside >= 0, own - beside, 0) * CHANNELS)[:, None]
        return back.reshape(-1, BACK)

    def _known(self, counts: Counts, memory: Memory, rate: int) -> _Bytes:
        """Activations [W, T, C, SIDE]."""
        side = np.zeros((*memory.values.shape, SIDE), np.uint8)
        fixed = self._fixed.shape[-1]
        side[..., :fixed] = self._fixed
        last, level = memory.values.astype(np.int32), memory.level
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
            _loud(_beside(level, grid, 1)),
            _loud(_beside(level, grid, 0)),
            _around_zero(8 * _beside(last, grid, 1)),
            _around_zero(8 * _beside(last, grid, 0)),
            np.uint8(memory.age * 15),
            np.uint8(rate * 18),
            np.uint8(127 * self._has_base),
            np.minimum(2 * counts.astype(int), 127).astype(np.uint8)[:, None, None],
        ]
        for i, part in enumerate(parts):
            side[..., fixed + i] = part
        return side


def _describe_places(tokens: int) -> _Bytes:
    """What does not change [T, C, ·]: kind of token, place among those of its kind, channel."""
    token, half = np.arange(tokens), tokens // 2
    level = np.frexp(token + 1)[1] - 1  # 0 for the first, 1 for two, 2 for four …
    inside = (token + 1 - (1 << level)) * 128 >> level
    kind = np.where(token < half, level, int(np.frexp(half)[1]) - 1)
    inside = np.where(token < half, inside, (token - half) * 128 // half)
    kind[half - 1], inside[half - 1] = KINDS - 1, 0
    fixed = np.zeros((tokens, CHANNELS, KINDS + 1 + CHANNELS), np.uint8)
    fixed[token, :, kind] = 127
    fixed[:, :, KINDS] = inside[:, None]
    channel = np.arange(CHANNELS)
    fixed[:, channel, KINDS + 1 + channel] = 127
    return fixed


def _parents_of(tokens: int) -> NDArray[np.int64]:
    """For each token one before it that it has to do with, -1 without any. The first half goes from
    coarse to fine: the one above in a binary tree. Those of the second half belong to regions of
    the window (`gvcodec.gvc1d.direct`): the region above."""
    token, half = np.arange(tokens), tokens // 2
    columns = half // (1 << (half.bit_length() - 1) // 2)
    above = np.where(token - half >= columns, token - columns, -1)
    return np.where(token < half, (token - 1) // 2, above)


def _beside(values: NDArray[np.int32], grid: tuple[int, ...], axis: int) -> NDArray[np.int32]:
    """Of each window the values of the one before it along an axis of the grid, or zeros."""
    moved = np.zeros(grid, np.int32)
    whole = values.reshape(grid)
    if axis:
        moved[:, 1:] = whole[:, :-1]
    else:
        moved[1:] = whole[:-1]
    return moved.reshape(values.shape)


def _around_zero(values: NDArray[np.int32]) -> _Bytes:
    return (np.clip(values, -64, 63) + 64).astype(np.uint8)


def _loud(size: NDArray[np.integer]) -> _Bytes:
    """Eight steps an octave of size + 1 (up to 2^15): the place of the first bit, then the three
    after it."""
    n = np.minimum(size, (1 << 15) - 1).astype(np.int64) + 1
    octave = np.frexp(n)[1] - 1
    return np.minimum(8 * octave + ((n << 3 >> octave) & 7), 127).astype(np.uint8)
