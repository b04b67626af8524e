"""Transformer operations whose bits are the same on every machine (Exact arithmetic)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from conformance.decoder.wire import require

F = np.float32
LIMIT = F(2.0**96)
LOW, HIGH = F(-64), F(88)
INVERSE_LN2, ROUNDER = F(1.44269502), F(12582912)
LN2 = F(0.693359375), F(-0.000212194442)
ROOT_HALF, ONE = np.uint32(0x3F3504F3), np.uint32(0x3F800000)
EPSILON = F(1e-5)

_quiet = np.errstate(all="ignore")  # overflow and NaN are defined


def limit(x: np.ndarray) -> np.ndarray:
    y = np.where(x < LIMIT, x, LIMIT)
    return np.where(y > -LIMIT, y, -LIMIT)


def horner(x: np.ndarray, first: int, *others: int) -> np.ndarray:
    """Coefficients 1 / n."""
    p = np.full_like(x, F(1) / F(first))
    for n in others:
        p = p * x + F(1) / F(n)
    return p


@_quiet
def exp(x: np.ndarray) -> np.ndarray:
    y = np.where(x > LOW, x, LOW)
    y = np.where(y < HIGH, y, HIGH)
    n = (y * INVERSE_LN2 + ROUNDER) - ROUNDER
    r = (y - n * LN2[0]) - n * LN2[1]
    p = horner(r, 720, 120, 24, 6, 2, 1, 1)
    exponent = n.astype(np.int32) << 23
    return np.where(x >= LOW, (p.view(np.int32) + exponent).view(F), F(0))


@_quiet
def log(x: np.ndarray) -> np.ndarray:
    low, high = np.finfo(F).tiny, np.finfo(F).max
    y = np.where(x > low, x, low)
    y = np.where(y < high, y, high)
    e = ((y.view(np.uint32) - ROOT_HALF + ONE) >> 23).astype(np.int32) - 127
    m = (y.view(np.int32) - (e << 23)).view(F)
    s = (m - F(1)) / (m + F(1))
    tail = e.astype(F) * LN2[1] + (s + s) * horner(s * s, 9, 7, 5, 3, 1)
    return e.astype(F) * LN2[0] + tail


@_quiet
def sigmoid(x: np.ndarray) -> np.ndarray:
    e = exp(np.where(x < 0, x, F(0) - x))
    return np.where(x < 0, e, F(1)) / (F(1) + e)


@_quiet
def gelu(x: np.ndarray) -> np.ndarray:
    u = (x + ((x * x) * x) * F(0.044715)) * F(1.59576917)
    return limit(x * sigmoid(u))


@_quiet
def softplus(x: np.ndarray) -> np.ndarray:
    e = exp(np.where(x < 0, x, F(0) - x))
    s = e / (F(2) + e)
    p = horner(s * s, 15, 13, 11, 9, 7, 5, 3, 1)
    return limit(np.where(x > 0, x, F(0)) + (s + s) * p)


def ordered(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Σ_k of x [..., M, K] and weight [..., K, N]."""
    y = np.zeros(
        np.broadcast_shapes(x.shape[:-2], weight.shape[:-2]) + (x.shape[-2], weight.shape[-1]), F
    )
    for k in range(x.shape[-1]):
        y += x[..., :, k, None] * weight[..., k, None, :]
    return y


def sum16(v: np.ndarray) -> np.ndarray:
    """Along the last axis, which stays with length 1."""
    padding = [(0, 0)] * (v.ndim - 1) + [(0, -v.shape[-1] % 16)]
    groups = np.pad(v, padding).reshape(*v.shape[:-1], -1, 16)
    lanes = np.zeros(groups.shape[:-2] + (16,), F)
    for i in range(groups.shape[-2]):
        lanes += groups[..., i, :]
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes


@_quiet
def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x [..., K], weight [K, N], bias [N]."""
    y = ordered(x.reshape(-1, x.shape[-1]), weight).reshape(*x.shape[:-1], -1)
    return limit(y if bias is None else y + bias)


@_quiet
def norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, epsilon: np.float32) -> np.ndarray:
    width = F(x.shape[-1])
    c = x - sum16(x) / width
    r = F(1) / np.sqrt(sum16(c * c) / width + epsilon)
    return limit((c * r) * gain + bias)


@_quiet
def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, visible: list[int]) -> np.ndarray:
    """q [..., queries, d], k and v [..., keys, d]; query i sees the first visible[i] keys."""
    scale = F(1) / np.sqrt(F(q.shape[-1]))
    scores = limit(ordered(q, np.swapaxes(k, -1, -2)) * scale)  # [..., queries, keys]
    out = np.empty(q.shape[:-1] + v.shape[-1:], F)
    for i, n in enumerate(visible):
        s = scores[..., i, :n]
        p = exp(s - s.max(-1, keepdims=True))
        total = ordered(p[..., None, :], limit(v[..., :n, :]))[..., 0, :]
        out[..., i, :] = limit(total * (F(1) / sum16(p)))
    return out


class Block(NamedTuple):
    """Width D, hidden width H."""

    gain1: np.ndarray  # [D]
    bias1: np.ndarray  # [D]
    qkv: np.ndarray  # [D, 3 D]
    qkv_bias: np.ndarray  # [3 D]
    out: np.ndarray  # [D, D]
    out_bias: np.ndarray  # [D]
    gain2: np.ndarray  # [D]
    bias2: np.ndarray  # [D]
    up: np.ndarray  # [D, H]
    up_bias: np.ndarray  # [H]
    down: np.ndarray  # [H, D]
    down_bias: np.ndarray  # [D]


def block(x: np.ndarray, w: Block, heads: int, visible: list[int] | None = None) -> np.ndarray:
    """x [B, N, D]; without `visible` each row sees all."""
    batch, length, width = x.shape
    qkv = linear(norm(x, w.gain1, w.bias1, EPSILON), w.qkv, w.qkv_bias)
    q, k, v = qkv.reshape(batch, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    mixed = attention(q, k, v, visible or [length] * length)  # [B, heads, N, d]
    y = x + linear(mixed.swapaxes(1, 2).reshape(x.shape), w.out, w.out_bias)
    hidden = gelu(linear(norm(y, w.gain2, w.bias2, EPSILON), w.up, w.up_bias))
    return y + linear(hidden, w.down, w.down_bias)


def half(weight: np.ndarray) -> np.ndarray:
    """Stored float16."""
    require(np.isfinite(weight).all(), "a weight is not a finite number")
    return weight.astype(F)


def scaled(q: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Stored int8 [K, N] with float16 scales [N]."""
    return q.astype(F) * half(scale)
