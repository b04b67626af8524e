"""Fitted weights as bytes: the payload of a `fit` packet.

    byte 0      0: paint nothing (output = base frame), no more bytes. 1: a delta to the painter
    byte 1      bit i set: group i of `GROUPS` is present
    then        one byte for each tensor of the groups present that the painter has: step of its
                delta, 2^b in units of the painter's integers, b in 0…20; 255: delta all zero
    then        the deltas / step, integers −127…127, range-coded (`weight_coder`), tensor by tensor

Every way in which bytes can be wrong ends in `DamagedStreamError`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gvcodec.errors import DamagedStreamError
from gvcodec.painter.weight_coder import Decoder, Encoder

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.painter.twin import PainterTwin

IDENTITY = b"\0"
#: The shipped weights, after a change of them.
BASE = b"\1\0"
#: Exchange rate of bytes and quality: one per cent more stream buys about so many per cent of
#: perceptual loss in the base codec.
RATE_SLOPE = 0.45
#: Parts of the painter that can be fitted, the ones that gain most per byte first; names as in
#: `PainterTwin.state_dict()`.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("head.bias", "gate.bias", "style.bias", "leave.bias", "middle.bias", "enter.bias"),
    ("head.weight",),
    ("gate.weight", "leave.weight"),
    ("style.weight",),
)
LIMIT = 127
_EMPTY = 255
STEPS = range(21)


@dataclass(frozen=True)
class Delta:
    """Quantised change of one tensor: flat int64 values of −127…127 and the exponent byte of their
    step."""

    name: str
    values: np.ndarray
    exponent: int


def in_groups(mask: int, known: Container[str]) -> list[str]:
    """Tensors of the groups whose bits are set in `mask`, of those that a painter has, `known`."""
    groups = (group for i, group in enumerate(GROUPS) if mask >> i & 1)
    return [name for group in groups for name in group if name in known]


def pack(deltas: list[Delta]) -> bytes:
    """Deltas of whole groups, in the order of `GROUPS`, to bytes."""
    given = {d.name: d for d in deltas}
    mask = sum(1 << i for i, group in enumerate(GROUPS) if any(name in given for name in group))
    ordered = [given[name] for name in in_groups(mask, given)]
    head = bytes([1, mask]) + bytes(d.exponent if d.values.any() else _EMPTY for d in ordered)
    coder = Encoder()
    for kind, delta in enumerate(d for d in ordered if d.values.any()):
        for value in delta.values.tolist():
            coder.put(value, kind)
    return head + coder.finish()


class Steps:
    """Steps of a painter's deltas: whole numbers of its grids times powers of two."""

    def __init__(self, painter: PainterTwin) -> None:
        self._grids = painter.grids()

    def exponent(self, name: str, step: float) -> int:
        """The byte of the step nearest to `step`."""
        near = round(float(np.log2(max(step, 1e-12) / float(self._grids[name].mean()))))
        return int(np.clip(near, STEPS[0], STEPS[-1]))

    def unit(self, name: str, exponent: int) -> Tensor:
        """Size of a step, to be broadcast over the tensor."""
        return self._grids[name] * float(2**exponent)

    def value(self, delta: Delta, shape: tuple[int, ...]) -> Tensor:
        """What a delta adds to its tensor, which has this shape, where the painter is."""
        import torch

        unit = self.unit(delta.name, delta.exponent)
        return torch.from_numpy(delta.values).to(unit).reshape(shape) * unit


def unpack(payload: bytes, painter: PainterTwin) -> dict[str, Tensor] | None:
    """Bytes to deltas of the twin's tensors (float, to be added); None for the identity. Raises
    `DamagedStreamError`."""
    shapes = {name: weight.shape for name, weight in painter.named_parameters()}
    found = read(payload, {name: shape.numel() for name, shape in shapes.items()})
    if found is None:
        return None
    steps = Steps(painter)
    return {d.name: steps.value(d, shapes[d.name]) for d in found}


def read(payload: bytes, sizes: dict[str, int]) -> list[Delta] | None:
    """Bytes to deltas of tensors of these sizes; None for the identity. Raises
    `DamagedStreamError`."""
    if payload == IDENTITY:
        return None
    if len(payload) < 2 or payload[0] != 1 or payload[1] >> len(GROUPS):
        raise DamagedStreamError("fitted weights: unknown kind or group")
    names = in_groups(payload[1], sizes)
    exponents = payload[2 : 2 + len(names)]
    if len(exponents) < len(names) or any(e != _EMPTY and e not in STEPS for e in exponents):
        raise DamagedStreamError("fitted weights: a step is missing or out of range")
    coder = Decoder(payload[2 + len(names) :])
    deltas: list[Delta] = []
    for name, exponent in zip(names, exponents, strict=True):
        if exponent == _EMPTY:
            continue
        values = [coder.get(len(deltas)) for _ in range(sizes[name])]
        if any(abs(v) > LIMIT for v in values):
            raise DamagedStreamError("fitted weights: a value is out of range")
        deltas.append(Delta(name, np.array(values, np.int64), exponent))
    coder.finish()
    return deltas
