"""Plain Python reference of the entropy coder: rANS, adaptive mixing, and the two forms of a binary
coder.

The same integers and the same bytes as `csrc/entropy/rans.*` and `csrc/entropy/mixer.*`, written
for reading rather than for speed; tests hold the two against each other. Probabilities are 16 bit,
log odds are natural logarithms in 1/256.

Range coder: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540. Mixing: M. Mahoney, "Adaptive
weighing of context models for lossless data compression" (2005).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

PROB_BITS = 16
PROB_ONE = 1 << PROB_BITS
RANS_LOW = 1 << 23
STARTS = 1024


class RansEncoder:
    """Symbols in coding order; the coder itself runs backwards in `finish`."""

    def __init__(self) -> None:
        self._symbols: list[tuple[int, int]] = []

    def put(self, start: int, freq: int) -> None:
        """The symbol that occupies [start, start + freq) of 2^16, freq >= 1."""
        self._symbols.append((start, freq))

    def raw(self, bits: int, value: int) -> None:
        """`bits` (at most 16) equiprobable bits."""
        self.put(value << (PROB_BITS - bits), PROB_ONE >> bits)

    def finish(self) -> bytes:
        """Bytes of all symbols. The state starts at 0 and all of it is written, highest byte
        first."""
        out = self._from(0)
        self._symbols.clear()
        return out

    def finish_short(self) -> tuple[bytes, bool]:
        """The same, or trimmed: without a last byte that is zero. That is so for some state below
        `STARTS` to start from, mostly; the first that makes it no longer than from 0 otherwise is
        taken."""
        whole = self._from(0)
        tries = (self._from(start) for start in range(STARTS if whole else 0))
        short = next((t[:-1] for t in tries if 1 < len(t) <= len(whole) and t[-1] == 0), None)
        self._symbols.clear()
        return (whole, False) if short is None else (short, True)

    def _from(self, state: int) -> bytes:
        out = bytearray()
        for start, freq in reversed(self._symbols):
            while state >= (RANS_LOW >> PROB_BITS << 8) * freq:
                out.append(state & 255)
                state >>= 8
            state = (state // freq << PROB_BITS) + state % freq + start
        while state:
            out.append(state & 255)
            state >>= 8
        return bytes(reversed(out))


class RansDecoder:
    """Reads symbols in coding order. Never reads past the end: there the state just runs down; but
    there is one more byte, a zero, after `trimmed` ones."""

    def __init__(self, data: bytes, trimmed: bool = False) -> None:
        self._data, self._at, self._state = data + bytes(trimmed), 0, 0
        self._starts = STARTS if trimmed else 1
        self._refill()

    def peek(self) -> int:
        """Where the next symbol lies in [0, 2^16)."""
        return self._state & (PROB_ONE - 1)

    def advance(self, start: int, freq: int) -> None:
        """Remove the symbol [start, start + freq), which contains `peek()`."""
        self._state = freq * (self._state >> PROB_BITS) + self.peek() - start
        self._refill()

    def raw(self, bits: int) -> int:
        value = self.peek() >> (PROB_BITS - bits)
        self.advance(value << (PROB_BITS - bits), PROB_ONE >> bits)
        return value

    def finished(self) -> bool:
        """All bytes are read and the state is where the encoder may have begun."""
        return self._state < self._starts and self._at == len(self._data)

    def _refill(self) -> None:
        while self._state < RANS_LOW and self._at < len(self._data):
            self._state = self._state << 8 | self._data[self._at]
            self._at += 1


MAX_INPUTS = 6
WEIGHTS = MAX_INPUTS + 1
COUNT_LIMIT = 127
WEIGHT_LIMIT = 1 << 20
BLANK_PROBABILITY, BLANK_WEIGHT = 1 << 15, 20000

# 65536 / (1 + exp(-i/2)) for i = -16…16: the logistic function at every 128th of its argument in
# 1/256.
_LOGISTIC = (
    *(22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768),
    *(
        40793,
        47911,
        53581,
        57724,
        60565,
        62428,
        63615,
        64357,
        64816,
        65097,
        65269,
        65374,
        65438,
        65476,
        65500,
        65514,
    ),
)


def clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def _interpolate(index: int) -> int:
    step, rest = divmod(index, 128)
    return clamp((_LOGISTIC[step] * (128 - rest) + _LOGISTIC[step + 1] * rest + 64) >> 7, 32, 65504)


_SQUASH = tuple(_interpolate(i) for i in range(4096))


def _invert() -> tuple[int, ...]:
    """For every 16th probability the largest argument whose `squash` does not exceed the middle of
    its range."""
    table, x = [], 0
    for i in range(4096):
        while x < 4095 and _SQUASH[x + 1] <= i * 16 + 8:
            x += 1
        table.append(clamp(x - 2048, -2047, 2047))
    return tuple(table)


_STRETCH = _invert()
_RATE = tuple(655360 // (10 * n + 16) for n in range(COUNT_LIMIT + 1))
_CONFIDENCE = tuple(256 * n // (n + 2) for n in range(COUNT_LIMIT + 1))


def squash(x: int) -> int:
    """Probability (16 bit, 32…65504) of log odds x in 1/256."""
    return _SQUASH[clamp(x, -2047, 2047) + 2048]


def stretch(p: int) -> int:
    """Log odds in 1/256, -2047…2047, of a 16-bit probability."""
    return _STRETCH[p >> 4]


class MixState:
    """What adapts: `p` (16 bit) and `n` (0…127) of every slot, `w` (sets × 7, 16.16 fixed
    point)."""

    def __init__(self, p: Sequence[int], n: Sequence[int], w: Sequence[int]) -> None:
        self.p, self.n, self.w = (
            [int(v) for v in p],
            [min(int(v), COUNT_LIMIT) for v in n],
            [int(v) for v in w],
        )

    @classmethod
    def blank(cls, slots: int, sets: int) -> MixState:
        """A state that has learned nothing."""
        return cls(
            [BLANK_PROBABILITY] * slots, [0] * slots, ([BLANK_WEIGHT] * MAX_INPUTS + [0]) * sets
        )

    def copy(self) -> MixState:
        return MixState(self.p, self.n, self.w)


@dataclass(frozen=True, slots=True)
class Prediction:
    p: int  # probability of a 1, 16 bit, 32…65504
    stretched: int  # its log odds in 1/256, -2047…2047
    inputs: tuple[int, ...]


def predict(state: MixState, slots: Sequence[int], weight_set: int) -> Prediction:
    """Mix the log odds of the slots; one that has seen n decisions speaks with n / (n + 2) of its
    voice."""
    inputs = tuple(stretch(state.p[s]) * _CONFIDENCE[state.n[s]] >> 8 for s in slots)
    first = weight_set * WEIGHTS
    total = state.w[first + MAX_INPUTS] * 256 + sum(
        state.w[first + i] * x for i, x in enumerate(inputs)
    )
    stretched = clamp(total >> 16, -2047, 2047)
    return Prediction(squash(stretched), stretched, inputs)


def update(
    state: MixState, slots: Sequence[int], weight_set: int, prediction: Prediction, bit: int
) -> None:
    """Learn the outcome: weights by gradient of the code length, slots towards the outcome at rate
    1 / (n + 1.6).

    A slot that stands twice in `slots` learns twice, in order.
    """
    target = 65535 if bit else 0
    error = (target - prediction.p) >> 4

    def learn(index: int, x: int) -> None:
        state.w[index] = clamp(
            state.w[index] + ((x * error + (1 << 13)) >> 14), -WEIGHT_LIMIT, WEIGHT_LIMIT
        )

    first = weight_set * WEIGHTS
    learn(first + MAX_INPUTS, 256)
    for i, s in enumerate(slots):
        learn(first + i, prediction.inputs[i])
        state.p[s] += (target - state.p[s]) * _RATE[state.n[s]] >> 16
        state.n[s] = min(state.n[s] + 1, COUNT_LIMIT)


class BitEncoder:
    """Binary decisions with adaptive probabilities; a 0 lies at the low end of the range."""

    def __init__(self, state: MixState) -> None:
        self._state, self._rans = state, RansEncoder()

    def bit(self, slots: Sequence[int], weight_set: int, value: int) -> None:
        prediction = predict(self._state, slots, weight_set)
        p = prediction.p
        self._rans.put(*((PROB_ONE - p, p) if value else (0, PROB_ONE - p)))
        update(self._state, slots, weight_set, prediction, value)

    def raw(self, bits: int, value: int) -> None:
        self._rans.raw(bits, value)

    def finish(self) -> bytes:
        return self._rans.finish()


class BitDecoder:
    """Inverse of `BitEncoder`, from the same state."""

    def __init__(self, state: MixState, data: bytes, trimmed: bool = False) -> None:
        self._state, self._rans = state, RansDecoder(data, trimmed)

    def bit(
        self, slots: Sequence[int], weight_set: int, refine: Callable[[int], int] | None = None
    ) -> int:
        """`refine` makes other log odds of those of the mixer, which learns from its own."""
        prediction = predict(self._state, slots, weight_set)
        p = prediction.p if refine is None else squash(refine(prediction.stretched))
        value = int(self._rans.peek() >= PROB_ONE - p)
        self._rans.advance(*((PROB_ONE - p, p) if value else (0, PROB_ONE - p)))
        update(self._state, slots, weight_set, prediction, value)
        return value

    def raw(self, bits: int) -> int:
        return self._rans.raw(bits)

    def finished(self) -> bool:
        return self._rans.finished()
