"""Bytes of a LATENT packet: the tokens of one frame (docs/spec/latent.md; files have a base).

    payload = u8 head  counts  motion  packets
    head    = rate 0…7 | run << 3 | each << 7
    run       with a base: number of frames after this one that are restored with all tokens zero
              (as far as they have no packet; 15 = all up to the next packet); later frames are
              shown unrestored, and the context of the next packet is empty
              without a base: passes over this frame less 1; each goes on from the one before as if
              it were the frame before, with as many tokens, and the last is shown
    counts  = each 0: u8 tokens of every window, a prefix
              each 1: u8 m, their mean  var size  an rANS packet of as many numbers as windows
              (Laplace table 45, mean m)
    motion  = without a base: var 0 = nothing has moved, 1 = a scene begins: nothing is left of the
              last frame but the memory; else the size of what follows (`gvcodec.gvc1d.motion`) + 1
    packets = for each pass an rANS packet for every `entropy_model.GROUP` windows in order that
              have values, each but the last of all after its size (var)

Windows of 256×256 luma samples cover the picture row by row. The tables of the values come from the
integer network of `entropy_model`. Raises `DamagedStreamError` for bytes that mean nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.entropy import streams
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d import motion
from gvcodec.gvc1d.entropy_model import Counts, EntropyModel, Memory, Values

RATES = 8
#: A run up to the next packet.
ENDLESS = 15
_RUN, _EACH, _COUNT_SCALE = 3, 1 << 7, 45


class Latent(NamedTuple):
    """The tokens of a frame: values [W, T, C], zero beyond the counts [W]; `rate` and `run` as in
    the head (ENDLESS without a base); `motion` of blocks, None with a base or where nothing has
    moved; `before`: values of the passes before the last; `cut`: without a base, a scene begins."""

    rate: int
    run: int
    counts: Counts
    values: Values
    motion: motion.Vectors | None = None
    before: tuple[Values, ...] = ()
    cut: bool = False

    @property
    def passes(self) -> tuple[Values, ...]:
        """Values of all passes."""
        return *self.before, self.values

    def remember(self, memory: Memory) -> Memory:
        """What the next frame's contexts are made of."""
        memory = memory.fresh() if self.cut else memory
        for values in self.passes:
            memory = memory.after(values, self.counts)
        return memory


def pack(latent: Latent, model: EntropyModel, memory: Memory) -> bytes:
    """The payload."""
    run = latent.run if model.has_base else len(latent.before)
    head, counts = latent.rate | run << _RUN, latent.counts
    same = bool((counts == counts[0]).all())
    if same:
        front = bytes([head, counts[0]])
    else:
        mean = round(float(counts.mean()))
        coded = streams.encode(counts[None].astype(np.int32), *_count_tables(len(counts), mean))[0]
        front = bytes([head | _EACH, mean]) + encode_var(len(coded)) + coded
    memory = memory.fresh() if latent.cut else memory
    if model.blocks is not None:
        moved = motion.pack(latent.motion)
        front += encode_var(len(moved) + 1 if moved else int(latent.cut)) + moved
    packets: list[bytes] = []
    for values in latent.passes if counts.any() else ():
        packets += model.encode(values, counts, memory, latent.rate)
        memory = memory.after(values, counts)
    framed = [encode_var(len(packet)) + packet for packet in packets[:-1]] + packets[-1:]
    return front + b"".join(framed)


def unpack(payload: bytes, model: EntropyModel, memory: Memory) -> Latent:
    """What a payload holds."""
    cursor = Cursor(payload, "latent tokens")
    head = cursor.uint(1)
    rate, run = head & RATES - 1, head >> _RUN & ENDLESS
    if rate >= model.rates:
        raise DamagedStreamError("latent tokens: impossible rate")
    passes, run = (1, run) if model.has_base else (run + 1, ENDLESS)
    counts = _read_counts(cursor, bool(head & _EACH), model)
    moved, cut = None, False
    if model.blocks is not None:
        size = cursor.var()
        cut = size == 1
        moved = motion.unpack(cursor.take(max(size - 1, 0)), *model.blocks)
        memory = memory.fresh() if cut else memory
    if not counts.any():
        if len(cursor):
            raise DamagedStreamError("latent tokens: bytes follow the last value")
        none = Memory.empty(model.windows, model.tokens).values
        return Latent(rate, run, counts, none, moved, (none,) * (passes - 1), cut)
    groups = len(model.groups_of(counts))
    packets = [cursor.take(cursor.var()) for _ in range(passes * groups - 1)]
    packets.append(cursor.take(len(cursor)))
    found: list[Values] = []
    for i in range(0, len(packets), groups):
        found.append(model.decode(packets[i : i + groups], counts, memory, rate))
        memory = memory.after(found[-1], counts)
    return Latent(rate, run, counts, found[-1], moved, tuple(found[:-1]), cut)


def _read_counts(cursor: Cursor, each: bool, model: EntropyModel) -> Counts:
    count = cursor.uint(1)
    if not each:
        found = np.full(model.windows, count, np.int32)
    else:
        tables = _count_tables(model.windows, min(count, model.tokens))
        values, whole = streams.decode([cursor.take(cursor.var())], *tables)
        found = values[0]
        if not whole.all():
            raise DamagedStreamError("latent tokens: impossible counts")
    if found.min() < 0 or found.max() > model.tokens:
        raise DamagedStreamError("latent tokens: impossible counts")
    return found.astype(np.uint8)


def _count_tables(windows: int, mean: int) -> tuple[np.ndarray, np.ndarray]:
    shape = 1, windows
    return np.full(shape, _COUNT_SCALE, np.uint8), np.full(shape, 8 * mean, np.int16)


def read_head(payload: bytes) -> tuple[int, int]:
    """Rate, and tokens a window: of every one, or their mean, rounded."""
    cursor = Cursor(payload, "latent tokens")
    return cursor.uint(1) & RATES - 1, cursor.uint(1)


def with_run(payload: bytes, run: int) -> bytes:
    """The same payload with another run, which is known only once later frames are coded."""
    return bytes([payload[0] & ~(ENDLESS << _RUN) | run << _RUN]) + payload[1:]
