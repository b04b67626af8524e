"""Memory of the process, where the C library is glibc; elsewhere nothing happens."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Bytes. A plane of 1080p is larger, what lives long beside it is smaller.
_LARGE = 1 << 20
#: Where glibc itself stops.
_LARGEST = 32 << 20


def map_large_blocks() -> None:
    """From now on a block of more than a megabyte is the system's again as soon as it is free.
    By itself glibc raises its limit to the largest block freed so far, planes then share its
    heap with what encoders keep, and the holes stay: 1.68 in place of 1.24 GB at 1080p."""
    _set(_LARGE, _LARGE)


def keep_large_blocks() -> None:
    """The opposite, for many large blocks that come and go in several threads: giving them back
    takes longer than filling them."""
    _set(_LARGEST, 2 * _LARGEST)


def _set(largest: int, kept: int) -> None:
    option = getattr(ctypes.pythonapi, "mallopt", None)
    if option is not None:
        option(_M_MMAP_THRESHOLD, largest)
        option(_M_TRIM_THRESHOLD, kept)


def return_memory() -> None:
    """Give what was freed back to the system, where the C library would keep it."""
    trim = getattr(ctypes.pythonapi, "malloc_trim", None)
    if trim is not None:
        trim(0)
