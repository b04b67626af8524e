"""Fitted weights (Fitted weights; The painter: Strength)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from conformance.decoder.entropy import Rans
from conformance.decoder.models import Tensors
from conformance.decoder.wire import Bytes, Newer, require

GROUPS = ("head.bias", "style.bias"), ("head.weight",)


@dataclass
class Fit:
    """What a `fit` packet says; `identity`: painted frames are base frames."""

    identity: bool = False
    noise: int = 64
    keep: int = 0
    deltas: dict[str, tuple[int, list[int]]] = field(default_factory=dict)  # exponent, values
    changes: bool = True

    def answer(self) -> object:
        if self.identity or not self.changes:
            return "identity" if self.identity else None
        deltas = {name: list(delta) for name, delta in self.deltas.items()}
        return {"noise": self.noise, "keep": self.keep, "deltas": deltas}


def read_fit(payload: bytes, model: Tensors) -> Fit:
    read = Bytes(payload)
    first = read.number(1)
    if payload == b"\0":
        return Fit(identity=True)
    if not 0x10 <= first <= 0x17:
        raise Newer(f"fit of form {first}")
    fit, m = Fit(changes=payload != b"\x10"), first & 7
    if m & 4:
        fit.noise, fit.keep = read.number(1), read.number(1)
        require(fit.noise <= 64, "strength of the noise")
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
    made = dict(model)
    for name, (exponent, values) in fit.deltas.items():
        delta = np.array(values).reshape(model[name].shape) << exponent
        bound = 127 if name.endswith("weight") else 2**28
        made[name] = (model[name] + delta).clip(-bound, bound)
    multiplier, bias = made["head.multiplier"].copy(), made["head.bias"].copy()
    multiplier[6:9] = (multiplier[6:9] * fit.noise + 32) >> 6
    if multiplier[14]:
        grown = bias[14] + (fit.keep << int(made["head.shift"][14])) // multiplier[14]
        bias[14] = min(grown, 2**28)
    return made | {"head.multiplier": multiplier, "head.bias": bias}
