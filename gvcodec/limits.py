"""Limits of what a decoder takes on: pictures no larger than `max_pixels`, no more memory than `max_memory`.

Sizes are known from the header before anything is allocated. What memory decoding takes is estimated from the size of the
picture; the operating system holds the process to the limit in case the estimate is wrong.
"""

from __future__ import annotations

import contextlib
import sys

from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import LimitError

#: Bytes a pixel that decoding takes, measured at 720p with up to 16 threads (25, 77, 36; at 1080p 118 for vvc and about 90 for painting) and rounded up; and
#: what the program takes by itself, without and with torch. Writing anything but raw frames comes on top.
_BYTES_A_PIXEL = {"klt": 40, "av1": 120, "hevc": 60, "vvc": 140}
_PAINTING = 150
_PROGRAM = (64 << 20, 320 << 20)


def memory_for(header: SequenceHeader, painted: bool) -> int:
    """Bytes that decoding takes, about."""
    pixels = header.format.width * header.format.height
    return _PROGRAM[painted] + pixels * (_BYTES_A_PIXEL[header.base] + _PAINTING * painted)


def check(header: SequenceHeader, painted: bool, max_pixels: int | None, max_memory: int | None) -> None:
    """Raises `LimitError` when the stream asks for more."""
    fmt = header.format
    if max_pixels is not None and fmt.width * fmt.height > max_pixels:
        raise LimitError(f"pictures of {fmt.width}×{fmt.height} have more than {max_pixels} pixels (--max-pixels)")
    if max_memory is not None and (needed := memory_for(header, painted)) > max_memory:
        raise LimitError(
            f"pictures of {fmt.width}×{fmt.height} take about {needed >> 20} MiB, more than {max_memory >> 20} (--max-memory)"
        )


def hold_to(max_memory: int) -> None:
    """Let allocations fail (`MemoryError`) that go beyond so many bytes more than are in use now. Linux only."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    with open("/proc/self/statm") as file:
        data_pages = int(file.read().split()[5])
    limit = data_pages * resource.getpagesize() + max_memory
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
