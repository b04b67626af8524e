"""Bytes of a LATENT packet: the tokens of one frame over a base (docs/spec/latent.md).

    payload = u8 head  counts  packets
    head    = rate 0…7 | run << 3 | each << 7
    run       number of frames after this one that are restored with all tokens zero (as far as they
              have no packet; 15 = all up to the next packet); later frames are shown unrestored,
              and the context of the next packet is empty
    counts  = each 0: u8 tokens of every window, a prefix
              each 1: u8 m, their mean  var size  an rANS packet of as many numbers as windows
              (Laplace table 45, mean m)
    packets = an rANS packet for every `entropy_model.GROUP` windows in order that have values, each
              but the last after its size (var)

Windows of 256×256 luma samples cover the picture row by row. The tables of the values come from the
integer network of `entropy_model`. Raises `DamagedStreamError` for bytes that mean nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.entropy import streams
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d.entropy_model import Counts, EntropyModel, Memory, Values

RATES = 8
#: A run up to the next packet.
ENDLESS = 15
_RUN, _EACH, _COUNT_SCALE = 3, 1 << 7, 45


class Latent(NamedTuple):
    """The tokens of a frame: values [W, T, C], zero beyond the counts [W]; `rate` and `run` as in
    the head."""

    rate: int
    run: int
    counts: Counts
    values: Values


def pack(latent: Latent, model: EntropyModel, memory: Memory) -> bytes:
    """The payload."""
    head, counts = latent.rate | latent.run << _RUN, latent.counts
    if (counts == counts[0]).all():
        front = bytes([head, counts[0]])
    else:
        mean = round(float(counts.mean()))
        coded = streams.encode(counts[None].astype(np.int32), *_count_tables(len(counts), mean))[0]
        front = bytes([head | _EACH, mean]) + encode_var(len(coded)) + coded
    packets = model.encode(latent.values, counts, memory, latent.rate) if counts.any() else []
    framed = [encode_var(len(packet)) + packet for packet in packets[:-1]] + packets[-1:]
    return front + b"".join(framed)


def unpack(payload: bytes, model: EntropyModel, memory: Memory) -> Latent:
    """What a payload holds."""
    cursor = Cursor(payload, "latent tokens")
    head = cursor.uint(1)
    rate, run = head & RATES - 1, head >> _RUN & ENDLESS
    if rate >= model.rates:
        raise DamagedStreamError("latent tokens: impossible rate")
    counts = _read_counts(cursor, bool(head & _EACH), model)
    if not counts.any():
        if len(cursor):
            raise DamagedStreamError("latent tokens: bytes follow the last value")
        return Latent(rate, run, counts, Memory.empty(model.windows, model.tokens).values)
    packets = [cursor.take(cursor.var()) for _ in model.groups_of(counts)[1:]]
    packets.append(cursor.take(len(cursor)))
    return Latent(rate, run, counts, model.decode(packets, counts, memory, rate))


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
