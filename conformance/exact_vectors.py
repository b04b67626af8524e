"""Writes csrc/tests/transformer.vector: `python -m conformance.exact_vectors`.

Inputs are random or hostile; results come from the second decoder (NumPy), so that the core is
tested against an independent form of docs/spec/exact-arithmetic.md. The form of the file is
described in csrc/tests/transformer_test.cpp.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from conformance.decoder import exact_float as exact

OUT = Path(__file__).parents[1] / "csrc/tests/transformer.vector"
FUNCTIONS = (exact.exp, exact.log, exact.sigmoid, exact.gelu, exact.softplus)
LINEAR, NORM, ATTENTION, BLOCK = 5, 6, 7, 8
#: NaN of both signs, infinities, the largest and smallest numbers, both zeros, limits of exp.
HOSTILE = np.array(
    [np.nan, -np.nan, np.inf, -np.inf, 3.4028235e38, -3.4028235e38, 1e-45, -1e-45]
    + [1.1754944e-38, 1e-39, 0.0, -0.0, -64, -64.00001, 88, 88.00001, 2.0**96, -(2.0**97)],
    np.float32,
)

Array = np.ndarray


def var(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + var(n >> 7)


def array(values: Array) -> bytes:
    sizes = b"".join(map(var, values.shape))
    return var(values.ndim) + sizes + values.astype("<f4").tobytes()


def case(operation: int, *arrays: Array) -> bytes:
    return var(operation) + var(len(arrays)) + b"".join(map(array, arrays))


def normal(rng: np.random.Generator, *shape: int, size: float = 1.0) -> Array:
    return (rng.standard_normal(shape) * size).astype(np.float32)


def function_cases(rng: np.random.Generator) -> bytes:
    """Any bits, and the range that networks use."""
    any_bits = rng.integers(0, 1 << 32, 300, np.uint32).view(np.float32)
    x = np.concatenate([HOSTILE, any_bits, np.linspace(-70, 90, 400, dtype=np.float32)])
    return b"".join(case(i, x, function(x)) for i, function in enumerate(FUNCTIONS))


def layer_cases(rng: np.random.Generator) -> bytes:
    out = b""
    for m, k, n in ((1, 1, 1), (2, 33, 17), (3, 20, 64), (13, 24, 75), (130, 3, 66)):
        x, weight, bias = normal(rng, m, k), normal(rng, k, n), normal(rng, n)
        out += case(LINEAR, x, weight, bias, exact.linear(x, weight, bias))
        out += case(LINEAR, x, weight, bias[:0], exact.linear(x, weight, None))
    hostile = np.stack([np.roll(np.tile(HOSTILE, 2), i) for i in range(9)])  # [9, 36]
    weight, bias = normal(rng, 36, 21), normal(rng, 21)
    out += case(LINEAR, hostile, weight, bias, exact.linear(hostile, weight, bias))
    for x in (normal(rng, 5, 96), normal(rng, 7, 41, size=1e-3), normal(rng, 3, 7), hostile):
        gain, bias, epsilon = normal(rng, x.shape[1]), normal(rng, x.shape[1]), np.float32(1e-5)
        result = exact.norm(x, gain, bias, epsilon)
        out += case(NORM, x, gain, bias, epsilon.reshape(1), result)
    return out


def attention_cases(rng: np.random.Generator) -> bytes:
    out = b""
    for queries, keys, depth in ((1, 1, 1), (3, 70, 24), (11, 11, 8), (20, 33, 40)):
        q = normal(rng, 1, 2, queries, depth, size=3)
        k, v = normal(rng, 1, 2, keys, depth), normal(rng, 1, 2, keys, depth)
        visible = np.sort(rng.integers(1, keys + 1, queries))
        if depth == 8:  # values masked from the query are arbitrary
            visible = np.minimum(visible, keys - 1)
            k[:, :, -1], v[:, :, -1] = np.inf, np.nan
        result = exact.attention(q, k, v, visible.tolist())
        out += case(ATTENTION, q, k, v, visible.astype(np.float32), result)
    return out


def block_cases(rng: np.random.Generator) -> bytes:
    """Six positions that see each other, then causal ones; and weights that overflow."""
    batch, length, width, hidden, heads, context = 2, 19, 24, 40, 3, 6
    visible = [max(context, i + 1) for i in range(length)]

    def matrix(inputs: int, outputs: int) -> Array:
        return normal(rng, inputs, outputs, size=inputs**-0.5)

    w = exact.Block(
        *(1 + normal(rng, width), normal(rng, width), matrix(width, 3 * width)),
        *(normal(rng, 3 * width), matrix(width, width), normal(rng, width)),
        *(1 + normal(rng, width), normal(rng, width), matrix(width, hidden)),
        *(normal(rng, hidden), matrix(hidden, width), normal(rng, width)),
    )
    huge = exact.Block(*(np.where(part > 0.5, np.float32(1e38), part) for part in w))
    x = normal(rng, batch, length, width)
    heads_visible = np.array([heads], np.float32), np.array(visible, np.float32)
    return b"".join(
        case(BLOCK, x, *heads_visible, *weights, exact.block(x, weights, heads, visible))
        for weights in (w, huge)
    )


def vector() -> bytes:
    rng = np.random.default_rng(2026)
    parts = (function_cases, layer_cases, attention_cases, block_cases)
    return b"".join(part(rng) for part in parts)


if __name__ == "__main__":
    OUT.write_bytes(vector())
