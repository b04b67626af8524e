"""Plain Python reference of the range coder: J. Duda, "Asymmetric numeral systems",
arXiv:1311.2540.

The same integers and the same bytes as `csrc/entropy/rans.*`, written for reading rather than for
speed; tests hold the two against each other. Probabilities are 16 bit.
"""

from __future__ import annotations

PROB_BITS = 16
PROB_ONE = 1 << PROB_BITS
RANS_LOW = 1 << 23


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
        state = 0
        out = bytearray()
        for start, freq in reversed(self._symbols):
            while state >= (RANS_LOW >> PROB_BITS << 8) * freq:
                out.append(state & 255)
                state >>= 8
            state = (state // freq << PROB_BITS) + state % freq + start
        while state:
            out.append(state & 255)
            state >>= 8
        self._symbols.clear()
        return bytes(reversed(out))


class RansDecoder:
    """Reads symbols in coding order. Never reads past the end: there the state just runs down."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._state = data, 0, 0
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
        """All bytes are read and the state is where the encoder began."""
        return self._state == 0 and self._at == len(self._data)

    def _refill(self) -> None:
        while self._state < RANS_LOW and self._at < len(self._data):
            self._state = self._state << 8 | self._data[self._at]
            self._at += 1


def clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)
