"""Packets of base motion: what a frame's integers are and how they are coded (docs/spec/motion.md).

    key    = u8 q  intra picture         q of the motion; an AV1 temporal unit as in base av1
    inter  = 0xC0  inter picture         a refresh: the next AV1 temporal unit of this GOP,
                                         predicted from those before
    inter  = 0xC1  inter motion          from here to the next refresh frames lie between the frame
                                         before and that refresh: they are decoded after it, in the
                                         order of `schedule`; `MOST_WAITING` at most. Where the GOP
                                         ends without a refresh (a stream was mended) they repeat
                                         the frame before
    inter  = [u8 head  [windows]  [levels]  rows]    motion; no byte at all: every window is a copy
    head   = 0x00 | l      every window has level l, 1…5
             0x40 | l      windows: a bit each (first window in the lowest bit): 1 = level l,
                           0 = a copy
             0x80          levels: var size, an rANS packet of N levels 0…5 (Laplace table 30,
                           mean 2)
    rows   = windows in order, `ROW` together as one rANS packet, each but the last after its size
             (var); windows of level 0 have no values, and rows without values no packet

Windows of 256×256 luma samples cover the coded picture row by row. A window's values are a tree of
31 nodes (csrc/motion_tree/tree.hpp): nodes 1…2^l - 1 at level l, in order. A step is (dx, dy); each
of the last 16, the leaves, is (source, dx, dy, four (dx, dy) of its quarters). The source is
missing where the frame has one reference frame, and else 0 = near, 1 = mean of both, 2 = far. Steps
are half luma samples, -127…127. Tables come from the model's network (`checkpoint`), with contexts
from csrc/motion_tree/contexts.cpp.

A frame after another has that one as its near reference frame, at time -1. Of n frames before a
refresh, frame i of 1…n has the reference frames that `schedule(n)` names, 0 the frame before all
and n + 1 the refresh, at times j - i. csrc/motion_tree/frame.hpp says what samples come of that.

Contexts come from the `MotionStatistics` of the near reference frame: empty for a keyframe, and for
a refresh those of the frame shown before it. Raises `DamagedStreamError` for bytes that mean
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import TREE_LEVELS, TREE_VALUES, tree_contexts, tree_step
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import DamagedStreamError

#: Windows whose values go into one packet: few bytes of framing, and context from the neighbours.
ROW = 16
#: Largest magnitude of a step.
LARGEST = 127
_SAME, _SOME, _EACH = 0x00, 0x40, 0x80
REFRESH, WAITING = b"\xc0", b"\xc1"
#: Frames that a decoder keeps waiting for a refresh.
MOST_WAITING = 16
_LEVEL_SCALE, _LEVEL_MEAN = 30, 2 * 8
#: Of the memory: a new frame has a weight of 1 / 2^_DECAY; magnitudes count up to _LARGE, in
#: 1 / _UNIT.
_DECAY, _LARGE, _UNIT = 2, 31, 32
_SOURCES = np.array([tree_step(k) - 1 for k in range(16, 32)])

Values = NDArray[np.int16]  # (N, TREE_VALUES)
Levels = NDArray[np.uint8]  # (N,)


class Turn(NamedTuple):
    """A frame of a run and its reference frames; `far` None = it has none."""

    frame: int
    near: int
    far: int | None


def schedule(count: int) -> list[Turn]:
    """In which order `count` frames between two pictures are coded: from both ends in turn."""
    first, last, turns = 0, count + 1, []
    while last - first > 1:
        turns.append(Turn(first + 1, first, last))
        first += 1
        if last - first > 1:
            turns.append(Turn(last - 1, last, first))
            last -= 1
    return turns


class Times(NamedTuple):
    """Of the reference frames, less the frame's own; `far` 0 = there is none."""

    near: int
    far: int


@dataclass(frozen=True, slots=True)
class MotionStatistics:
    """What is known of the windows after a frame: its values (zero where they were not coded), and
    their running mean magnitudes in 1/32, both (N, TREE_VALUES). `direction`: the sign of the time
    of the reference frame that its steps lead to."""

    values: Values
    level: NDArray[np.int32]
    direction: int = -1

    @staticmethod
    def empty(windows: int) -> MotionStatistics:
        shape = windows, TREE_VALUES
        return MotionStatistics(np.zeros(shape, np.int16), np.zeros(shape, np.int32))

    def look_up(self, times: Times) -> Values:
        """The values where time runs as for a frame at `times`: what moved moves back."""
        if np.sign(times.near) == self.direction:
            return self.values
        turned = -self.values
        turned[:, _SOURCES] = self.values[:, _SOURCES]
        return turned

    def after(self, values: Values, levels: Levels, times: Times) -> MotionStatistics:
        """Copies leave what is known of them as it is."""
        there = (levels > 0)[:, None]
        size = np.minimum(np.abs(values.astype(np.int32)), _LARGE) * _UNIT
        level = self.level + ((size - self.level + (1 << _DECAY - 1)) >> _DECAY)
        return MotionStatistics(
            np.where(there, values, self.look_up(times)),
            np.where(there, level, self.level).astype(np.int32),
            int(np.sign(times.near)),
        )


