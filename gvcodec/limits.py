"""Limits of a stream's demands on a decoder: memory, picture size, frame rate. The same for
command line and library, in force unless raised.

Sizes are known from the header before anything is allocated. The memory of decoding is
estimated from the size of the picture and has to fit `default_memory()`; the command line lets the
operating system hold the process to its limit in case the estimate is wrong. Data that a stream
can accumulate besides its pictures (sound, timestamps, a GOP that is cut) has a share of it. The
time of decoding is bounded by the playing time that the stream states (`PtsDecoder`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gvcodec.bases import base_of
from gvcodec.errors import LimitError
from gvcodec.util.messages import count_noun
from gvcodec.util.options import add_option_docs, bytes_, count, option
from gvcodec.util.process import count_cores

if TYPE_CHECKING:
    from gvcodec.types import VideoFormat

#: Bytes that decoding may take by default, at least: room for 4K, or for 1440p painted, on a
#: machine of 4 GB with other work. Half the machine's memory where that is more, at most
#: `MOST_MEMORY`: room for the 5.3K of action cameras, painted.
DEFAULT_MEMORY, MOST_MEMORY = 1536 << 20, 6 << 30
#: Bytes a pixel that painting takes, measured at 1080p (about 90) and rounded up; and what the
#: program takes by itself, without and with torch. Writing anything but raw frames comes on top.
_PAINTING = 150
_PROGRAM = (64 << 20, 320 << 20)
#: Share of the memory for waiting sound, or for a GOP in `cut`, `cat` and `repair`: a quarter.
_SHARE = 4
#: Bytes of a Python object besides its contents.
OBJECT_BYTES = 256
#: Frames a second of playing time: above the 960 of phones and as many as a source's frame rate
#: may be.
DEFAULT_FPS = 1000
#: Bytes a pixel of the encoders of video files, and bytes a processor of stacks and arenas, on top
#: of the default limit.
_WRITING = 512
_A_PROCESSOR = 64 << 20


@add_option_docs
@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in luma samples, bytes of decoding, and frames for each second that the timestamps
    span. `max_pixels` alone replaces the default memory: pictures up to this size are decoded with
    any amount of memory."""

    max_pixels: int | None = option(
        None, count, "N", help="refuse larger pictures (by --max-memory)"
    )
    max_memory: int | None = option(
        None,
        bytes_,
        "BYTES",
        help="memory limit, as 500M or 2G "
        f"(half the machine's, {DEFAULT_MEMORY >> 20}M to {MOST_MEMORY >> 30}G)",
    )
    max_fps: int = option(
        DEFAULT_FPS,
        count,
        "N",
        help=f"refuse higher frame rates ({DEFAULT_FPS})",
    )

    @property
    def side_memory(self) -> int:
        """Bytes that waiting data besides pictures may take."""
        return (self.max_memory or DEFAULT_MEMORY) // _SHARE


#: The default limits.
DEFAULT = Limits()
#: For streams of one's own.
NO_LIMITS = Limits(max_pixels=1 << 62, max_memory=1 << 62, max_fps=1 << 62)


class Header(Protocol):
    """Header fields that limits apply to."""

    @property
    def format(self) -> VideoFormat: ...

    @property
    def base(self) -> str: ...


@functools.cache
def default_memory() -> int:
    """Bytes of memory that decoding may take by default: half the machine's, within bounds."""
    try:
        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        half = 0
    return min(max(half, DEFAULT_MEMORY), MOST_MEMORY)


def memory_for(header: Header, is_painted: bool) -> int:
    """Bytes of memory that decoding takes, about; `painted`: with painting."""
    pixels, base = header.format.width * header.format.height, base_of(header.base)
    each = base.bytes_a_pixel + _PAINTING * is_painted
    return _PROGRAM[is_painted] + pixels * each


def check(header: Header, is_painted: bool, limits: Limits) -> None:
    """Raises `LimitError` when the stream asks for more."""
    fmt = header.format
    pixels, size = fmt.width * fmt.height, f"pictures of {fmt.width}×{fmt.height}"
    if limits.max_pixels is not None and pixels > limits.max_pixels:
        raise LimitError(
            f"{size} have more than {count_noun(limits.max_pixels, 'pixel')} (--max-pixels)",
            code="limit-pixels",
        )
    max_memory = limits.max_memory
    if max_memory is None and limits.max_pixels is None:
        max_memory = default_memory()
    if max_memory is not None and (needed := memory_for(header, is_painted)) > max_memory:
        raise LimitError(
            f"{size} take about {needed >> 20} MiB, more than {max_memory >> 20} (--max-memory "
            f"{(needed >> 20) + 1}M allows it, in Python Limits(max_memory=…))",
            code="limit-memory",
        )


def memory_note(header: Header, is_painted: bool) -> str:
    """A line for encoders of streams that decoders on this machine refuse; "" if they do not."""
    needed, most = memory_for(header, is_painted), default_memory()
    if needed <= most:
        return ""
    fmt, fidelity = header.format, ""
    if is_painted and memory_for(header, False) <= most:
        fidelity = ", or --fidelity"
    return (
        f"to decode pictures of {fmt.width}×{fmt.height} takes about {needed >> 20} MiB, more than "
        f"the default of this machine: give decode --max-memory {(needed >> 20) + 1}M{fidelity}"
    )


@contextlib.contextmanager
def memory_limit(
    header: Header, is_painted: bool, limits: Limits, enforce_rlimit: bool = True
) -> Iterator[None]:
    """With `enforce_rlimit` this process is held to the limits, once its libraries are loaded:
    allocations beyond them fail (`MemoryError`). Linux only."""
    if not enforce_rlimit or not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = limits.max_memory
    if most is None:
        pixels, processors = header.format.width * header.format.height, count_cores()
        most = max(default_memory(), memory_for(header, is_painted))
        most += pixels * _WRITING + processors * _A_PROCESSOR
    _enforce_rlimit(most)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _enforce_rlimit(max_memory: int) -> None:
    """Make allocations fail beyond `max_memory` bytes more than the process uses now."""
    import resource

    from gvcodec import _core

    _core.use_small_stacks()
    with open("/proc/self/statm") as file:
        data_pages = int(file.read().split()[5])
    limit = data_pages * resource.getpagesize() + max_memory
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    with contextlib.suppress(ValueError, OSError, OverflowError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
