"""Bytes of a frame of base gvc1d, and the state that encoder and decoder keep within a GOP
(docs/spec/gvc1d.md).

    payload   = u8 q  u8 head  motion  levels  packets
    head      = reference | filtered << 6 | remember << 7
    reference   0: nothing is predicted, 1: the last frame, 2 + k: picture k of the memory
    filtered    1: the loop filter corrects the frame
    remember    1: first the last frame enters the memory, whose oldest picture leaves if it is full
    motion    = only with a reference: var size, then that many bytes (`gvcodec.gvc1d.motion`)
    levels    = var size, an rANS packet: for each window how long its prefix is, by `LEVELS`;
                Laplace table 30 around the last frame's
    packets   = an rANS packet for every `GROUP` windows in order that have values, each but the
                last after its size (var)

The tables of values come from the integer network, which sees what `sides_of` and
`gvcodec.gvc1d.token_order.back_of` tell. Raises `DamagedStreamError` for bytes that mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import motion_compensate
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.entropy import streams
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d import loop_filter, motion
from gvcodec.gvc1d.exact import (
    QUALITIES,
    ExactTransform,
    by_window,
    change_between,
    irregularity,
)
from gvcodec.gvc1d.model_file import LoopModel
from gvcodec.gvc1d.token_order import (
    BACK,
    COARSE,
    FIRST,
    MAX_STYLE_OFFSET,
    SIDES,
    back_of,
    fixed_sides,
    length_of,
    log_activation,
)
from gvcodec.types import Planes, chroma_shape

#: Windows that share a stream: one after another.
GROUP = 8
#: Pictures that the memory holds, and how much finer than the frame they are kept.
REMEMBERED, MEMORY_FINER = 4, 10
#: Planes of a remembered picture.
MEMORY_PLANES = 120
#: Magnitude of a value at most.
LARGEST = 1023
#: Levels that a window may have: a packet says the place in this list.
LEVELS = (0, 1, 2, *range(4, MAX_STYLE_OFFSET, 4), MAX_STYLE_OFFSET)
_LEVEL_SCALE = 30
_LOUD, _UNIT = 31, 32
_GREY = 512

Values = NDArray[np.int32]
Vectors = NDArray[np.int16]  # (H/16, W/16, 2): x, y


class Head(NamedTuple):
    """First of a payload."""

    q: int
    reference: int
    filtered: bool
    remember: bool


@dataclass(slots=True)
class LoopState:
    """What a GOP has left: the last frame (whole windows), its values (W, N) and their running
    magnitudes in 1/32, its levels (places in `LEVELS`), and the memory: token sets (q, values)."""

    frame: Planes
    values: Values
    running: Values
    levels: NDArray[np.int32]
    memory: list[tuple[int, Values]] = field(default_factory=list)


class Predicted(NamedTuple):
    """What is known of a frame before its values: prediction, vectors (None: no reference)."""

    guess: Planes
    vectors: Vectors | None


def grey(height: int, width: int) -> Planes:
    chroma = chroma_shape(height, width)
    y, u, v = (np.full(s, _GREY, np.uint16) for s in ((height, width), chroma, chroma))
    return y, u, v


def remember(state: LoopState, transform: ExactTransform, q: int) -> None:
    """The last frame enters the memory as a set of tokens."""
    finer = max(0, q - MEMORY_FINER)
    values = transform.measure(state.frame, finer, MEMORY_PLANES)
    state.memory = [*state.memory, (finer, values)][-REMEMBERED:]


def recall(state: LoopState, transform: ExactTransform, number: int) -> Planes:
    """A picture of the memory."""
    q, values = state.memory[number]
    return transform.add(grey(*state.frame[0].shape), values, q)


def predict(
    state: LoopState | None,
    size: tuple[int, int],
    reference: Planes | None,
    vectors: Vectors | None,
) -> Predicted:
    """The prediction of a frame from its reference."""
    if state is None or reference is None or vectors is None:
        return Predicted(grey(*size), None)
    moved = motion_compensate(*reference, np.ascontiguousarray(vectors))
    return Predicted((moved[0], moved[1], moved[2]), vectors)


def sides_of(
    transform: ExactTransform, known: Predicted, state: LoopState | None, q: int, level: int
) -> NDArray[np.uint8]:
    """Activations before the frame, (W, N, SIDES): the same as
    `gvcodec.gvc1d.context_model.make_sides`."""
    h, w = known.guess[0].shape
    windows, count = h * w // 65536, length_of(level)
    found = np.zeros((windows, count, SIDES), np.uint8)
    fixed = fixed_sides(level)
    at = fixed.shape[1]
    found[..., :at] = fixed
    found[..., at] = min(2 * q, 127)
    found[..., at + 2] = 64
    if known.vectors is None or state is None:
        return found
    found[..., at + 1] = 127
    found[..., at + 2] = np.clip(fit(state.values, count), -64, 63) + 64
    found[..., at + 3] = log_activation(fit(state.running, count).astype(np.int64))
    planes = max(0, level - 2)
    if planes:
        found[..., at + 4] = log_activation(transform.magnitudes(known.guess, q, planes))
    maps = by_window(irregularity(known.vectors)), change_between(known.guess, state.frame)
    for k, regions in enumerate(maps, at + 5):
        if count > FIRST:
            blocks = regions.reshape(windows, 4, 4, 4, 4).sum((2, 4)) >> 4
            found[:, FIRST:COARSE, k] = np.tile(log_activation(blocks.reshape(windows, 16)), 45)
        if planes:
            found[:, COARSE:, k] = np.tile(log_activation(regions), planes)
    return found


def fit(values: NDArray[Any], count: int) -> NDArray[Any]:
    """(W, N) cut or filled with 0 to another N."""
    if values.shape[1] >= count:
        return values[:, :count]
    return np.pad(values, ((0, 0), (0, count - values.shape[1])))


def filtered(model: LoopModel, frame: Planes, known: Predicted, q: int) -> Planes:
    """The frame after the loop filter."""
    irregular = None if known.vectors is None else irregularity(known.vectors)
    return loop_filter.apply(model.loop_filter, frame, known.guess, irregular, q)


def after(
    state: LoopState | None, frame: Planes, values: Values, levels: NDArray[np.int32], cut: bool
) -> LoopState:
    """The state after a frame; `cut`: nothing was predicted from the last one."""
    size = np.minimum(np.abs(values), _LOUD) * _UNIT
    before = np.zeros_like(size)
    if state is not None and not cut:
        count = max(size.shape[1], state.running.shape[1])
        size, before, values = (fit(x, count) for x in (size, state.running, values))
    running = before + ((size - before + 2) >> 2)
    return LoopState(frame, values, running, levels, [] if state is None else state.memory)


class Coder:
    """Values of frames of `windows` windows as packets. `backend`: where the network runs."""

    def __init__(self, model: LoopModel, windows: int, backend: streams.Backend = "cpu") -> None:
        self._model, self.windows, self.backend = model, windows, backend

    def encode(self, values: Values, levels: NDArray[np.int32], sides: NDArray[np.uint8]) -> bytes:
        packets: list[bytes] = []
        for group in self._groups(levels):
            side, back, counts, place = self._streams([group], levels, sides)
            packets += streams.encode_predicted(
                self._model.network,
                side,
                values.reshape(-1)[place].astype(np.int32),
                counts,
                self.backend,
                back,
            )
        framed = [encode_var(len(p)) + p for p in packets[:-1]] + packets[-1:]
        return b"".join(framed)

    def decode(self, cursor: Cursor, levels: NDArray[np.int32], sides: NDArray[np.uint8]) -> Values:
        """Values (W, N) of the rest of a payload."""
        values = np.zeros(sides.shape[:2], np.int32)
        groups = list(self._groups(levels))
        if not groups:
            if len(cursor):
                raise DamagedStreamError("a frame of gvc1d: bytes follow the last value")
            return values
        packets = [cursor.take(cursor.var()) for _ in groups[:-1]] + [cursor.take(len(cursor))]
        side, back, counts, place = self._streams(groups, levels, sides)
        rows, whole = streams.decode_predicted(
            self._model.network, side, packets, counts, self.backend, back
        )
        if not whole.all() or np.abs(rows.astype(np.int64)).max(initial=0) > LARGEST:
            raise DamagedStreamError("a frame of gvc1d: values that no encoder makes")
        inside = np.arange(rows.shape[1])[None] < counts[:, None]
        values.reshape(-1)[place[inside]] = rows[inside]
        return values

    def _groups(self, levels: NDArray[np.int32]) -> Iterator[NDArray[np.int64]]:
        for first in range(0, self.windows, GROUP):
            group = first + np.flatnonzero(levels[first : first + GROUP])
            if len(group):
                yield group

    def _streams(
        self,
        groups: Sequence[NDArray[np.int64]],
        levels: NDArray[np.int32],
        sides: NDArray[np.uint8],
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Activations (S, n, SIDES), entries before (S, n, BACK), counts (S,), places (S, n)."""
        lengths = {w: length_of(LEVELS[levels[w]]) for group in groups for w in group}
        counts = np.array([sum(lengths[w] for w in group) for group in groups], np.int32)
        most, n = int(counts.max()), sides.shape[1]
        table = back_of(max(LEVELS[levels[w]] for w in lengths))
        side = np.zeros((len(groups), most, SIDES), np.uint8)
        back = np.zeros((len(groups), most, BACK), np.int32)
        place = np.zeros((len(groups), most), np.int64)
        for s, group in enumerate(groups):
            at = 0
            for w in group:
                rows = slice(at, at + lengths[w])
                side[s, rows] = sides[w, : lengths[w]]
                back[s, rows] = table[: lengths[w]]
                place[s, rows] = w * n + np.arange(lengths[w])
                at += lengths[w]
        return side, back, counts, place


