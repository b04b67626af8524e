"""Tuned weights as bytes: the payload of a `tune` packet.

    byte 0      0: paint nothing (output = loop frame), no more bytes. 1: a delta to the base renderer
    byte 1      bit i set: group i of `GROUPS` is present
    then        one byte for each tensor of the groups present that the painter has: step of its delta, 2^(−b/4), b in 8…80; 255: delta all zero;
                of the integer painter: 2^b in units of its integers, b in 0…20
    then        the deltas / step, integers −127…127, range-coded (`coder`), tensor by tensor

Every way in which bytes can be wrong ends in `DamagedStreamError`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gvcodec.appearance.weight_coder import Decoder, Encoder
from gvcodec.errors import DamagedStreamError

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.appearance.integer_twin import IntegerRenderer
    from gvcodec.appearance.renderer import Renderer

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
STEPS, INTEGER_STEPS = range(_LOWEST, _HIGHEST + 1), range(21)


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
    """Steps of a renderer's deltas: powers of 2^(1/4), for the integer painter whole numbers of its
    grid times powers of two."""

    def __init__(self, renderer: Renderer | IntegerRenderer) -> None:
        self._grids = renderer.grids() if hasattr(renderer, "grids") else None
        self.range = STEPS if self._grids is None else INTEGER_STEPS

    def exponent(self, name: str, step: float) -> int:
        """The byte of the step nearest to `step`."""
        if self._grids is None:
            return exponent_for(step)
        near = round(float(np.log2(max(step, 1e-12) / float(self._grids[name].mean()))))
        return int(np.clip(near, INTEGER_STEPS[0], INTEGER_STEPS[-1]))

    def unit(self, name: str, exponent: int) -> Tensor | float:
        """Size of a step, to be broadcast over the tensor."""
        if self._grids is None:
            return step_of(exponent)
        return self._grids[name] * float(2**exponent)


def unpack(payload: bytes, renderer: Renderer | IntegerRenderer) -> dict[str, Tensor] | None:
    """Bytes to deltas of the renderer's tensors (float, to be added); None for the identity. Raises
    `DamagedStreamError`."""
    import torch

    shapes = {name: weight.shape for name, weight in renderer.named_parameters()}
    sizes, steps = {name: shape.numel() for name, shape in shapes.items()}, Steps(renderer)
    found = read(payload, sizes, steps.range)
    if found is None:
        return None
    return {
        d.name: torch.from_numpy(d.values).float().reshape(shapes[d.name])
        * steps.unit(d.name, d.exponent)
        for d in found
    }


def read(payload: bytes, sizes: dict[str, int], steps: range) -> list[Delta] | None:
    """Bytes to deltas of tensors of these sizes; None for the identity. Raises
    `DamagedStreamError`."""
    if payload == IDENTITY:
        return None
    if len(payload) < 2 or payload[0] != 1 or payload[1] >> len(GROUPS):
        raise DamagedStreamError("tuned weights: unknown kind or group")
    names = in_groups(payload[1], sizes)
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
