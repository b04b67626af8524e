"""Messages: where they go, and their words."""

from __future__ import annotations

import sys


def counted(number: int, one: str, many: str = "") -> str:
    """`1 frame`, `2 frames`; `many`: the plural where an s at the end does not make it."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def say(line: str) -> None:
    """One line on standard error: standard output is for data."""
    print(f"gvcodec: {line}", file=sys.stderr)
