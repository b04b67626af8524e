"""Integer networks and the integers that they predict (Entropy coding; Models)."""

from __future__ import annotations

import numpy as np

from conformance.decoder.entropy import Rans
from conformance.decoder.models import Tensors
from conformance.decoder.wire import Damaged, require

Layer = tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]  # weight, bias, multiplier, bounds
NO_SPAN = -1
TYPES = [np.int8, np.int32, np.int32, np.int32]


class IntegerNetwork:
    """Fully connected layers; the last has scale, mean, inflation."""

    def __init__(self, layers: list[Layer], inputs: int) -> None:
        self.inputs, self.layers = inputs, []
        for weight, bias, multiplier, (shift, low, high) in layers:
            most = (abs(bias) + 127.0 * abs(weight).sum(1)) * abs(multiplier) + 2.0**shift
            if most.max() < 2.0**53:  # floats hold all of its integers, shifted, exactly
                scale = multiplier / 2.0**shift
                layer = weight.astype(float), scale, bias * scale + 0.5, low, high
            else:
                layer = weight, bias, multiplier, (shift, low, high)
            self.layers.append(layer)

    @classmethod
    def read(cls, tensors: Tensors, inputs: int, prefix: str = "") -> IntegerNetwork:
        layers: list[Layer] = []
        width = inputs
        while f"{prefix}{len(layers)}.weight" in tensors:
            layer = f"{prefix}{len(layers)}"
            try:
                parts = [
                    tensors[f"{layer}.{k}"] for k in ("weight", "bias", "multiplier", "bounds")
                ]
            except KeyError as error:
                raise Damaged(f"an integer network without {error}") from None
            weight, bias, multiplier, bounds = (part.astype(np.int64) for part in parts)
            require([part.dtype for part in parts] == TYPES, "type of a layer")
            require(weight.ndim == 2, "shape of a layer")
            require(weight.shape[1] == width <= 2**15 and bounds.shape == (3,), "shape of a layer")
            require(bias.shape == multiplier.shape == weight.shape[:1], "shape of a layer")
            require(1 <= bounds[0] <= 62 and bounds[1] <= bounds[2], "bounds of a layer")
            require(bool((abs(bias) <= 2**30).all()), "bias of a layer")
            layers.append((weight, bias, multiplier, bounds.tolist()))
            width = len(weight)
        require(0 < len(layers) <= 8 and width == 3, "layers of an integer network")
        return cls(layers, inputs)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Outputs of the last layer for one row of activations."""
        for layer in self.layers:
            if len(layer) == 5:
                weight, scale, offset, low, high = layer
                x = np.floor((weight @ x) * scale + offset)
            else:
                weight, bias, multiplier, (shift, low, high) = layer
                x = (bias + weight @ x.astype(int)) * multiplier + (1 << shift - 1) >> shift
            x = np.minimum(np.maximum(x, low), high)
        return x

    def outputs(self, x: np.ndarray) -> tuple[int, int, int]:
        scale, mean, inflation = (int(output) for output in self.forward(x))
        return min(max(scale, 0), 63), min(max(mean, -32768), 32767), min(max(inflation, 0), 127)


def span(far: int, length: int) -> int:
    """The entry of `length` values, the first of them `far` before."""
    return -(far << 14 | length)


def loud(a: int, most: int = 2**16 - 2) -> int:
    n = min(a, most) + 1
    k = n.bit_length() - 1
    return min(8 * k + ((8 * n >> k) & 7), 127)


LOUD = [loud(n, 2**15 - 1) for n in range(2**15)]


class Inputs:
    """Inputs of the network, from the values before."""

    def __init__(self) -> None:
        self._near: list[int] = []
        self._sums = [0]

    def add(self, value: int) -> None:
        self._near.append(64 + min(max(value, -64), 63))
        self._sums.append(self._sums[-1] + min(abs(value), 1023))

    def of(self, entry: int) -> int:
        t = len(self._near)
        if entry >= 0:
            return self._near[t - entry] if 0 < entry <= t else 64
        far, length = -entry >> 14, -entry & 16383
        if far > t or length == 0 or length > far:
            return 0
        total = self._sums[t - far + length] - self._sums[t - far]
        return LOUD[min(32 * total // length, 2**15 - 1)] if total else 0


def predicted(
    network: IntegerNetwork, data: bytes, activations: np.ndarray, entries: np.ndarray
) -> list[int]:
    """A packet of predicted integers: `activations` [n, A], `entries` [n, E]."""
    rans = Rans(data)
    values = integers(network, rans, activations, entries)
    rans.close()
    return values


def integers(
    network: IntegerNetwork, rans: Rans, activations: np.ndarray, entries: np.ndarray
) -> list[int]:
    values, inputs = [], Inputs()
    x = np.zeros(network.inputs)
    count = activations.shape[1]
    activations = activations.clip(None, 127)
    for t, around in enumerate(entries.tolist()):
        x[:count] = activations[t]
        x[count:] = [inputs.of(entry) for entry in around]
        values.append(rans.integer(*network.outputs(x)))
        inputs.add(values[-1])
    return values
