"""Codes many independent streams of integers at once, on the CPU or a CUDA device: the same bytes
everywhere.

A batch is a matrix (streams, steps) of which the first `counts[s]` integers of row s are coded
(default: all), each row as its own packet. Every integer has a Laplace table (`cdf_encode` of the
core). Its scale index and mean are arguments, or a network of `gvcodec.entropy.network` predicts
them from `side` (streams, steps, n), uint8 0…127, which both sides know, and from previous values
of its stream: its inputs after the n are those values, latest first, or those at the distances
`back` (streams, steps, m), 0 = none, as `clip(value, -64, 63) + 64`. An entry of `back` below 0,
-(far · 2^14 + length), is the mean magnitude of a span (`span`), by its logarithm
(`span_activation` of the core). Its outputs are scale index, mean in eighths and optionally zero
inflation 0…127 (about 2^(-i / 8) of the table's probability stays, the rest goes to the value
zero), clipped to the tables' range.

`backend`: "cpu", "cuda", or "emulated", the CUDA code on the processor, slowly. Arrays are NumPy's
throughout. Any bytes decode to some values; `whole` is False for packets that do not end with their
last value.

Raises `UsageError` for a missing back-end and for arrays whose shapes do not match, `RuntimeError`
if a device fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gvcodec import _core
from gvcodec.entropy.network import Layer
from gvcodec.errors import UsageError

#: `kSpanBits` of the core.
_SPAN_BITS = 14

#: Scale index of a mean absolute deviation of 64, and steps of it for a factor of two.
MOST_SCALE, _OCTAVE, _WIDEST = 63, 6, 64.0

Backend = Literal["cpu", "cuda", "emulated"]
DecodedStreams = tuple[NDArray[np.int32], NDArray[np.bool_]]


@cache
def cuda_missing() -> str | None:
    """Reason why there is no CUDA back-end here; None if there is one."""
    if not _core.CUDA:
        return "gvcodec was built without CUDA (pip install . -C cmake.define.GVCODEC_CUDA=ON)"
    if not _core.cuda_device():
        return "no CUDA device answers"
    return None


def scale_index(deviation: ArrayLike) -> NDArray[np.uint8]:
    """The scale (0…63) of the Laplace table for values of this mean absolute deviation."""
    index = MOST_SCALE + _OCTAVE * np.log2(np.maximum(deviation, 1e-3) / _WIDEST)
    scale: NDArray[np.uint8] = np.clip(np.rint(index), 0, MOST_SCALE).astype(np.uint8)
    return scale


def forward(
    layers: Sequence[Layer], activations: ArrayLike, backend: Backend = "cpu"
) -> NDArray[np.int32]:
    """The network's outputs (rows, outputs) for activations (rows, inputs), 0…127."""
    result: NDArray[np.int32] = _call(
        _core.intnet_forward, list(layers), _array(activations, np.uint8), backend
    )
    return result


def span(far: ArrayLike, length: ArrayLike) -> NDArray[np.int32]:
    """Entries of `back` for spans of `length` values, the first of them `far` before; 0 (none) if
    either is 0."""
    first, count = _array(far, np.int32), _array(length, np.int32)
    return np.where((first > 0) & (count > 0), -(first << _SPAN_BITS | count), 0).astype(np.int32)


def contexts(side: ArrayLike, values: ArrayLike, back: ArrayLike) -> NDArray[np.uint8]:
    """Inputs of a network for each value of one stream (steps): `side` (steps, n) and the values at
    the distances `back` (steps, m), (steps, n + m)."""
    arrays = _array(side, np.uint8), _array(values, np.int32), _array(back, np.int32)
    result: NDArray[np.uint8] = _call(_core.streams_contexts, *arrays)
    return result


def encode(
    values: ArrayLike,
    scale: ArrayLike,
    mean: ArrayLike,
    counts: ArrayLike | None = None,
    backend: Backend = "cpu",
) -> list[bytes]:
    """A packet for each row of `values` (int32), `scale` (0…63) and `mean` (int16, in eighths)."""
    rows = _array(values, np.int32)
    packets: list[bytes] = _call(
        _core.streams_encode,
        rows,
        _array(scale, np.uint8),
        _array(mean, np.int16),
        _counts(counts, rows),
        backend,
    )
    return packets


def decode(
    packets: Sequence[bytes],
    scale: ArrayLike,
    mean: ArrayLike,
    counts: ArrayLike | None = None,
    backend: Backend = "cpu",
) -> DecodedStreams:
    """Values (streams, steps), 0 after the counts, and `whole` (streams)."""
    rows = _array(scale, np.uint8)
    return _decode(
        _core.streams_decode,
        list(packets),
        rows,
        _array(mean, np.int16),
        _counts(counts, rows),
        backend,
    )


def encode_predicted(
    layers: Sequence[Layer],
    side: ArrayLike,
    values: ArrayLike,
    counts: ArrayLike | None = None,
    backend: Backend = "cpu",
    back: ArrayLike | None = None,
) -> list[bytes]:
    """As `encode`, with predicted tables."""
    rows = _array(values, np.int32)
    packets: list[bytes] = _call(
        _core.streams_encode_predicted,
        list(layers),
        _array(side, np.uint8),
        rows,
        _counts(counts, rows),
        backend,
        None if back is None else _array(back, np.int32),
    )
    return packets


def decode_predicted(
    layers: Sequence[Layer],
    side: ArrayLike,
    packets: Sequence[bytes],
    counts: ArrayLike | None = None,
    backend: Backend = "cpu",
    back: ArrayLike | None = None,
) -> DecodedStreams:
    """As `decode`, with predicted tables."""
    rows = _array(side, np.uint8)
    return _decode(
        _core.streams_decode_predicted,
        list(layers),
        rows,
        list(packets),
        _counts(counts, rows),
        backend,
        None if back is None else _array(back, np.int32),
    )


def _array(values: ArrayLike, kind: type[np.generic]) -> NDArray[Any]:
    """A dense array of this kind. Values out of range are refused, not wrapped."""
    numbers = np.asarray(values)
    if numbers.dtype == kind:
        return np.ascontiguousarray(numbers)
    if numbers.dtype.kind not in "iub":
        raise UsageError(f"whole numbers are needed, not {numbers.dtype}", code="entropy-input")
    limits = np.iinfo(kind)  # type: ignore[type-var]
    if numbers.size and (numbers.min() < limits.min or numbers.max() > limits.max):
        raise UsageError(f"values are {limits.min}…{limits.max}", code="entropy-input")
    return np.ascontiguousarray(numbers, kind)


def _counts(counts: ArrayLike | None, rows: NDArray[Any]) -> NDArray[Any]:
    if counts is None:
        if rows.ndim < 2:
            raise UsageError("a batch has streams and steps", code="entropy-input")
        counts = np.full(rows.shape[0], rows.shape[1], np.int32)
    return _array(counts, np.int32)


def _decode(function: Callable[..., Any], *arguments: Any) -> DecodedStreams:
    values, whole = _call(function, *arguments)
    return values, whole.astype(np.bool_)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """One of the arguments is the back-end."""
    if "cuda" in [a for a in arguments if isinstance(a, str)] and (reason := cuda_missing()):
        raise UsageError(reason, code="entropy-input")
    try:
        return function(*arguments)
    except (TypeError, ValueError) as error:  # TypeError: an array of another number of dimensions
        raise UsageError(
            f"{function.__name__}: {str(error).splitlines()[0]}", code="entropy-input"
        ) from error
