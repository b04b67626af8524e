"""Words of messages."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """`1 frame`, `2 frames`; `many`: the plural where an s at the end does not make it."""
    return f"{number} {one if number == 1 else many or one + 's'}"
