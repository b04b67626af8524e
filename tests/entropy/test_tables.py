"""Symbols by tables of one's own: they come back, in the bytes that constriction takes too."""

import constriction
import numpy as np
import pytest

from gvcodec.entropy import SymbolDecoder, decode_symbols, edges_of, encode_symbols
from gvcodec.errors import DamagedStreamError, UsageError
from tests.errors import raises


def drawn(count: int, tables: int = 5, symbols: int = 40, seed: int = 0):
    """Probabilities (T, K), symbols drawn from them, and their rows."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(symbols, 0.3), tables)
    index = rng.integers(0, tables, count)
    values = (rng.random(count)[:, None] > np.cumsum(p, 1)[index]).sum(1).clip(0, symbols - 1)
    return p, values.astype(np.int32), index.astype(np.int32)


def ideal(edges: np.ndarray, values: np.ndarray, index: np.ndarray, precision: int) -> float:
    size = edges[index, values + 1].astype(float) - edges[index, values]
    return float(-np.log2(size / (1 << precision)).sum() / 8)


@pytest.mark.parametrize("precision", [8, 12, 16, 24])
@pytest.mark.parametrize("count", [0, 1, 7, 3000])
def test_symbols_come_back_in_the_bytes_that_they_are_worth(precision: int, count: int) -> None:
    p, values, index = drawn(count)
    edges = edges_of(p, precision)
    assert (np.diff(edges.astype(np.int64)) >= 1).all() and (edges[:, -1] == 1 << precision).all()
    data = encode_symbols(values, edges, index, precision)
    assert np.array_equal(decode_symbols(data, edges, index, precision), values)
    assert len(data) <= ideal(edges, values, index, precision) * 1.0005 + 8


def test_tables_of_different_lengths_and_one_for_each() -> None:
    edges = np.array([[0, 1 << 15, 1 << 16, 1 << 16], [0, 1, 2, 1 << 16]], np.uint32)
    values = np.array([1, 0, 2, 1], np.int32)
    index = np.array([0, 0, 1, 1], np.int32)
    assert decode_symbols(encode_symbols(values, edges, index), edges, index).tolist() == [
        1,
        0,
        2,
        1,
    ]
    with pytest.raises(UsageError, match="a symbol is in its table"):
        encode_symbols([2], edges, [0])
    each = edges[[0, 1]]
    assert decode_symbols(encode_symbols([1, 2], each), each, 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("edges", "index"),
    [
        ([[0, 5, 3, 65536]], [0]),
        ([[1, 65536]], [0]),
        ([[0, 65535]], [0]),
        ([[0, 65536, 65536, 1]], [0]),
        ([[0, 65536]], [1]),
        ([[0, 65536]], [-1]),
        ([[0.0, 65536.0]], [0]),
        ([0, 65536], [0]),
    ],
)
def test_tables_that_are_none_are_refused(edges, index) -> None:
    with pytest.raises(UsageError):
        encode_symbols([0], edges, index)
    with pytest.raises(UsageError):
        decode_symbols(b"abc", edges, index)


def test_bytes_that_end_elsewhere_are_damaged() -> None:
    p, values, index = drawn(200)
    edges = edges_of(p)
    data = encode_symbols(values, edges, index)
    for other in (data[:-1], data + b"x"):
        with pytest.raises(DamagedStreamError):
            decode_symbols(other, edges, index)


@pytest.mark.parametrize("count", [2000, 50000])
def test_sizes_are_those_of_constriction(count: int) -> None:
    p, values, _ = drawn(count, tables=1)
    edges = edges_of(p, 24)
    coder = constriction.stream.stack.AnsCoder()
    family = constriction.stream.model.Categorical(p[0], perfect=False)
    coder.encode_reverse(values, family)
    theirs = coder.get_compressed().nbytes
    ours = len(encode_symbols(values, edges, precision=24))
    assert abs(ours - theirs) <= 0.001 * theirs + 4


def test_tables_that_follow_from_symbols_before_decode_in_several_calls() -> None:
    counts, seen, rows = np.ones((2, 4), np.int64), [1, 3, 3, 3, 0, 3, 3, 2, 3], []
    for n, symbol in enumerate(seen):
        rows.append(edges_of(counts)[n % 2])
        counts[n % 2, symbol] += 8
    data = encode_symbols(seen, np.stack(rows))
    counts, decoder = np.ones((2, 4), np.int64), SymbolDecoder(data)
    for n, wanted in enumerate(seen):
        with pytest.raises(DamagedStreamError, match="do not end with"):
            decoder.finish()
        symbol = int(decoder.decode(edges_of(counts), [n % 2])[0])
        assert symbol == wanted
        counts[n % 2, symbol] += 8
    decoder.finish()
    with pytest.raises(UsageError, match="an index names a table"):
        decoder.decode(edges_of(counts), [2])
    with raises(UsageError, "entropy-input"):
        SymbolDecoder(data, 25)
