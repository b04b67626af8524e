"""What the entropy model of base tokens knows beside the values of its own stream, in integers
(NumPy).

K tokens of C integers a window go one after the other. Side activations of each integer (uint8,
0…127): which channel and which token it is, the same integer in the frame before and how large its
whole token was, the integer memory (a running mean of magnitudes since the keyframe), how much the
frame before held in all, `q` and the count of tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Values before it that the network sees of its stream, latest first: the token before and what is
#: there of its own.
REACH = 16
#: Inputs besides those that tell token and channel.
_OTHERS = 6
#: Weight of a new frame in the memory is 1 / 2^_DECAY; magnitudes count up to _LARGE, in steps of 1
#: / _UNIT.
_DECAY, _LARGE, _UNIT = 2, 31, 32

Integers = NDArray[np.int32]


def side_count(tokens: int, channels: int) -> int:
    """Side activations of an integer."""
    return tokens + channels + _OTHERS


def side(last: Integers, level: Integers, q: int, counts: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(N, K·C, n) for the tokens of the frame before (N, K, C), the memory (N, K, C), and the
    counts of tokens (N,)."""
    n, k, c = last.shape
    out = np.zeros((n, k, c, side_count(k, c)), np.uint8)
    out[:, :, np.arange(c), np.arange(c)] = 127
    out[:, np.arange(k), :, c + np.arange(k)] = 127
    size = np.abs(last)
    rest = out[..., k + c :]
    rest[..., 0] = np.clip(8 * last, -64, 63) + 64
    rest[..., 1] = np.minimum(level >> 1, 127)
    rest[..., 2] = np.minimum(4 * size.sum(2), 127)[..., None]
    rest[..., 3] = min(int(size.sum()) * 4 // n, 127)
    rest[..., 4] = 2 * q
    rest[..., 5] = np.minimum(4 * np.asarray(counts)[:, None, None], 127)
    return out.reshape(n, k * c, -1)


def remembered(level: Integers, tokens: Integers) -> Integers:
    """The memory after a frame of `tokens` (N, K, C)."""
    size = np.minimum(np.abs(tokens), _LARGE) * _UNIT
    updated: Integers = (level + ((size - level + (1 << _DECAY - 1)) >> _DECAY)).astype(np.int32)
    return updated
