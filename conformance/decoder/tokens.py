"""Tokens of GVC1D's paper form (docs/spec/gvc1d-paper.md): exact, without its pictures."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from conformance.decoder.entropy import Rans, laplace
from conformance.decoder.header import Header
from conformance.decoder.models import Tensors
from conformance.decoder.wire import Bytes, require

TOKENS, CHANNELS, SYMBOLS, CLASSES = 64, 16, 16, 10
#: By token and channel.
Table = list[list[int]]


class WideRans(Rans):
    """rANS with a state of 64 bits."""

    def _refill(self) -> None:
        while self.x < 1 << 40 and self.at < len(self.data):
            self.x = self.x << 8 | self.data[self.at]
            self.at += 1


class TokenStream:
    """Frames of a GOP after another. `usual`, `distance`: tables of the weights, by q."""

    def __init__(self, usual: list[Table], distance: list[Table], windows: int) -> None:
        self.usual, self.distance, self.windows = usual, distance, windows
        self.last: list[Table] | None = None
        self.counts: list[list[int]] = []
        self.head = 0, 0  # flags and q of the last frame

    def decode(self, payload: bytes, key: bool) -> list[Table]:
        """Integers of each window."""
        if key:
            self.last, self.counts = None, first_counts()
        read = Bytes(payload)
        flags, q = read.number(1), read.number(1)
        require(flags <= (self.last is not None) and q < 64, "head of a frame of tokens")
        coder = WideRans(read.take(read.var(0, 1 << 26)))
        symbols = self._symbols(coder, flags, q)
        coder.close()
        tokens = [[[0] * CHANNELS for _ in range(TOKENS)] for _ in range(self.windows)]
        for t, w, c in ((t, w, c) for t in range(TOKENS) for w in range(self.windows)
                        for c in range(CHANNELS)):  # fmt: skip
            s = symbols[t][w][c]
            residual = (s + 1) // 2 if s & 1 else -(s // 2)
            if s == SYMBOLS - 1:
                residual = read.svar(2046)
                require(abs(residual) >= 8, "a far residual")
            predicted = self.last[w][t][c] if flags and self.last else self.usual[q][t][c]
            tokens[w][t][c] = predicted + residual
            require(abs(tokens[w][t][c]) <= 1023, "an integer of a token")
        require(read.at == len(payload), "bytes after a frame of tokens")
        self.last, self.head = tokens, (flags, q)
        return tokens

    def _symbols(self, coder: WideRans, flags: int, q: int) -> list[list[list[int]]]:
        """By token, window, channel."""
        lively, found = [1] * self.windows, []
        for distances in self.distance[q]:
            edges = [edges_of(counts) for counts in self.counts]
            classes = [10 * flags + min(9, d.bit_length()) for d in distances]
            coded = []
            for window in range(self.windows):
                tables = [3 * k + lively[window] for k in classes]
                row = [coder.symbol(edges[table]) for table in tables]
                coded += zip(tables, row, strict=True)
                m, d = sum((s + 1) // 2 for s in row), sum(distances)
                lively[window] = min(m, 2) if flags else (256 * m >= 3 * d) + (768 * m >= 16 * d)
            found.append([[s for _, s in coded[16 * w : 16 * w + 16]] for w in range(self.windows)])
            for table, symbol in coded:
                self.counts[table][symbol] += 32
            for counts in self.counts:
                if sum(counts) > 1 << 14:
                    counts[:] = [(n + 1) >> 1 for n in counts]
        return found


def first_counts() -> list[list[int]]:
    """Of the 120 tables."""
    counts = []
    for begin in (12, 30):
        for k in range(CLASSES):
            sizes = laplace(max(0, 6 * k - begin))
            known = sizes[: min(len(sizes), SYMBOLS) - 1]
            p = known + [0] * (SYMBOLS - 1 - len(known)) + [65536 - sum(known)]
            counts += [[(n * 128 >> 16) + 1 for n in p] for _ in range(3)]
    return counts


def edges_of(counts: list[int]) -> list[int]:
    total, before, edges = sum(counts), 0, [0]
    for s, count in enumerate(counts):
        before += count
        edges.append(before * (65536 - SYMBOLS) // total + s + 1)
    return edges


class PaperBase:
    """Frames as the base hash counts them, in place of pictures; `symbols`: what Conformance asks
    for of each."""

    def __init__(self, header: Header, tensors: Tensors) -> None:
        windows = -(-header.width // 256) * -(-header.height // 256)
        usual, distance = (_table(tensors, name) for name in ("usual", "distance"))
        self.stream = TokenStream(usual, distance, windows)
        self.symbols: list[dict[str, Any]] = []

    def gop(self, payloads: list[bytes]) -> list[bytes]:
        frames = []
        for number, payload in enumerate(payloads):
            integers = [x for w in self.stream.decode(payload, number == 0) for t in w for x in t]
            data = struct.pack(f"<{len(integers)}h", *integers)
            flags, q = self.stream.head
            digest = hashlib.sha256(data).hexdigest()[:16]
            self.symbols.append({"q": q, "context": flags, "tokens": digest})
            frames.append(bytes([flags, q]) + data)
        return frames


def _table(tensors: Tensors, name: str) -> list[Table]:
    table = tensors.get(f"tokens.{name}")
    known = table is not None and table.shape == (64, TOKENS, CHANNELS) and table.dtype == "int16"
    require(known, f"tokens.{name}")
    assert table is not None
    lowest, highest = {"usual": (-1023, 1023), "distance": (0, 32767)}[name]
    require(lowest <= table.min() and table.max() <= highest, f"values of tokens.{name}")
    return table.tolist()
