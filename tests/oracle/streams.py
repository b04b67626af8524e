"""Plain Python reference of streams whose tables a network predicts (`csrc/entropy/streams.*`): same bytes, one stream at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.network import Layer
from tests.oracle.intnet import forward
from tests.oracle.laplace import INFLATIONS, SCALES, decode_integer, encode_integer
from tests.oracle.rans import RansDecoder, RansEncoder, clamp


def predict(
    layers: Sequence[Layer], side: NDArray[np.uint8], before: Sequence[int]
) -> tuple[int, int, int]:
    """Scale index, mean and zero inflation of a step with the side information (n,), behind the values `before`."""
    history = len(layers[0].weight[0]) - len(side)
    latest = [*reversed(before[-history:]), *[0] * history][:history] if history else []
    inputs = [*side.tolist(), *(clamp(value, -64, 63) + 64 for value in latest)]
    scale, mean, *rest = forward(layers, np.array([inputs], np.uint8))[0].tolist()
    inflation = clamp(rest[0], 0, INFLATIONS - 1) if rest else 0
    return clamp(scale, 0, SCALES - 1), clamp(mean, -(1 << 15), (1 << 15) - 1), inflation


def encode_stream(layers: Sequence[Layer], side: NDArray[np.uint8], values: Sequence[int]) -> bytes:
    """The packet of `values`; `side` (steps, n) has a row for each of them."""
    coder = RansEncoder()
    for step, value in enumerate(values):
        scale, mean, inflation = predict(layers, side[step], values[:step])
        encode_integer(coder, scale, mean, value, inflation)
    return coder.finish()


def decode_stream(
    layers: Sequence[Layer], side: NDArray[np.uint8], data: bytes, count: int
) -> tuple[list[int], bool]:
    """The first `count` values of a packet, and whether it ended with them."""
    coder, values = RansDecoder(data), list[int]()
    for step in range(count):
        values.append(decode_integer(coder, *predict(layers, side[step], values)))
    return values, coder.finished()
