"""How large a file may be: a size, a bitrate or bits per pixel, as the command line takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gvcodec.errors import UsageError
from gvcodec.types import VideoFormat

#: An exabyte: what is multiplied with it stays a number.
_MOST = 1e18
#: Names of what is counted; which it is follows from the option.
_NAMES = ("bits/s", "bit/s", "bps", "b/s", "bytes", "byte", "bits", "bit", "b")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_amount(text: str) -> float:
    """A positive number with k, M, G (thousands) or Ki, Mi, Gi after it, and with the unit or
    without: `1.5M`, `10MB`, `80 kbps`, `300kbit/s`. Raises `ValueError`."""
    number = text.lower().replace(" ", "")
    number = number.removesuffix(next((name for name in _NAMES if number.endswith(name)), ""))
    digits = number.rstrip("kmgi")
    factor = _UNITS.get(number[len(digits) :], math.nan)
    amount = float(digits) * factor
    if not 0 < amount <= _MOST:
        raise ValueError(f"{text!r} is not an amount")
    return amount


@dataclass(frozen=True, slots=True)
class Budget:
    """One of three: `size` bytes or `bitrate` bits a second for the whole file with its sound,
    `bpp` bits a luma pixel for the file without it."""

    size: float | None = None
    bitrate: float | None = None
    bpp: float | None = None

    def __post_init__(self) -> None:
        given = [v for v in (self.size, self.bitrate, self.bpp) if v is not None]
        if len(given) != 1 or not 0 < given[0] <= _MOST:
            raise UsageError("a budget is one of size, bitrate and bpp, above 0 and at most 1e18")

    def file_bytes(
        self, fmt: VideoFormat, frames: int, track_bytes: int, seconds: float | None = None
    ) -> int:
        """Size that a file of so many frames may have at most; `track_bytes` of it are sound.
        `seconds`: how long it lasts, by the frame rate where that is not known."""
        if self.size is not None:
            return int(self.size)
        if self.bitrate is not None:
            seconds = frames / float(fmt.frame_rate) if seconds is None else seconds
            return int(self.bitrate * seconds / 8)
        assert self.bpp is not None
        return int(self.bpp * frames * fmt.width * fmt.height / 8) + track_bytes
