"""Messages: where they go, and their words; and times as people write them."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator

_quiet = False


def count_noun(number: int, one: str, many: str = "") -> str:
    """`1 frame`, `2 frames`; `many`: the plural where an s at the end does not make it."""
    return f"{number} {one if number == 1 else many or one + 's'}"


@contextlib.contextmanager
def silence(wanted: bool = True) -> Iterator[None]:
    """`say` says nothing meanwhile."""
    global _quiet
    before, _quiet = _quiet, wanted
    try:
        yield
    finally:
        _quiet = before


def say(line: str) -> None:
    """One line on standard error: standard output is for data."""
    if _quiet:
        return
    print(f"gvcodec: {one_line(line)}", file=sys.stderr)


def one_line(text: str) -> str:
    """A message with line breaks and other control characters, as names of files may have them, as
    backslash escapes."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def clock(seconds: float) -> str:
    """Such as 1:02:03.4 and 2:03.4."""
    tenths = math.floor(seconds * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{rest // 10:02}.{rest % 10}"


#: Hours, minutes, seconds; and the largest number of seconds: thirty years.
_PARTS, MOST_SECONDS = 3, 1e9


def parse_time(text: str) -> float | None:
    """Seconds, or minutes and hours before them with colons; None for what is no time."""
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        return None
    if len(parts) > _PARTS or not all(0 <= value <= MOST_SECONDS for value in values):
        return None
    seconds = math.fsum(value * 60**place for place, value in enumerate(reversed(values)))
    return seconds if seconds <= MOST_SECONDS else None
