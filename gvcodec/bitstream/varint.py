"""Variable-length integers of the container: `var` and `svar` of the specification.

`Cursor` reads fields from a bytes object and raises `DamagedStreamError` instead of running over
its end.
"""

from __future__ import annotations

from gvcodec.errors import DamagedStreamError

MAX_BYTES = 9


def encode_var(value: int) -> bytes:
    """LEB128 of 0 ≤ value < 2^63."""
    if not 0 <= value < 1 << 7 * MAX_BYTES:
        raise ValueError(f"{value} does not fit a var")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_svar(value: int) -> bytes:
    """Zigzag and LEB128 of -2^62 ≤ value < 2^62."""
    return encode_var(value << 1 if value >= 0 else ~(value << 1))


class Cursor:
    """Read position in `data`; `what` names the data in errors."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def __len__(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > len(self):
            raise DamagedStreamError(f"{self._what} ends early", code="truncated")
        self._at += size
        return self._data[self._at - size : self._at]

    def uint(self, size: int) -> int:
        """Fixed-size little-endian unsigned integer."""
        return int.from_bytes(self.take(size), "little")

    def var(self, limit: int = (1 << 63) - 1) -> int:
        """A `var` of at most `limit`."""
        value = 0
        for index in range(MAX_BYTES):
            byte = self.uint(1)
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise DamagedStreamError(
                        f"{self._what}: number in non-minimal form", code="number"
                    )
                if value > limit:
                    raise DamagedStreamError(
                        f"{self._what}: {value} is above {limit}", code="number"
                    )
                return value
        raise DamagedStreamError(
            f"{self._what}: number of more than {MAX_BYTES} bytes", code="number"
        )

    def svar(self) -> int:
        value = self.var()
        return value >> 1 if value & 1 == 0 else ~(value >> 1)
