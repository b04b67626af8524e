"""Plain Python reference of streams whose tables a network predicts (`csrc/entropy/streams.*`): same bytes, one stream at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.network import Layer
from tests.oracle.intnet import forward
from tests.oracle.laplace import INFLATIONS, SCALES, decode_integer, encode_integer
from tests.oracle.rans import RansDecoder, RansEncoder, clamp


def activation(before: Sequence[int], entry: int) -> int:
    """What a network sees of the values `before`: one of them, or below 0 the magnitude of a span."""
    if entry >= 0:
        value = before[-entry] if 0 < entry <= len(before) else 0
        return clamp(value, -64, 63) + 64
    far, length = divmod(-entry, 1 << 14)
    if far > len(before) or not 0 < length <= far:
        return 0
    first = len(before) - far
    total = sum(min(abs(value), 1023) for value in before[first : first + length])
    n = min(32 * total // length, (1 << 15) - 1) + 1
    octave = n.bit_length() - 1
    return min(8 * octave + (8 * n // (1 << octave)) % 8, 127)


def predict(
    layers: Sequence[Layer],
    side: NDArray[np.uint8],
    before: Sequence[int],
    back: Sequence[int] | None = None,
) -> tuple[int, int, int]:
    """Scale index, mean and zero inflation of a step with the side information (n,), behind the values `before`."""
    latest = range(1, len(layers[0].weight[0]) - len(side) + 1)
    inputs = [*side.tolist(), *(activation(before, e) for e in back or latest)]
    scale, mean, *rest = forward(layers, np.array([inputs], np.uint8))[0].tolist()
    inflation = clamp(rest[0], 0, INFLATIONS - 1) if rest else 0
    return clamp(scale, 0, SCALES - 1), clamp(mean, -(1 << 15), (1 << 15) - 1), inflation


def encode_stream(
    layers: Sequence[Layer],
    side: NDArray[np.uint8],
    values: Sequence[int],
    back: Sequence[Sequence[int]] | None = None,
) -> bytes:
    """The packet of `values`; `side` (steps, n) and `back` have a row for each of them."""
    coder = RansEncoder()
    for step, value in enumerate(values):
        given = back[step] if back else None
        scale, mean, inflation = predict(layers, side[step], values[:step], given)
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
