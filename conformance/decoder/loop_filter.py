"""The loop filter of base gvc1d (GVC1D: Loop filter)."""

from __future__ import annotations

import numpy as np

from conformance.decoder.bases import Planes
from conformance.decoder.models import Tensors
from conformance.decoder.networks import loud
from conformance.decoder.wire import require

Array = np.ndarray
CHANNELS = ((62, 48), (48, 48), (48, 48), (96, 24))


class LoopFilter:
    def __init__(self, tensors: Tensors) -> None:
        self.layers = []
        for number, (inputs, outputs) in enumerate(CHANNELS):
            names = [f"filter.{number}.{k}" for k in ("weight", "bias", "multiplier", "bounds")]
            require(all(name in tensors for name in names), "layers of the loop filter")
            weight, bias, multiplier, bounds = (tensors[name].astype(np.int64) for name in names)
            require(tensors[names[0]].dtype == np.int8, "type of a convolution")
            require(weight.shape == (outputs, 9 * inputs), "shape of a convolution")
            require(bias.shape == multiplier.shape == (outputs,), "shape of a convolution")
            limits = [0, 127] if number < 3 else [-(2**14), 2**14]
            require(bounds[1:].tolist() == limits, "bounds of a convolution")
            require(1 <= bounds[0] <= 62, "bounds of a convolution")
            require(bool((abs(bias) <= 2**30).all()), "bias of a convolution")
            self.layers.append((weight, bias, multiplier, bounds.tolist()))

    def filtered(
        self, frame: Planes, prediction: Planes, restless: Array | None, step: int, q: int
    ) -> Planes:
        x = seen = maps(frame, prediction, restless, step, q)
        for weight, bias, multiplier, (shift, low, high) in self.layers:
            if len(weight[0]) == 9 * 96:
                x = np.concatenate([x, seen[:48]])
            wide = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            around = [wide[:, i : i + x.shape[1], j : j + x.shape[2]] for i, j in np.ndindex(3, 3)]
            columns = np.stack(around, 1).reshape(len(weight[0]), -1)  # 9 k + 3 i + j
            # Whole numbers below 2^53 are exact as doubles.
            total = (weight.astype(float) @ columns.astype(float)).astype(np.int64)
            made = (total + bias[:, None]) * multiplier[:, None] + (1 << shift - 1) >> shift
            x = made.clip(low, high).reshape(-1, *x.shape[1:])
        corrections = (x * step + 2**13) >> 14
        sides = ((0, 4), (16, 2), (20, 2))
        return [
            (plane + from_cells(corrections[n : n + side * side], side)).clip(0, 1023)
            for plane, (n, side) in zip(frame, sides, strict=True)
        ]


def maps(frame: Planes, prediction: Planes, restless: Array | None, step: int, q: int) -> Array:
    """[62, rows, columns]"""

    def bent(d: Array) -> Array:
        return 64 + np.sign(d) * (1536 * abs(d) // (step + 24 * abs(d)))

    parts, apart, means = [], [], []
    for plane, other, side in zip(frame, prediction, (4, 2, 2), strict=True):
        samples, k = to_cells(plane, side), 9 * side * side
        wide = np.pad(samples.sum(0), 1, "edge")
        h, w = samples.shape[1:]
        total = sum(wide[i : i + h, j : j + w] for i, j in np.ndindex(3, 3))
        means.append((total + k // 2) // k)
        parts.append(bent(samples - means[-1]))
        apart.append(bent(samples - to_cells(other, side)))
    h, w = parts[0].shape[1:]
    rest = np.zeros((11, h, w), np.int64)
    for i in range(4):
        rest[i, i::4], rest[4 + i, :, i::4] = 127, 127
    rest[8] = min(2 * q, 127)
    if restless is not None:
        rest[9] = 127
        table = np.array([loud(n, 2**15 - 2) for n in range(2**15)])
        rest[10] = table[restless.clip(None, 2**15 - 1)].repeat(4, 0).repeat(4, 1)
    return np.concatenate([*parts, *apart, np.stack(means) >> 3, rest])


def to_cells(plane: Array, side: int) -> Array:
    h, w = (n // side for n in plane.shape)
    return plane.reshape(h, side, w, side).transpose(1, 3, 0, 2).reshape(side * side, h, w)


def from_cells(cells: Array, side: int) -> Array:
    _, h, w = cells.shape
    return cells.reshape(side, side, h, w).transpose(2, 0, 3, 1).reshape(h * side, w * side)