class Row(NamedTuple):
    """A packet of S values: their activations (1, S, TREE_SIDE), values before (1, S, TREE_BACK),
    and where they are among all values of the frame (S,)."""

    side: NDArray[np.uint8]
    back: NDArray[np.int32]
    places: NDArray[np.int32]


class Entropy:
    """Codes frames of `windows` windows, `columns` side by side, at `q`. `backend`: where the
    network runs (`gvcodec.entropy.streams`)."""

    def __init__(
        self,
        network: Sequence[Layer],
        windows: int,
        columns: int,
        backend: streams.Backend = "cpu",
    ) -> None:
        self._network, self._windows, self._columns = network, windows, columns
        self.backend: streams.Backend = backend
        self.q = 0

    def encode(
        self, values: Values, levels: Levels, memory: MotionStatistics, times: Times
    ) -> bytes:
        """The payload of a frame; values beyond the levels are zero."""
        if not levels.any():
            return b""
        packets = []
        for side, back, index in self.rows(levels, memory, times):
            row = values.reshape(-1)[index].astype(np.int32)[None]
            packets += streams.encode_predicted(self._network, side, row, None, self.backend, back)
        framed = [encode_var(len(packet)) + packet for packet in packets[:-1]] + packets[-1:]
        return self._head(levels) + b"".join(framed)

    def decode(
        self, payload: bytes, memory: MotionStatistics, times: Times
    ) -> tuple[Values, Levels]:
        """Values, zero beyond the levels, and levels."""
        values = np.zeros(self._windows * TREE_VALUES, np.int16)
        if not payload:
            return values.reshape(self._windows, -1), np.zeros(self._windows, np.uint8)
        cursor = Cursor(payload, "motion")
        levels = self._levels(cursor)
        rows = list(self.rows(levels, memory, times))
        for number, (side, back, index) in enumerate(rows):
            size = cursor.var() if number + 1 < len(rows) else len(cursor)
            found, whole = streams.decode_predicted(
                self._network, side, [cursor.take(size)], None, self.backend, back
            )
            if not whole.all() or np.abs(found).max(initial=0) > LARGEST:
                raise DamagedStreamError("motion that no encoder makes")
            values[index] = found[0]
        result = values.reshape(self._windows, -1)
        sources = result[:, _SOURCES]
        if sources.min() < 0 or sources.max() > 2:
            raise DamagedStreamError("motion from no reference frame")
        return result, levels

    def rows(self, levels: Levels, memory: MotionStatistics, times: Times) -> Iterator[Row]:
        """The packets of a frame."""
        known = np.ascontiguousarray(memory.look_up(times))
        for first in range(0, self._windows, ROW):
            end = min(first + ROW, self._windows)
            if not levels[first:end].any():
                continue
            side, back, index = tree_contexts(
                known, memory.level, levels, first, end, self._columns, self.q, *times
            )
            yield Row(side, back, index)

    def _head(self, levels: Levels) -> bytes:
        there = levels[levels > 0]
        level = int(there[0])
        if (there == level).all():
            if len(there) == len(levels):
                return bytes([_SAME | level])
            return bytes([_SOME | level]) + np.packbits(levels > 0, bitorder="little").tobytes()
        coded = streams.encode(levels[None].astype(np.int32), *self._level_tables())[0]
        return bytes([_EACH]) + encode_var(len(coded)) + coded

    def _levels(self, cursor: Cursor) -> Levels:
        head = cursor.uint(1)
        kind, level = head & 0xC0, head & 0x3F
        if kind == _EACH and level == 0:
            values, whole = streams.decode([cursor.take(cursor.var())], *self._level_tables())
            found = values[0]
            if not whole.all() or found.min() < 0 or found.max() > TREE_LEVELS or not found.any():
                raise DamagedStreamError("impossible levels of motion")
            each: Levels = found.astype(np.uint8)
            return each
        if kind not in (_SAME, _SOME) or not 0 < level <= TREE_LEVELS:
            raise DamagedStreamError("impossible levels of motion")
        if kind == _SAME:
            return np.full(self._windows, level, np.uint8)
        size = -(-self._windows // 8)
        bits = np.unpackbits(np.frombuffer(cursor.take(size), np.uint8), bitorder="little")
        if bits[self._windows :].any() or not bits[: self._windows].any():
            raise DamagedStreamError("impossible levels of motion")
        levels: Levels = bits[: self._windows] * np.uint8(level)
        return levels

    def _level_tables(self) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        shape = 1, self._windows
        return np.full(shape, _LEVEL_SCALE, np.uint8), np.full(shape, _LEVEL_MEAN, np.int16)
