"""Adaptive binary range coder for a few thousand small integers: plain Python, integers only, the
same on every machine.

The coder is LZMA's: 32-bit range, 11-bit adaptive probabilities, carry resolved by a cache byte. A
value is coded as zero flag, sign, unary magnitude with adaptive contexts up to `_UNARY`, and the
rest as Exp-Golomb; each class of values has contexts of its own. Of the last four bytes, zeros at
the end are not stored and the decoder supplies them. `Decoder` raises `DamagedStreamError` when
more are needed.
"""

from __future__ import annotations

from gvcodec.errors import DamagedStreamError

_BITS, _SHIFT = 11, 4
_UNARY = 14
_TOP = 1 << 24


class Contexts:
    """Probabilities of a zero bit, one list for each class of values: zero flag by magnitude of the
    value before, then unary."""

    def __init__(self) -> None:
        self.table: dict[int, list[int]] = {}

    def get(self, kind: int) -> list[int]:
        return self.table.setdefault(kind, [1 << (_BITS - 1)] * (3 + _UNARY))


class Encoder:
    """`put(value, kind)` for each value, then `finish()`."""

    def __init__(self, contexts: Contexts | None = None) -> None:
        """`contexts`: statistics to go on with."""
        self._low, self._range, self._cache, self._pending = 0, 0xFFFFFFFF, 0, 0
        self._out = bytearray()
        self._contexts, self._before, self._first = contexts or Contexts(), 0, True

    def _shift(self) -> None:
        if self._low < 0xFF000000 or self._low > 0xFFFFFFFF:
            carry = self._low >> 32
            if not self._first:
                self._out.append((self._cache + carry) & 255)
            self._first = False
            self._out.extend([(255 + carry) & 255] * self._pending)
            self._pending, self._cache = 0, self._low >> 24 & 255
        else:
            self._pending += 1
        self._low = (self._low & 0x00FFFFFF) << 8

    def _bit(self, bit: int, table: list[int], slot: int) -> None:
        bound = (self._range >> _BITS) * table[slot]
        if bit:
            self._low += bound
            self._range -= bound
            table[slot] -= table[slot] >> _SHIFT
        else:
            self._range = bound
            table[slot] += ((1 << _BITS) - table[slot]) >> _SHIFT
        while self._range < _TOP:
            self._range = self._range << 8 & 0xFFFFFFFF
            self._shift()

    def _raw(self, value: int, bits: int) -> None:
        for i in range(bits - 1, -1, -1):
            self._range >>= 1
            if value >> i & 1:
                self._low += self._range
            while self._range < _TOP:
                self._range = self._range << 8 & 0xFFFFFFFF
                self._shift()

    def forget(self) -> None:
        """Code the next value as if a zero had gone before."""
        self._before = 0

    def put(self, value: int, kind: int = 0) -> None:
        """Code a signed integer with the statistics of its class."""
        table, size = self._contexts.get(kind), abs(value)
        self._bit(size > 0, table, min(self._before, 2))
        self._before = size
        if not size:
            return
        self._raw(value < 0, 1)
        for i in range(min(size - 1, _UNARY)):
            self._bit(1, table, 3 + i)
        if size - 1 < _UNARY:
            self._bit(0, table, 3 + size - 1)
            return
        rest = size - _UNARY
        length = rest.bit_length()
        self._raw((1 << length) - 2, length)
        self._raw(rest & ((1 << (length - 1)) - 1), length - 1)

    def finish(self) -> bytes:
        """The coded bytes."""
        for _ in range(5):
            self._shift()
        out = bytes(self._out)
        return out[:-4] + out[-4:].rstrip(b"\0")


class Decoder:
    """`get(kind)` in the order of `put`, then `finish()`."""

    def __init__(self, data: bytes, contexts: Contexts | None = None) -> None:
        self._data, self._place, self._range, self._code = data, 0, 0xFFFFFFFF, 0
        self._contexts, self._before = contexts or Contexts(), 0
        for _ in range(4):
            self._code = self._code << 8 | self._next()

    def _next(self) -> int:
        self._place += 1
        if self._place <= len(self._data):
            return self._data[self._place - 1]
        if self._place > len(self._data) + 4:
            raise DamagedStreamError("coded values end too early")
        return 0

    def _fill(self) -> None:
        while self._range < _TOP:
            self._range = self._range << 8 & 0xFFFFFFFF
            self._code = (self._code << 8 | self._next()) & 0xFFFFFFFF

    def _bit(self, table: list[int], slot: int) -> int:
        bound = (self._range >> _BITS) * table[slot]
        bit = int(self._code >= bound)
        if bit:
            self._code -= bound
            self._range -= bound
            table[slot] -= table[slot] >> _SHIFT
        else:
            self._range = bound
            table[slot] += ((1 << _BITS) - table[slot]) >> _SHIFT
        self._fill()
        return bit

    def _raw(self, bits: int) -> int:
        value = 0
        for _ in range(bits):
            self._range >>= 1
            bit = int(self._code >= self._range)
            self._code -= self._range * bit
            value = value << 1 | bit
            self._fill()
        return value

    def forget(self) -> None:
        """As that of `Encoder`."""
        self._before = 0

    def get(self, kind: int = 0) -> int:
        """The next signed integer of its class; its magnitude stays below 2¹⁶ whatever the bytes
        are."""
        table = self._contexts.get(kind)
        if not self._bit(table, min(self._before, 2)):
            self._before = 0
            return 0
        negative, size = self._raw(1), 1
        while size - 1 < _UNARY and self._bit(table, 3 + size - 1):
            size += 1
        if size - 1 == _UNARY:
            length = 1
            while self._raw(1):
                length += 1
                if length > 15:
                    raise DamagedStreamError("a coded value is out of range")
            size = _UNARY + (1 << (length - 1) | self._raw(length - 1))
        self._before = size
        return -size if negative else size

    def finish(self) -> None:
        """Nothing may be left over."""
        if self._place < len(self._data):
            raise DamagedStreamError("coded values are followed by other bytes")
