"""Integers, checksums, and the ways a file can be refused (Container: Integers, Checksums)."""

from __future__ import annotations

import binascii
import hashlib
import zlib

import numpy as np


class Refused(Exception):
    """A file that is not read; `code` is the exit code that Conformance asks for."""

    code = 3


class Damaged(Refused):
    """The file breaks the specification."""


class Newer(Refused):
    """The file is whole, but of another version."""

    code = 4


class OtherHash(Refused):
    """Decoded frames differ from the encoder's."""

    code = 5


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Damaged(what)


class Bytes:
    """A cursor over bytes; a field beyond the end is damage."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    @property
    def remaining(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        require(size <= self.remaining, "a field ends early")
        self.at += size
        return self.data[self.at - size : self.at]

    def rest(self) -> bytes:
        return self.take(self.remaining)

    def number(self, size: int) -> int:
        """u8, u16, u32."""
        return int.from_bytes(self.take(size), "little")

    def var(self, low: int = 0, high: int = 2**63 - 1) -> int:
        value = 0
        for i in range(9):
            byte = self.number(1)
            value |= (byte & 127) << 7 * i
            if byte < 128:
                require(byte > 0 or i == 0, "a number is not in its shortest form")
                require(low <= value <= high, f"{value} is not in {low}…{high}")
                return value
        raise Damaged("a number has more than nine bytes")

    def svar(self, bound: int = 2**63) -> int:
        coded = self.var()
        value = -((coded + 1) // 2) if coded & 1 else coded // 2
        require(abs(value) <= bound, f"{value} is beyond ±{bound}")
        return value


def var(value: int) -> bytes:
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def svar(value: int) -> bytes:
    return var(2 * value if value >= 0 else -2 * value - 1)


def crc16(data: bytes) -> int:
    return binascii.crc_hqx(data, 0xFFFF)


crc32 = zlib.crc32


def digest(values: np.ndarray, kind: str) -> str:
    """The first 8 bytes of SHA-256 of numbers as they are written (Conformance)."""
    return hashlib.sha256(values.astype(kind).tobytes()).hexdigest()[:16]
