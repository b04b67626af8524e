"""What the entropy model of base tokens knows beside the values of its own stream, in integers
(NumPy).

K tokens of C integers a window go one after the other. Side activations of each integer (uint8,
0…127): which channel and which token it is, the same token in the frame before, the integer memory
(a running mean of magnitudes since the keyframe) of the integer, its token, the token of the region
around it and the whole window, how much the frame before held in all, `q` and the count of tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Values before it that the network sees of its stream, latest first: the token before and what is
#: there of its own.
REACH = 16
#: Channels of a token that mean motion at first: its own step, and those of four quarters.
STEPS = 10
#: Inputs besides those that tell channel and token, and the token in the frame before.
_OTHERS = 13
#: Which of them tell of the frame before, and which of the memory.
FRAME_BEFORE, MEMORY = (0, 2, 3, 7, 12), (1, 6, 8, 9, 10, 11)
#: Weight of a new frame in the memory is 1 / 2^_DECAY; magnitudes count up to _LARGE, in steps of 1
#: / _UNIT.
_DECAY, _LARGE, _UNIT = 2, 31, 32

Integers = NDArray[np.int32]


def side_count(tokens: int, channels: int) -> int:
    """Side activations of an integer."""
    return tokens + 2 * channels + _OTHERS


def side(last: Integers, level: Integers, q: int, counts: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(N, K·C, n) for the tokens of the frame before (N, K, C), the memory (N, K, C), and the
    counts of tokens (N,)."""
    n, k, c = last.shape
    out = np.zeros((n, k, c, side_count(k, c)), np.uint8)
    out[:, :, np.arange(c), np.arange(c)] = 127
    out[:, np.arange(k), :, c + np.arange(k)] = 127
    out[..., k + c : k + 2 * c] = (np.clip(4 * last, -64, 63) + 64)[:, :, None, :]
    size = np.abs(last)
    rest = out[..., k + 2 * c :]
    rest[..., 0] = np.clip(8 * last, -64, 63) + 64
    rest[..., 1] = np.minimum(level >> 1, 127)
    rest[..., 2] = np.minimum(4 * size.sum(2), 127)[..., None]
    rest[..., 3] = min(int(size.sum()) * 4 // n, 127)
    rest[..., 4] = 2 * q
    rest[..., 5] = np.minimum(4 * np.asarray(counts)[:, None, None], 127)
    rest[..., 6] = loud(level)
    rest[..., 7] = loud(size)
    rest[..., 8] = loud(level.sum(2))[..., None]
    rest[..., 9] = loud(level[:, np.arange(k) // 2, :2].sum(2))[..., None]
    rest[..., 10] = loud(level[..., :STEPS].sum((1, 2)))[:, None, None]
    rest[..., 11] = loud(level[..., STEPS:].sum((1, 2)))[:, None, None]
    rest[..., 12] = loud(size[..., :STEPS].sum((1, 2)))[:, None, None]
    return out.reshape(n, k * c, -1)


def loud(size: NDArray[np.integer]) -> NDArray[np.integer]:
    """Eight steps an octave of `size` + 1, 127 at most: the place of the first bit, then the three behind it."""
    size = np.minimum(size, (1 << 16) - 2) + 1
    octave = np.frexp(size.astype(np.float64))[1] - 1  # exact: the exponent of a whole number
    found: NDArray[np.integer] = np.minimum(8 * octave + ((size << 3 >> octave) & 7), 127)
    return found


def remembered(level: Integers, tokens: Integers) -> Integers:
    """The memory after a frame of `tokens` (N, K, C)."""
    size = np.minimum(np.abs(tokens), _LARGE) * _UNIT
    updated: Integers = (level + ((size - level + (1 << _DECAY - 1)) >> _DECAY)).astype(np.int32)
    return updated