def pack(
    head: Head,
    vectors: Vectors | None,
    levels: NDArray[np.int32],
    values: Values,
    sides: NDArray[np.uint8],
    state: LoopState | None,
    coder: Coder,
) -> bytes:
    """The payload."""
    front = bytes([head.q, head.reference | head.filtered << 6 | head.remember << 7])
    if head.reference:
        assert vectors is not None
        moved = motion.pack(vectors)
        front += encode_var(len(moved)) + moved
    coded = streams.encode(levels[None].astype(np.int32), *_level_tables(state, coder.windows))[0]
    front += encode_var(len(coded)) + coded
    return front + coder.encode(values, levels, sides)


def read_head(cursor: Cursor, state: LoopState | None) -> Head:
    q, head = cursor.uint(1), cursor.uint(1)
    reference, filtered, keep = head & 63, bool(head >> 6 & 1), bool(head >> 7)
    held = 0 if state is None else min(len(state.memory) + keep, REMEMBERED)
    if q >= QUALITIES:
        raise DamagedStreamError("a frame of gvc1d: impossible quality")
    if (state is None and (reference or keep)) or reference > 1 + held:
        raise DamagedStreamError("a frame of gvc1d: predicted from nothing")
    return Head(q, reference, filtered, keep)


def read_levels(cursor: Cursor, state: LoopState | None, windows: int) -> NDArray[np.int32]:
    tables = _level_tables(state, windows)
    found, whole = streams.decode([cursor.take(cursor.var())], *tables)
    levels = found[0]
    if not whole.all() or levels.min() < 0 or levels.max() >= len(LEVELS):
        raise DamagedStreamError("a frame of gvc1d: impossible levels")
    return levels


def _level_tables(
    state: LoopState | None, windows: int
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    usual = np.full(windows, 16) if state is None else state.levels
    return (np.full((1, windows), _LEVEL_SCALE, np.uint8), (8 * usual[None]).astype(np.int16))
