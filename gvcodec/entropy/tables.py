"""Codes integers by your own tables: cumulative frequencies in arrays, as in CompressAI and
constriction.

    edges = edges_of(probabilities)                 # (T, K + 1) from (T, K), whole numbers
    data = encode_symbols(symbols, edges, index)    # symbol n by row index[n]
    assert (decode_symbols(data, edges, index) == symbols).all()

A row of `edges` rises from 0 to 2^precision; symbol k takes edge[k] to edge[k + 1]. A shorter table
repeats 2^precision up to the last column. The coder is rANS with a wide state (`csrc/entropy/
tables.hpp`): below 8 bytes + 0.01 % above the ideal code length at 16 bits of precision. Whole
numbers choose the bytes, so they are the same on every machine; both sides need the same edges, but
floats may round differently elsewhere: send edges, or compute them from integers.

Raises `UsageError` for arrays whose shapes do not match, `DamagedStreamError` for invalid bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gvcodec import _core
from gvcodec.errors import DamagedStreamError, UsageError

#: Allowed bits of precision of tables, and the default.
MOST_PRECISION, USUAL_PRECISION = 24, 16
_NOT_WHOLE = "coded symbols do not end with their last one"


def edges_of(probabilities: ArrayLike, precision: int = USUAL_PRECISION) -> NDArray[np.uint32]:
    """Edges (T, K + 1) of tables of K symbols each, in proportion to `probabilities` (T, K) or
    (K,), which are not negative. Every symbol has at least one part of 2^precision."""
    weights = np.atleast_2d(np.asarray(probabilities, np.float64))
    count = weights.shape[1]
    if not 1 <= precision <= MOST_PRECISION or not 0 < count <= 1 << precision:
        raise UsageError(
            f"no tables of {count} symbols with {precision} bits of precision", code="entropy-input"
        )
    total = weights.sum(1, keepdims=True)
    if (
        weights.ndim != 2
        or (weights < 0).any()
        or not np.isfinite(total).all()
        or (total <= 0).any()
    ):
        raise UsageError(
            "probabilities are numbers from 0 on, some of them above it", code="entropy-input"
        )
    share = np.cumsum(weights, 1) / total
    free_range = (1 << precision) - count  # apart from the one part of every symbol
    inner = np.floor(share * free_range + 0.5).astype(np.int64) + np.arange(1, count + 1)
    inner[:, -1] = 1 << precision
    return np.concatenate([np.zeros((len(weights), 1)), inner], 1).astype(np.uint32)


def encode_symbols(
    symbols: ArrayLike,
    edges: ArrayLike,
    index: ArrayLike | None = None,
    precision: int = USUAL_PRECISION,
) -> bytes:
    """The bytes of `symbols` (N,), each 0 … K - 1 of its table: row `index` (N,) of `edges`
    (T, K + 1); without `index` the only row, or row n for symbol n."""
    values = _whole(symbols, np.int32, 1)
    tables = _whole(edges, np.uint32, 2)
    try:
        coded: bytes = _core.table_encode(
            values, tables, _index(index, len(values), len(tables)), precision
        )
    except (TypeError, ValueError) as error:
        raise UsageError(str(error).splitlines()[0], code="entropy-input") from None
    return coded


def decode_symbols(
    data: bytes,
    edges: ArrayLike,
    index: ArrayLike | int,
    precision: int = USUAL_PRECISION,
) -> NDArray[np.int32]:
    """The symbols (N,) of `data`. `index` (N,), or N if `edges` has one row, or a row for each."""
    tables = _whole(edges, np.uint32, 2)
    rows = _index(None, index, len(tables)) if isinstance(index, int) else _index(index, -1, 0)
    try:
        symbols, whole = _core.table_decode(bytes(data), tables, rows, precision)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error).splitlines()[0], code="entropy-input") from None
    if not whole:
        raise DamagedStreamError(_NOT_WHOLE, code="entropy")
    result: NDArray[np.int32] = symbols
    return result


class SymbolDecoder:
    """Decodes bytes of `encode_symbols` in several calls, for models whose tables depend on earlier
    symbols; the encoder codes all symbols at once, each by its table."""

    def __init__(self, data: bytes, precision: int = USUAL_PRECISION) -> None:
        if not 1 <= precision <= MOST_PRECISION:
            raise UsageError(f"precision is 1…{MOST_PRECISION} bits", code="entropy-input")
        self._decoder = _core.SymbolDecoder(bytes(data), precision)

    def decode(self, edges: ArrayLike, index: ArrayLike) -> NDArray[np.int32]:
        """The next symbols (N,), by rows `index` (N,) of `edges` (T, K + 1); of any bytes."""
        tables, rows = _whole(edges, np.uint32, 2), _whole(index, np.int32, 1)
        try:
            symbols: NDArray[np.int32] = self._decoder.decode(tables, rows)
        except (TypeError, ValueError) as error:
            raise UsageError(str(error).splitlines()[0], code="entropy-input") from None
        return symbols

    def finish(self) -> None:
        """Check the end after the last symbol. Raises `DamagedStreamError` if bytes remain."""
        if not self._decoder.finished:
            raise DamagedStreamError(_NOT_WHOLE, code="entropy")


def _index(index: ArrayLike | None, count: int, tables: int) -> NDArray[np.int32]:
    if index is not None:
        numbers: NDArray[np.int32] = _whole(index, np.int32, 1)
        return numbers
    if tables not in (1, count):
        raise UsageError(
            f"{tables} tables for {count} symbols: give the index of each", code="entropy-input"
        )
    return np.zeros(count, np.int32) if tables == 1 else np.arange(count, dtype=np.int32)


def _whole(values: ArrayLike, kind: type[np.generic], dimensions: int) -> NDArray[Any]:
    """A dense array of this kind and number of dimensions. Values out of range are refused."""
    numbers = np.asarray(values)
    if numbers.ndim != dimensions or numbers.dtype.kind not in "iub":
        raise UsageError(
            f"whole numbers in {dimensions} dimensions are needed", code="entropy-input"
        )
    limits = np.iinfo(kind)  # type: ignore[type-var]
    if numbers.size and (int(numbers.min()) < limits.min or int(numbers.max()) > limits.max):
        raise UsageError(f"values are {limits.min}…{limits.max}", code="entropy-input")
    return np.ascontiguousarray(numbers, kind)
