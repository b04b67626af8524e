"""Latent tokens: packets, contexts, values (Latent tokens: Packets, Contexts)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from conformance.decoder.entropy import TABLES, Rans
from conformance.decoder.header import Header
from conformance.decoder.networks import LOUD, IntegerNetwork, predicted, span
from conformance.decoder.wire import Bytes, digest, require

TOKENS, CHANNELS, SIDE, REGIONS, GROUP = 32, 16, 256, 16, 8
SIZE = TOKENS * CHANNELS
UNTIL_NEXT = 15
Array = np.ndarray


@cache
def table(name: str) -> list[tuple[int, int]]:
    return [tuple(uv) for uv in json.loads((TABLES / "latent.json").read_text())[name]]


@cache
def frequencies() -> dict[tuple[int, int, int], int]:
    """Number in a window, 16 t + c, of each component and frequency of the tokens below 16."""
    found = {(0, *uv): 16 * (i // 10) + i % 10 for i, uv in enumerate(table("luma"))}
    for i, uv in enumerate(table("chroma")):
        for k in (1, 2):
            found[k, *uv] = 16 * (i // 3) + 7 + 3 * k + i % 3
    return found


@cache
def frequency_of() -> dict[int, tuple[int, int, int]]:
    return {number: which for which, number in frequencies().items()}


@dataclass
class Tokens:
    """A `latent` packet; `values` [windows, tokens, channels]."""

    rate: int
    run: int
    counts: list[int]
    values: Array

    def answer(self) -> dict[str, Any]:
        said = {"rate": self.rate, "run": self.run, "counts": self.counts}
        return said | {"values": digest(self.values, "<i2")}


@dataclass
class Context:
    last: Array  # [windows, tokens, channels]
    level: Array
    age: int = 0


class LatentReader:
    """The `latent` packets of a stream."""

    def __init__(self, header: Header, network: IntegerNetwork, rates: int, phases: int) -> None:
        self.grid = -(-header.height // SIDE), -(-header.width // SIDE)
        self.windows = self.grid[0] * self.grid[1]
        require(self.windows <= 2048, "windows of a picture")
        self.network, self.rates, self.phases = network, rates, phases
        self.begin()

    def begin(self) -> None:
        """A GOP begins."""
        self.context = Context(*np.zeros((2, self.windows, TOKENS, CHANNELS), np.int64))

    def read(self, payload: bytes) -> Tokens:
        read = Bytes(payload)
        head, count = read.number(1), read.number(1)
        rate, run = head & 7, head >> 3 & 15
        require(rate < self.rates, "rate of tokens")
        counts = [count] * self.windows
        if head & 128:
            rans = Rans(read.take(read.var()))
            counts = [rans.integer(45, 8 * min(count, TOKENS)) for _ in range(self.windows)]
            rans.close()
        require(all(0 <= n <= TOKENS for n in counts), "tokens of a window")
        values = np.zeros((self.windows, TOKENS, CHANNELS), np.int64)
        groups = [range(n, min(n + GROUP, self.windows)) for n in range(0, self.windows, GROUP)]
        groups = [group for group in groups if any(counts[n] for n in group)]
        active = self._activations(rate, counts) if groups else None
        for group in groups:
            data = read.rest() if group is groups[-1] else read.take(read.var())
            sizes = {n: counts[n] * CHANNELS for n in group}
            around = self._entries(sizes)
            known = np.concatenate([active[n].reshape(SIZE, -1)[: sizes[n]] for n in group])
            found = predicted(self.network, data, known, np.array(around))
            require(max(map(abs, found)) <= 1023, "a value of a token")
            for n in group:
                values[n].reshape(-1)[: sizes[n]], found = found[: sizes[n]], found[sizes[n] :]
        require(read.left == 0, "bytes after tokens")
        self._remember(values, counts)
        return Tokens(rate, run, counts, values)

    def _remember(self, values: Array, counts: list[int]) -> None:
        has = (np.arange(TOKENS) < np.array(counts)[:, None])[..., None]
        context = self.context
        grown = context.level + ((32 * abs(values).clip(None, 31) - context.level + 2) >> 2)
        context.level = np.where(has, grown, context.level)
        context.last = np.where(has, values, context.last)
        context.age += 1

    # Contexts

    def _activations(self, rate: int, counts: list[int]) -> Array:
        """[windows, tokens, channels, 41]"""
        last, level, age = self.context.last, self.context.level, self.context.age
        phase = age % self.phases
        x = np.zeros((*last.shape, 41), np.int64)
        x[..., :24] = _fixed()
        x[..., 24], x[..., 25], x[..., 26] = _near(8 * last), _near(last), _louds(level)
        x[..., 27] = _louds(level.sum(2, keepdims=True) // CHANNELS)
        x[..., 28] = _louds(level.sum(1, keepdims=True) // TOKENS)
        x[..., 29] = _louds(level.sum((1, 2), keepdims=True) // SIZE)
        x[..., 30] = _louds(level.sum(0) // self.windows)
        for i, (dy, dx) in enumerate(((0, 1), (1, 0))):
            x[..., 31 + i] = _louds(self._beside(level, dy, dx))
            x[..., 33 + i] = _near(8 * self._beside(last, dy, dx))
        x[..., 35], x[..., 36], x[..., 37] = 15 * min(age, 8), 18 * rate, 127
        x[..., 38] = (2 * np.array(counts)).clip(None, 127)[:, None, None]
        x[..., 39], x[..., 40] = 8 * phase, 127 * (phase % 4 == 3)
        return x

    def _beside(self, x: Array, dy: int, dx: int) -> Array:
        """Of the window dy above and dx at the left, 0 where there is none."""
        x = x.reshape(*self.grid, TOKENS, CHANNELS)
        padded = np.pad(x, ((dy, 0), (dx, 0), (0, 0), (0, 0)))
        return padded[: self.grid[0], : self.grid[1]].reshape(-1, TOKENS, CHANNELS)

    def _entries(self, sizes: dict[int, int]) -> list[list[int]]:
        """Of all values of a packet, whose windows have so many values."""
        begin, t, found = {}, 0, []
        for n, size in sizes.items():
            begin[n], t = t, t + size
        for n, size in sizes.items():
            above, left = n - self.grid[1], n - 1 if n % self.grid[1] else -1
            for i in range(size):
                t = begin[n] + i

                def at(window: int, number: int | None, length: int = 1, t: int = t) -> int:
                    """The span of values from `number` of a window, 0 where there is none."""
                    if number is None or number < 0 or number >= sizes.get(window, 0) or not length:
                        return 0
                    far = t - begin[window] - number
                    return span(far, length) if far > 0 else 0

                found.append(_entries_of(i, n, above, left, at) + [])
                found[-1][12] = span(t, t) if t else 0
        return found


def _entries_of(i: int, n: int, above: int, left: int, at) -> list[int]:
    """Of value i of window n; `at` makes an entry of a window, a number in it, a length."""
    t, c = divmod(i, CHANNELS)
    token = i - c
    if t < 16:
        k, u, v = frequency_of()[i]
        numbers = [(k, u - 1, v), (k, u, v - 1), (k - 1, u, v)]
        found = [at(n, frequencies().get(which)) for which in numbers]
        parent = (t - 1) // 2 if t else None
    else:
        row, column = divmod(t - 16, 4)
        up = (n, i - 4 * CHANNELS) if row else (above, (28 + column) * CHANNELS + c)
        along = (n, i - CHANNELS) if column else (left, (19 + 4 * row) * CHANNELS + c)
        found = [at(*up), at(*along), at(n, i - 1) if c else 0]
        parent = t - 4 if t >= 20 else None
    found += [at(n, i - 1) if c else 0, at(n, i - 2) if c > 1 else 0, at(n, token, c)]
    found += [at(n, i - CHANNELS), at(n, token - CHANNELS, CHANNELS)]
    of_parent = (None, None) if parent is None else (CHANNELS * parent + c, CHANNELS * parent)
    found += [at(n, of_parent[0]), at(n, of_parent[1], CHANNELS)]
    found += [at(n, i - min(i, 64), min(i, 64)), at(n, 0, i), 0]
    found += [at(above, i), at(left, i), at(above, token, CHANNELS), at(left, token, CHANNELS)]
    return found


@cache
def _fixed() -> Array:
    """Activations 0…23 of each token and channel."""
    x = np.zeros((TOKENS, CHANNELS, 24), np.int64)
    for t in range(TOKENS):
        k = (t + 1).bit_length() - 1 if t < 15 else 6 if t == 15 else 4
        x[t, :, k] = 127
        x[t, :, 7] = ((t + 1 - (1 << k)) * 128) >> k if t < 15 else 0 if t == 15 else 8 * (t - 16)
    channels = np.arange(CHANNELS)
    x[:, channels, 8 + channels] = 127
    return x


_TABLE = np.array(LOUD)


def _louds(x: Array) -> Array:
    return _TABLE[x.clip(0, len(LOUD) - 1)]


def _near(x: Array) -> Array:
    return 64 + x.clip(-64, 63)
