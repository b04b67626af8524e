"""Integer networks and the integers that they predict (Entropy coding; Models)."""

from __future__ import annotations

import numpy as np

from conformance.decoder.entropy import Rans
from conformance.decoder.models import safetensors
from conformance.decoder.wire import Damaged, Newer, require


class IntegerNetwork:
    """Fully connected layers; the last has scale, mean, inflation."""

    def __init__(self, data: bytes, form: str, inputs: int) -> None:
        texts, tensors = safetensors(data)
        if texts.get("form") != form:
            raise Newer(f"an integer network of form {texts.get('form')}")
        self.layers, self.inputs, width = [], inputs, inputs
        while f"{len(self.layers)}.weight" in tensors:
            n = len(self.layers)
            try:
                parts = [tensors[f"{n}.{k}"] for k in ("weight", "bias", "multiplier", "bounds")]
            except KeyError as error:
                raise Damaged(f"an integer network without {error}") from None
            weight, bias, multiplier, bounds = (part.astype(np.int64) for part in parts)
            require(parts[0].dtype == np.int8 and weight.ndim == 2, "type of a layer")
            require(weight.shape[1] == width <= 2**15 and bounds.shape == (3,), "shape of a layer")
            require(bias.shape == multiplier.shape == weight.shape[:1], "shape of a layer")
            require(1 <= bounds[0] <= 62 and bounds[1] <= bounds[2], "bounds of a layer")
            require(bool((abs(bias) <= 2**30).all()), "bias of a layer")
            self.layers.append((weight, bias, multiplier, bounds.tolist()))
            width = len(weight)
        require(0 < len(self.layers) <= 8 and width == 3, "layers of an integer network")

    def outputs(self, x: np.ndarray) -> tuple[int, int, int]:
        for weight, bias, multiplier, (shift, low, high) in self.layers:
            total = (bias + weight @ x) * multiplier + (1 << shift - 1)
            x = (total >> shift).clip(low, high)
        scale, mean, inflation = x.tolist()
        mean = min(max(mean, -32768), 32767)
        return min(max(scale, 0), 63), mean, min(max(inflation, 0), 127)


def loud(a: int, most: int = 2**16 - 2) -> int:
    n = min(a, most) + 1
    k = n.bit_length() - 1
    return min(8 * k + ((8 * n >> k) & 7), 127)


def predicted(
    network: IntegerNetwork, data: bytes, activations: np.ndarray, entries: np.ndarray
) -> list[int]:
    """A packet of predicted integers: `activations` [n, A], `entries` [n, E]."""
    rans, values = Rans(data), []
    x = np.zeros(network.inputs, np.int64)
    count = activations.shape[1]
    for t in range(len(activations)):
        x[:count] = activations[t].clip(None, 127)
        x[count:] = [_input(values, t, e) for e in entries[t].tolist()]
        values.append(rans.integer(*network.outputs(x)))
    rans.close()
    return values


def _input(values: list[int], t: int, entry: int) -> int:
    if entry >= 0:
        v = values[t - entry] if 0 < entry <= t else 0
        return 64 + min(max(v, -64), 63)
    far, length = -entry >> 14, -entry & 16383
    if far > t or length == 0 or length > far:
        return 0
    total = sum(min(abs(v), 1023) for v in values[t - far : t - far + length])
    return loud(32 * total // length, 2**15 - 1) if total else 0
