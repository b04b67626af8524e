"""Fitted weights as bytes: the payload of a `fit` packet.

    byte 0      0: paint nothing (output = base frame), no more bytes. 16 + m, m in 0…31 or 64…95: a
                delta to the painter, bit i < 2 of m set: group i of `GROUPS` is present
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
from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np

from gvcodec._core import cdf_decode, cdf_encode
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError, FormatVersionError
from gvcodec.painter.model import NEUTRAL, OCTAVE_EIGHTHS, Strength

IDENTITY = b"\0"
#: The shipped weights, after a change of them.
BASE = bytes([16])
#: Exchange rate of bytes and quality: one per cent more bytes lowers the base codec's perceptual
#: loss by about 0.75 per cent.
RATE_SLOPE = 0.75
#: Parts of the painter that can be fitted, in order of gain per byte; names as in
#: `PainterNetwork.state_dict()`.
GROUPS: tuple[tuple[str, ...], ...] = (("head.bias", "style.bias"), ("head.weight",))
LIMIT = 127
_EMPTY = 255
STEPS = range(21)
_DELTA = 16
_STRENGTH = 1 << len(GROUPS)
_FACTORS_BIT = _STRENGTH << 1
_TOKENS = _FACTORS_BIT << 1
_UNPAINTED = _TOKENS << 2  # a first byte of 48 is newer to all releases
_KINDS = frozenset(_DELTA + mask + more for mask in range(_TOKENS << 1) for more in (0, _UNPAINTED))
_FACTORS = struct.Struct("6b")
#: Scale indices of Laplace tables, of mean absolute deviations 0.06, 0.11, 0.2 … 36.
_SCALES = range(3, 63, 5)
#: A tensor is coded so often to compare tables, whose bytes are whole.
_REPEATS = 8


@dataclass(frozen=True)
class Delta:
    """Quantised change of one tensor: flat int64 values of −127…127 and the exponent byte of their
    step."""

    name: str
    values: np.ndarray
    exponent: int


def in_groups(mask: int, available: Container[str]) -> list[str]:
    """Tensors of the groups whose bits are set in `mask`, of the `available` ones of a painter."""
    groups = (group for i, group in enumerate(GROUPS) if mask >> i & 1)
    return [name for group in groups for name in group if name in available]


def pack(deltas: list[Delta]) -> bytes:
    """Deltas of whole groups, in the order of `GROUPS`, to bytes."""
    by_name = {d.name: d for d in deltas}
    mask = sum(1 << i for i, group in enumerate(GROUPS) if any(name in by_name for name in group))
    ordered = [by_name[name] for name in in_groups(mask, by_name)]
    head, coded = bytearray([_DELTA + mask]), []
    for delta in ordered:
        if not delta.values.any():
            head.append(_EMPTY)
            continue
        table = _choose_table(delta.values)
        head.append(delta.exponent * len(_SCALES) + table)
        coded.append((delta.values, _SCALES[table]))
    return bytes(head) + _encode(coded)


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


def _encode(tensors: list[tuple[np.ndarray, int]]) -> bytes:
    """Values and scale indices of tensors as one rANS packet."""
    values = [values for values, _ in tensors]
    return cdf_encode(
        np.concatenate([np.empty(0, np.int32), *values]).astype(np.int32),
        *_tables([len(v) for v in values], [scale for _, scale in tensors]),
    )


def _tables(counts: list[int], scales: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.array(scales, np.uint8), counts), np.zeros(sum(counts), np.int16)


def _choose_table(values: np.ndarray) -> int:
    """The table, by its number among `_SCALES`, that takes the fewest bits."""
    repeated = np.tile(values, _REPEATS)
    return min(range(len(_SCALES)), key=lambda s: len(_encode([(repeated, _SCALES[s])])))


def read_deltas(payload: bytes, sizes: dict[str, int]) -> list[Delta] | None:
    """Bytes, of which strength and tokens are left aside, to deltas of tensors of these sizes; None
    for the identity. Raises `DamagedStreamError`."""
    payload, _ = split_extras(payload)
    if payload == IDENTITY:
        return None
    if payload[:1] == b"\1":
        raise FormatVersionError(
            "fitted weights of release 0.7.0, which paints them; --fidelity decodes without them",
            code="newer-packet",
        )
    if not payload:
        raise DamagedStreamError("fitted weights: no bytes", code="fit-payload")
    if payload[0] & -(1 << len(GROUPS)) != _DELTA:
        raise FormatVersionError(
            f"fitted weights of kind {payload[0]} need a newer version of gvcodec; --fidelity does "
            "without",
            code="newer-packet",
        )
    names = in_groups(payload[0] - _DELTA, sizes)
    head = payload[1 : 1 + len(names)]
    coded = [(name, byte) for name, byte in zip(names, head, strict=False) if byte != _EMPTY]
    if len(head) < len(names) or any(byte // len(_SCALES) not in STEPS for _, byte in coded):
        raise DamagedStreamError(
            "fitted weights: a step is missing or out of range", code="fit-payload"
        )
    counts = [sizes[name] for name, _ in coded]
    scales = [_SCALES[byte % len(_SCALES)] for _, byte in coded]
    values, whole = cdf_decode(payload[1 + len(names) :], *_tables(counts, scales))
    if not whole or np.abs(values.astype(np.int64)).max(initial=0) > LIMIT:
        raise DamagedStreamError(
            "fitted weights: a value is out of range or missing", code="fit-payload"
        )
    parts = np.split(values.astype(np.int64), np.cumsum(counts)[:-1]) if coded else []
    return [
        Delta(name, part, byte // len(_SCALES))
        for (name, byte), part in zip(coded, parts, strict=True)
    ]
