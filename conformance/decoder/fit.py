"""Fitted weights (Fitted weights; The painter: Strength)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from conformance.decoder.entropy import Rans
from conformance.decoder.header import Header
from conformance.decoder.models import Tensors
from conformance.decoder.region_tokens import RegionTokens, read_tokens, read_unpainted
from conformance.decoder.wire import Bytes, Newer, require

OCTAVE = 1024, 1117, 1218, 1328, 1448, 1579, 1722, 1878
TURNED = (0, 1, 2), (6, 7, 8)
GROUPS = ("head.bias", "style.bias"), ("head.weight",)


@dataclass
class Fit:
    """The content of a `fit` packet; `identity`: painted frames are base frames."""

    identity: bool = False
    noise: int = 64
    keep: int = 0
    deltas: dict[str, tuple[int, list[int]]] = field(default_factory=dict)  # exponent, values
    changes: bool = True
    factors: list[int] = field(default_factory=list)  # eighths of an octave: gains, amplitudes
    tokens: RegionTokens | None = None
    unpainted: np.ndarray | None = None  # [rows, columns] of regions

    def answer(self) -> object:
        if self.identity or not self.changes:
            return "identity" if self.identity else None
        deltas = {name: list(delta) for name, delta in self.deltas.items()}
        fields = {"noise": self.noise, "keep": self.keep, "deltas": deltas}
        if any(self.factors):
            fields["factors"] = self.factors
        tokens = self.tokens.answer() if self.tokens else []
        if any(tokens):
            fields["tokens"] = tokens
        if self.unpainted is not None:
            fields["unpainted"] = self.unpainted.astype(int).tolist()
        return fields


def read_fit(payload: bytes, model: Tensors, header: Header) -> Fit:
    """Read a `fit` packet of a stream with this painter and header. Raises `Damaged`, `Newer`."""
    read = Bytes(payload)
    first = read.number(1)
    if payload == b"\0":
        return Fit(identity=True)
    m = first - 16
    if m < 0 or m & ~0x5F:
        raise Newer(f"fit of form {first}")
    fit = Fit(changes=payload != b"\x10")
    if m & 4:
        fit.noise, fit.keep = read.number(1), read.number(1)
        require(fit.noise <= 64, "strength of the noise")
    if m & 8:
        fit.factors = [(read.number(1) ^ 128) - 128 for _ in range(6)]
        require(all(-40 <= k <= 16 for k in fit.factors), "a factor")
    if m & 16:
        fit.tokens = read_tokens(read.take(read.var()), model, header)
    if m & 64:
        fit.unpainted = read_unpainted(read.take(read.var()), header)
    names = [name for i, group in enumerate(GROUPS) if m >> i & 1 for name in group]
    steps = {name: read.number(1) for name in names}
    rans = Rans(read.rest())
    for name, step in steps.items():
        if step != 255:
            require(step // 12 <= 20, "step of a tensor")
            scale = 5 * (step % 12) + 3
            values = [rans.integer(scale) for _ in range(model[name].size)]
            require(all(abs(value) <= 127 for value in values), "a delta")
            fit.deltas[name] = step // 12, values
    rans.close()
    return fit


def fitted(model: Tensors, fit: Fit) -> Tensors:
    """The tensors in force."""
    tensors = dict(model)
    for name, (exponent, values) in fit.deltas.items():
        delta = np.array(values).reshape(model[name].shape) << exponent
        bound = 127 if name.endswith("weight") else 2**28
        tensors[name] = (model[name] + delta).clip(-bound, bound)
    multiplier, bias = tensors["head.multiplier"].copy(), tensors["head.bias"].copy()
    multiplier[6:9] = (multiplier[6:9] * fit.noise + 32) >> 6
    if multiplier[14]:
        grown = bias[14] + (fit.keep << int(tensors["head.shift"][14])) // multiplier[14]
        bias[14] = min(grown, 2**28)
    shift = tensors["head.shift"].copy()
    for k, row in zip(fit.factors, (*TURNED[0], *TURNED[1]), strict=False):
        multiplier[row], shift[row] = _turned(int(multiplier[row]), int(shift[row]), k)
    return tensors | {"head.multiplier": multiplier, "head.bias": bias, "head.shift": shift}


def _turned(multiplier: int, shift: int, k: int) -> tuple[int, int]:
    """A multiplier and its shift by a factor of 2^(k / 8)."""
    n = 10 - (k >> 3)
    while True:
        mantissa = (multiplier * OCTAVE[k & 7] + (1 << (n - 1))) >> n
        if mantissa <= 1023 or shift == 1:
            return min(mantissa, 1023), shift
        n, shift = n + 1, shift - 1
