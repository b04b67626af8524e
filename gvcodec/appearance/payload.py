"""Tuned weights as bytes: the payload of a `tune` packet.

    byte 0      0: paint nothing (output = loop frame), no more bytes. 1: a delta to the base renderer
    byte 1      bit i set: group i of `GROUPS` is present
    then        one byte for each tensor of the groups present: step of its delta, 2^(−b/4), b in 8…80; 255: delta all zero;
                of the integer painter: 2^b in units of its integers, b in 0…20
    then        the deltas / step, integers −127…127, range-coded (`coder`), tensor by tensor

Every way in which bytes can be wrong ends in `DamagedStreamError`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gvcodec.appearance.renderer import Renderer
from gvcodec.appearance.weight_coder import Decoder, Encoder
from gvcodec.errors import DamagedStreamError

IDENTITY = b"\0"
#: The base renderer, after a change of it.
BASE = b"\1\0"
#: Exchange rate of bytes and quality: one per cent more stream buys about so many per cent of
#: perceptual loss in the base codec.
RATE_SLOPE = 0.45
#: Parts of the renderer that can be tuned, the ones that gain most per byte first; names as in
#: `Renderer.state_dict()`.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("head.bias", "gate.bias", "style.bias", "leave.bias", "middle.bias", "enter.bias"),
    ("head.weight",),
    ("gate.weight", "leave.weight"),
    ("style.weight",),
)
LIMIT = 127
_EMPTY, _LOWEST, _HIGHEST = 255, 8, 80


@dataclass(frozen=True)
class Delta:
    """Quantised change of one tensor: flat int64 values of −127…127 and the exponent byte of their
    step."""

    name: str
    values: np.ndarray
    exponent: int


def step_of(exponent: int) -> float:
    """Size of one step."""
    return float(2.0 ** (-exponent / 4))


def exponent_for(step: float) -> int:
    """The exponent whose step is nearest."""
    return int(np.clip(round(-4 * np.log2(max(step, 1e-9))), _LOWEST, _HIGHEST))


def pack(deltas: list[Delta]) -> bytes:
    """Deltas of whole groups, in the order of `GROUPS`, to bytes."""
    given = {d.name: d for d in deltas}
    mask = sum(1 << i for i, group in enumerate(GROUPS) if any(name in given for name in group))
    ordered = [given[name] for i, group in enumerate(GROUPS) if mask >> i & 1 for name in group]
    head = bytes([1, mask]) + bytes(d.exponent if d.values.any() else _EMPTY for d in ordered)
    coder = Encoder()
    for kind, delta in enumerate(d for d in ordered if d.values.any()):
        for value in delta.values.tolist():
            coder.put(value, kind)
    return head + coder.finish()


def unpack(payload: bytes, renderer: Renderer) -> dict[str, Tensor] | None:
    """Bytes to deltas of the renderer's tensors (float, to be added); None for the identity. Raises
    `DamagedStreamError`."""
    shapes = {name: weight.shape for name, weight in renderer.named_parameters()}
    sizes = {name: shape.numel() for name, shape in shapes.items()}
    found = read(payload, sizes, range(_LOWEST, _HIGHEST + 1))
    if found is None:
        return None
    return {
        d.name: torch.from_numpy(d.values).float().mul_(step_of(d.exponent)).reshape(shapes[d.name])
        for d in found
    }


def read(payload: bytes, sizes: dict[str, int], steps: range) -> list[Delta] | None:
    """Bytes to deltas of tensors of these sizes; None for the identity. Raises `DamagedStreamError`."""
    if payload == IDENTITY:
        return None
    if len(payload) < 2 or payload[0] != 1 or payload[1] >> len(GROUPS):
        raise DamagedStreamError("tuned weights: unknown kind or group")
    names = [name for i, group in enumerate(GROUPS) if payload[1] >> i & 1 for name in group]
    exponents = payload[2 : 2 + len(names)]
    if len(exponents) < len(names) or any(e != _EMPTY and e not in steps for e in exponents):
        raise DamagedStreamError("tuned weights: a step is missing or out of range")
    coder = Decoder(payload[2 + len(names) :])
    deltas: list[Delta] = []
    for name, exponent in zip(names, exponents, strict=True):
        if exponent == _EMPTY:
            continue
        values = [coder.get(len(deltas)) for _ in range(sizes[name])]
        if any(abs(v) > LIMIT for v in values):
            raise DamagedStreamError("tuned weights: a value is out of range")
        deltas.append(Delta(name, np.array(values, np.int64), exponent))
    coder.finish()
    return deltas
