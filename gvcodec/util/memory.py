"""Memory of the process."""

from __future__ import annotations

import ctypes


def return_memory() -> None:
    """Give what was freed back to the system, where the C library (glibc) would keep it."""
    trim = getattr(ctypes.pythonapi, "malloc_trim", None)
    if trim is not None:
        trim(0)
