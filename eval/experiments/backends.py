"""Holds a back-end of `gvcodec.entropy.streams` against the processor: equal results, and how many
times as fast.

    python -m eval.experiments.backends [--backend cuda] [--streams 8192]

Prints a row for each operation: its size, whether every byte and value is the same, and time on one
core of the processor over that of the back-end, as the median of interleaved rounds, copies to the
device and back included. Exit code 1 when anything differs, 2 without such a back-end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gvcodec import _core
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import UsageError

_STEPS, _SIDE, _HISTORY = 128, 24, 8
_HIDDEN = (64, 64)
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
    """What is compared, by name with size, for `count` streams."""
    rng = np.random.default_rng(1)
    network = predictor(rng, [_SIDE + _HISTORY, *_HIDDEN])
    shape = count, _STEPS
    scale = rng.integers(20, 50, shape).astype(np.uint8)
    mean = rng.integers(-400, 400, shape).astype(np.int16)
    values = np.round(mean / 8 + rng.laplace(0, 64 * 2 ** ((scale.astype(float) - 63) / 6))).astype(
        np.int32
    )
    side = rng.integers(0, 128, (*shape, _SIDE)).astype(np.uint8)
    rows = rng.integers(0, 128, (count * _STEPS, _SIDE + _HISTORY)).astype(np.uint8)
    packets = streams.encode(values, scale, mean)
    predicted = streams.encode_predicted(network, side, values)
    batch = f"{count} × {_STEPS}"
    return {
        f"network, {len(rows)} rows": lambda backend: streams.forward(network, rows, backend),
        f"encode, {batch}": lambda backend: streams.encode(values, scale, mean, None, backend),
        f"decode, {batch}": lambda backend: streams.decode(packets, scale, mean, None, backend),
        f"encode predicted, {batch}": lambda backend: streams.encode_predicted(
            network, side, values, None, backend
        ),
        f"decode predicted, {batch}": lambda backend: streams.decode_predicted(
            network, side, predicted, None, backend
        ),
    }


def same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray):
        return np.array_equal(left, right)
    return len(left) == len(right) and all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(left, right, strict=True)
    )


def compare(run: Run, backend: streams.Backend, rounds: int) -> tuple[bool, float]:
    """Are the results equal, and processor time over back-end time."""
    equal = same(run("cpu"), run(backend))
    ratios = []
    for _ in range(rounds):
        seconds = []
        for machine in ("cpu", backend):
            start = time.perf_counter()
            run(machine)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return equal, statistics.median(ratios)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Hold a back-end of the stream coder against the processor."
    )
    parser.add_argument("--backend", choices=("cuda", "emulated"), default="cuda")
    parser.add_argument("--streams", type=int, default=8192, help="streams of a batch")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved measurements")
    options = parser.parse_args(arguments)
    if options.backend == "cuda" and (reason := streams.cuda_missing()):
        print(f"gvcodec: {reason}", file=sys.stderr)
        return UsageError.exit_code
    print(_core.cuda_device() or options.backend)
    print("| operation | results | processor time / back-end time |\n| --- | --- | ---: |")
    good = True
    for name, run in operations(options.streams).items():
        equal, ratio = compare(run, options.backend, options.rounds)
        good &= equal
        print(f"| {name} | {'equal' if equal else 'DIFFERENT'} | {ratio:.3g} |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
