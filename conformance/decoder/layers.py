"""Layers of networks of floats (GVC1D: Restored pictures)."""

from __future__ import annotations

from math import erf

import numpy as np

Array = np.ndarray


class Layers:
    """Tensors of a model by name, and what they compute. Vectors are along the last axis; maps
    are [maps, rows, columns]."""

    def __init__(self, tensors: dict[str, Array], heads: int) -> None:
        self.tensors = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
        self.heads = heads

    def __getitem__(self, name: str) -> Array:
        return self.tensors[name]

    def linear(self, name: str, x: Array) -> Array:
        return x @ self[f"{name}.weight"].T + self[f"{name}.bias"]

    def norm(self, name: str, x: Array) -> Array:
        x = x - x.mean(-1, keepdims=True)
        scaled = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
        return scaled * self[f"{name}.weight"] + self[f"{name}.bias"]

    def conv(self, name: str, x: Array, stride: int = 1) -> Array:
        """1×1, 3×3 with zeros outside, or squares of `stride` that do not overlap."""
        weight, bias = self[f"{name}.weight"], self[f"{name}.bias"]
        side = weight.shape[2]
        if stride == 1:
            x = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
        h, w = ((n - side) // stride + 1 for n in x.shape[1:])
        total = np.zeros((len(weight), h * w)) + bias[:, None]
        for i in range(side):
            for j in range(side):
                part = x[:, i : i + stride * h : stride, j : j + stride * w : stride]
                total += weight[:, :, i, j] @ part[:, :h, :w].reshape(len(x), -1)
        return total.reshape(-1, h, w)

    def block(self, name: str, x: Array, y: Array | None = None, bias: Array | float = 0) -> Array:
        """x [..., places, D] looks at y, or at itself."""
        n = self.norm(f"{name}.ln_1", x)
        x = x + _bound(self._attention(f"{name}.attn", n, n if y is None else y, bias))
        hidden = gelu(self.linear(f"{name}.c_fc", self.norm(f"{name}.ln_2", x)))
        return x + _bound(self.linear(f"{name}.c_proj", hidden))

    def _attention(self, name: str, x: Array, y: Array, bias: Array | float) -> Array:
        weights = np.split(self[f"{name}.in_proj.weight"], 3)
        biases = np.split(self[f"{name}.in_proj.bias"], 3)
        q, k, v = (
            self._heads(of @ w.T + b) for of, w, b in zip((x, y, y), weights, biases, strict=True)
        )
        q, k = 6 * _unit(q), _unit(k)
        found = softmax(q @ k.swapaxes(-1, -2) + bias) @ v
        return self.linear(f"{name}.out_proj", found.swapaxes(-2, -3).reshape(x.shape))

    def _heads(self, x: Array) -> Array:
        """[..., places, D] as [..., heads, places, D / heads]"""
        return x.reshape(*x.shape[:-1], self.heads, -1).swapaxes(-2, -3)


def _unit(x: Array) -> Array:
    return x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-6)


def _bound(x: Array) -> Array:
    return x / np.sqrt(1 + (x * x).sum(-1, keepdims=True) / (16 * x.shape[-1]))


def softmax(x: Array, axis: int = -1) -> Array:
    x = np.exp(x - x.max(axis, keepdims=True))
    return x / x.sum(axis, keepdims=True)


_erf = np.vectorize(erf, otypes=[float])


def gelu(x: Array) -> Array:
    return x * (1 + _erf(x / np.sqrt(2))) / 2


def silu(x: Array) -> Array:
    return x * logistic(x)


def logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def across_bias(way: Array, far: Array, places: Array) -> Array:
    """[heads, n, n] of places (row, column)."""
    d = places[None] - places[:, None]
    distance = np.linalg.norm(d, axis=-1)
    along = np.einsum("gi,abi->gab", way, d / (distance + 0.25)[..., None])
    return along - far[:, None, None] * distance
