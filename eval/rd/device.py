"""The stream coder and the integer network on a device, checked and timed against one core of the
processor: `python -m eval speed --device cuda`.

Every row is an operation with its size, whether all bytes and values are equal, and processor time
over device time: the median of interleaved rounds, copies to the device and back included.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from eval.tools import markdown
from gvcodec import _core
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer

_STEPS, _SIDE, _HISTORY = 128, 24, 8
_HIDDEN = (64, 64)
_STREAMS = 8192
Run = Callable[[streams.Backend], Any]


def predictor(rng: np.random.Generator, sizes: Sequence[int], outputs: int = 3) -> list[Layer]:
    """A random network of these layers and 2 or 3 `outputs`, most of which are scales, means and
    inflations that tables are made for."""
    layers = []
    for inputs, count in pairwise(sizes):
        weight = rng.integers(-128, 128, (count, inputs)).astype(np.int8)
        bias = rng.integers(-2000, 2000, count).astype(np.int32)
        # About 60 for a sum of its usual size.
        multiplier = np.full(count, int(60 * 2**16 / (5000 * inputs**0.5)) + 1, np.int32)
        layers.append(Layer(weight, bias, multiplier, 16))
    weight = rng.integers(-128, 128, (outputs, sizes[-1])).astype(np.int8)
    spread = 4000 * sizes[-1] ** 0.5
    multiplier = (np.array([20, 60, 20])[:outputs] * 2**16 / spread).astype(np.int32) + 1
    bias = np.array([30 * spread / 20, 0, spread], np.int32)[:outputs]
    layers.append(Layer(weight, bias, multiplier, 16, -(2**15), 2**15 - 1))
    return layers


def operations(count: int) -> dict[str, Run]:
    """The compared operations, by name with size, on `count` streams."""
    rng = np.random.default_rng(1)
    network = predictor(rng, [_SIDE + _HISTORY, *_HIDDEN])
    shape = count, _STEPS
    scale = rng.integers(20, 50, shape).astype(np.uint8)
    mean = rng.integers(-400, 400, shape).astype(np.int16)
    noise = rng.laplace(0, 64 * 2 ** ((scale.astype(float) - 63) / 6))
    values = np.round(mean / 8 + noise).astype(np.int32)
    side = rng.integers(0, 128, (*shape, _SIDE)).astype(np.uint8)
    rows = rng.integers(0, 128, (count * _STEPS, _SIDE + _HISTORY)).astype(np.uint8)
    packets = streams.encode(values, scale, mean)
    predicted = streams.encode_predicted(network, side, values)
    batch = f"{count} × {_STEPS}"
    return {
        f"network, {len(rows)} rows": lambda on: streams.forward(network, rows, on),
        f"encode, {batch}": lambda on: streams.encode(values, scale, mean, None, on),
        f"decode, {batch}": lambda on: streams.decode(packets, scale, mean, None, on),
        f"encode predicted, {batch}": lambda on: streams.encode_predicted(
            network, side, values, None, on
        ),
        f"decode predicted, {batch}": lambda on: streams.decode_predicted(
            network, side, predicted, None, on
        ),
    }


def same(left: Any, right: Any) -> bool:
    """Whether two results, or all parts of them, are equal."""
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(np.array_equal(left, right))


def measure(
    rounds: int, backend: streams.Backend = "cuda", count: int = _STREAMS
) -> tuple[str, bool]:
    """(Markdown, whether all results are equal). Raises UsageError without a device."""
    rows = []
    for name, run in operations(count).items():
        equal, ratios = same(run("cpu"), run(backend)), []
        for _ in range(rounds):
            began = time.perf_counter()
            run("cpu")
            between = time.perf_counter()
            run(backend)
            ratios.append((between - began) / (time.perf_counter() - between))
        ratio = f"{statistics.median(ratios):.3g}"
        rows.append([name, "equal" if equal else "DIFFERENT", ratio])
    header = ["operation", "results", "processor time / device time"]
    text = f"{_core.cuda_device() or backend}\n\n{markdown(header, rows)}"
    return text, all(row[1] == "equal" for row in rows)
