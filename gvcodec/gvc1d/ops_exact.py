"""Exact transformer operations: float32 arithmetic with the same bits on every machine.

Each operation is defined, with the order of its sums, in docs/spec/exact-arithmetic.md. Arrays are
float32; results do not depend on `threads` (>= 1), batch size or instruction set. Numbers are
finite after every operation but `exp`: results are limited to 2^96, and a NaN counts as 2^96.

    x          [..., K] activations, rows of K values
    weight     [K, N], bias [N]
    query      [B, H, Nq, d], key and value [B, H, Nk, d]: B items, H heads of d values

Raises ValueError for shapes that do not fit together and TypeError for arrays of another type.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core

Array = NDArray[np.float32]

EPSILON = 1e-5  # of a block's normalizations, as the format defines it


class BlockWeights(NamedTuple):
    """Weights of a pre-norm transformer block of width D with H hidden values."""

    attention_gain: Array  # [D]
    attention_bias: Array  # [D]
    qkv: Array  # [D, 3 D]: queries, keys, values; heads side by side in each
    qkv_bias: Array  # [3 D]
    out: Array  # [D, D]
    out_bias: Array  # [D]
    mlp_gain: Array  # [D]
    mlp_bias: Array  # [D]
    up: Array  # [D, H]
    up_bias: Array  # [H]
    down: Array  # [H, D]
    down_bias: Array  # [D]


#: `BlockCache(batch, capacity, width)`: keys and values of a block's earlier positions, `length` of
#: them so far; `append(key_value)` adds [B, K, 2 D], `shorten(length)` forgets the last ones.
#: For one thread of the caller at a time.
BlockCache = _core.BlockCache


def linear(x: Array, weight: Array, bias: Array | None = None, *, threads: int = 1) -> Array:
    """[..., K] times [K, N], plus bias [N]: [..., N]."""
    return _core.exact_linear(_contiguous(x), _contiguous(weight), _optional(bias), threads)


def layer_norm(
    x: Array, gain: Array, bias: Array, epsilon: float = EPSILON, *, threads: int = 1
) -> Array:
    """Rows [..., D] with mean 0 and variance 1, times gain [D], plus bias [D]."""
    return _core.exact_layer_norm(_contiguous(x), gain, bias, epsilon, threads)


def attention(
    query: Array,
    key: Array,
    value: Array,
    visible: NDArray[np.int32] | None = None,
    *,
    threads: int = 1,
) -> Array:
    """Softmax attention, scaled by 1 / sqrt(d): [B, H, Nq, d].

    Query i sees the first visible[i] keys (int32 [Nq], 1 to Nk); all for None. A query gives the
    same bits when it is computed alone with just the keys that it sees.
    """
    arrays = (_contiguous(query), _contiguous(key), _contiguous(value))
    return _core.exact_attention(*arrays, visible, threads)


def block(
    x: Array,
    weights: BlockWeights,
    heads: int,
    visible: NDArray[np.int32] | None = None,
    *,
    context: Array | None = None,
    cache: BlockCache | None = None,
    threads: int = 1,
) -> Array:
    """y + down(gelu(up(norm(y)))) of y = x + out(attention(norm(x))): [B, N, D] to [B, N, D].

    A context [B, K, 2 D] has the keys and values of K positions before x, side by side. With a
    cache, x holds the N positions after those of the cache, which is extended by them. `visible`
    counts from the first position of context or cache. Bits equal those of a call with all
    positions and the same `visible` counts, and those of the single operations.
    """
    vectors = [w for w in weights if w.ndim == 1]
    matrices = [_contiguous(w) for w in weights if w.ndim == 2]
    return _core.exact_block(
        _contiguous(x), vectors, matrices, heads, visible, _optional(context), cache, threads
    )


def exp(x: Array, *, threads: int = 1) -> Array:
    """e^x: 0 for x < -64, e^88 for x > 88, relative error below 3e-7."""
    return _core.exact_exp(_contiguous(x), threads)


def log(x: Array, *, threads: int = 1) -> Array:
    """Natural logarithm; x below 2^-126 counts as 2^-126."""
    return _core.exact_log(_contiguous(x), threads)


def sigmoid(x: Array, *, threads: int = 1) -> Array:
    """1 / (1 + e^-x)."""
    return _core.exact_sigmoid(_contiguous(x), threads)


def gelu(x: Array, *, threads: int = 1) -> Array:
    """x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): GELU in its tanh form."""
    return _core.exact_gelu(_contiguous(x), threads)


def softplus(x: Array, *, threads: int = 1) -> Array:
    """log(1 + e^x)."""
    return _core.exact_softplus(_contiguous(x), threads)


def expand_half(weight: NDArray[np.float16]) -> Array:
    """Weights stored as float16, exactly. Raises ValueError unless all are finite."""
    return _finite(weight.astype(np.float32))


def expand_int8(weight: NDArray[np.int8], scale: NDArray[np.float16]) -> Array:
    """Weights int8 [K, N] times the scale [N] of their column, exactly: 8 + 11 bits fit in 24."""
    if weight.dtype != np.int8 or scale.dtype != np.float16:
        raise TypeError(f"int8 weights with float16 scales, not {weight.dtype}, {scale.dtype}")
    return _finite(weight.astype(np.float32) * scale.astype(np.float32))


def _finite(weight: Array) -> Array:
    if not np.isfinite(weight).all():
        raise ValueError("a weight is not a finite number")
    return weight


def _contiguous(x: Any) -> Array:
    """The array in C order; those of another type are left to the core's check."""
    return np.ascontiguousarray(x)


def _optional(x: Array | None) -> Array | None:
    return None if x is None else _contiguous(x)


def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    size: Array = np.float32(1) + np.abs(x)
    return np.divide(x, size, dtype=np.float32)


def concatenate(arrays: list[Array], axis: int) -> Array:
    """Arrays side by side along an axis."""
    return np.concatenate(arrays, axis)


def broadcast(x: Array, shape: tuple[int, ...]) -> Array:
    """x repeated to a shape."""
    return np.broadcast_to(x, shape)


def permute(x: Array, *axes: int) -> Array:
    """x with its axes in another order."""
    return x.transpose(axes)


def zeros(like: Array, shape: tuple[int, ...]) -> Array:
    """Zeros of a shape; `like` says where they lie for other implementations."""
    return np.zeros(shape, np.float32)
