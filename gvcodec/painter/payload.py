"""Payloads of `fit` packets: strength, tokens, regions, and weight changes, which C++ reads
(csrc/model/fit.cpp) and nothing writes any more.

    byte 0      0: paint nothing (output = base frame), no more bytes. 16 + m, m in 0…31 or 64…95: a
                change of the painter, bit i < 2 of m set: group i of tensors is present
    bit 2 of m  u8 n in 0…64: noise of n / 64; u8 k: k more is kept of the detail before
                (`model.Strength`)
    bit 3 of m  six i8 in −40…16: factors of the gains of three scales, then of their noise, in
                eighths of an octave; the stream needs format 1.1
    bit 4 of m  var size, so many bytes of tokens (`tokens`); the stream needs format 1.1
    bit 6 of m  var size, so many bytes: regions that are not painted (`unpainted_regions`); the
                stream needs format 1.1
    then        one byte for each tensor of the groups present that the painter has: 12 b + s. Its
                delta has steps of 2^b in units of the painter's integers, b in 0…20, and 5 s + 3 is
                the scale index of its Laplace table, s in 0…11; 255: delta all zero
    then        the deltas / step, integers −127…127, tensor by tensor as one rANS packet, by tables
                of mean 0 (csrc/entropy/cdf.hpp)

Every way in which bytes can be wrong ends in `DamagedStreamError`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError
from gvcodec.painter.model import NEUTRAL, OCTAVE_EIGHTHS, Strength

IDENTITY = b"\0"
#: The shipped weights at the usual strength.
BASE = bytes([16])
#: Exchange rate of bytes and quality: one per cent more bytes lowers the base codec's perceptual
#: loss by about 0.75 per cent.
RATE_SLOPE = 0.75
_DELTA = 16
_STRENGTH = 1 << 2
_FACTORS_BIT = _STRENGTH << 1
_TOKENS = _FACTORS_BIT << 1
_UNPAINTED = _TOKENS << 2  # a first byte of 48 is newer to all releases
_KINDS = frozenset(_DELTA + mask + more for mask in range(_TOKENS << 1) for more in (0, _UNPAINTED))
_FACTORS = struct.Struct("6b")


@dataclass(frozen=True)
class FitExtras:
    """Contents of a payload besides weight changes: painting strength, bytes of tokens, and of
    unpainted regions, if any."""

    strength: Strength = NEUTRAL
    tokens: bytes | None = None
    unpainted_regions: bytes | None = None


def split_extras(payload: bytes) -> tuple[bytes, FitExtras]:
    """The weight changes of a payload, and its other contents. Raises
    `DamagedStreamError`."""
    kind = payload[0] if payload else 0
    if kind not in _KINDS or (kind - _DELTA) < _STRENGTH:
        return payload, FitExtras()
    mask, rest = kind - _DELTA, payload[1:]
    strength = Strength()
    sections: list[bytes | None] = []
    if mask & _STRENGTH:
        if len(rest) < 2 or rest[0] > Strength.noise:
            raise DamagedStreamError(
                "fitted weights: the strength is missing or out of range", code="fit-payload"
            )
        rest, strength = rest[2:], Strength(rest[0], rest[1])
    if mask & _FACTORS_BIT:
        if len(rest) < _FACTORS.size:
            raise DamagedStreamError("fitted weights: a factor is missing", code="fit-payload")
        factors = _FACTORS.unpack(rest[: _FACTORS.size])
        if not all(factor in OCTAVE_EIGHTHS for factor in factors):
            raise DamagedStreamError("fitted weights: a factor is out of range", code="fit-payload")
        strength = replace(strength, gains=factors[:3], amplitudes=factors[3:])
        rest = rest[_FACTORS.size :]
    cursor = Cursor(rest, "fitted weights: their tokens")
    for bit in (_TOKENS, _UNPAINTED):
        sections.append(cursor.take(cursor.var()) if mask & bit else None)
    rest = cursor.take(len(cursor))
    return bytes([_DELTA + (mask & _STRENGTH - 1)]) + rest, FitExtras(strength, *sections)


def join_extras(payload: bytes, extras: FitExtras) -> bytes:
    """The inverse of `split_extras`, of a payload that paints and has nothing else."""
    kind, extra_bytes, strength = payload[0], b"", extras.strength
    if (strength.noise, strength.keep) != (Strength.noise, Strength.keep):
        kind, extra_bytes = kind + _STRENGTH, bytes([strength.noise, strength.keep])
    if strength.has_strength_factors:
        factors = _FACTORS.pack(*strength.gains, *strength.amplitudes)
        kind, extra_bytes = kind + _FACTORS_BIT, extra_bytes + factors
    for bit, section in ((_TOKENS, extras.tokens), (_UNPAINTED, extras.unpainted_regions)):
        if section is not None:
            kind, extra_bytes = kind + bit, extra_bytes + encode_var(len(section)) + section
    return bytes([kind]) + extra_bytes + payload[1:]


def split_strength(payload: bytes) -> tuple[bytes, Strength]:
    """A payload without strength and tokens, and its strength. Raises `DamagedStreamError`."""
    weights, extras = split_extras(payload)
    return weights, extras.strength


def join_strength(payload: bytes, strength: Strength) -> bytes:
    """`join_extras` with a strength alone."""
    return join_extras(payload, FitExtras(strength))
