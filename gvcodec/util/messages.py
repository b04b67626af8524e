"""Messages: where they go and how they are worded; and times as people write them."""

from __future__ import annotations

import contextlib
import math
import sys
import unicodedata
from collections.abc import Callable, Iterator

_quiet = False
#: Writes a line above a progress bar; None: there is no bar.
_above_bar: Callable[[str], None] | None = None


def count_noun(number: int, one: str, many: str = "") -> str:
    """`1 frame`, `2 frames`; `many`: the plural where an s at the end does not make it."""
    return f"{number} {one if number == 1 else many or one + 's'}"


@contextlib.contextmanager
def silence(quiet: bool = True) -> Iterator[None]:
    """`log_line` says nothing meanwhile."""
    global _quiet
    before, _quiet = _quiet, quiet
    try:
        yield
    finally:
        _quiet = before


def write_above(bar: Callable[[str], None] | None) -> None:
    """From now on `bar` writes lines above itself; None: as usual."""
    global _above_bar
    _above_bar = bar


def log_line(line: str) -> None:
    """One line on standard error: standard output is for data."""
    line = one_line(f"gvcodec: {line}")
    if _quiet:
        return
    if _above_bar is not None:
        _above_bar(line)
    else:
        write_line(line)


def write_line(line: str) -> None:
    """Write to standard error, which programs without a console do not have, and which may be an
    object with `write` alone."""
    if sys.stderr is None:
        return
    sys.stderr.write(line + "\n")
    if callable(flush := getattr(sys.stderr, "flush", None)):
        flush()


def is_terminal() -> bool:
    """Whether standard error is a terminal."""
    isatty = getattr(sys.stderr, "isatty", None)
    return bool(callable(isatty) and isatty())


#: They would show a name backwards.
OVERRIDES = "\u202d\u202e"


def one_line(text: str) -> str:
    """A message with control characters as backslash escapes."""
    return "".join(
        repr(character)[1:-1] if is_control(character) else character for character in text
    )


def is_control(character: str) -> bool:
    """Whether it is not text: a control character, an override of the writing direction, a
    separator of lines, half a surrogate pair. Joiners of letters and wide spaces are text."""
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") or character in OVERRIDES


def format_time(seconds: float) -> str:
    """Such as 1:02:03.4 and 2:03.4."""
    tenths = math.floor(seconds * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{rest // 10:02}.{rest % 10}"


#: Hours, minutes, seconds; and the largest number of seconds: thirty years.
_PARTS, MOST_SECONDS = 3, 1e9


def parse_time(text: str) -> float | None:
    """Seconds, or minutes and hours before them with colons; None for other texts."""
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        return None
    if len(parts) > _PARTS or not all(0 <= value <= MOST_SECONDS for value in values):
        return None
    seconds = math.fsum(value * 60**place for place, value in enumerate(reversed(values)))
    return seconds if seconds <= MOST_SECONDS else None


def parse_share(text: str) -> float:
    """A part from 0 to below 1: `10%` or `0.1`. Raises `ValueError`."""
    number = text.strip()
    share = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    if not 0 <= share < 1:
        raise ValueError(f"{text!r} is no part of a whole")
    return share


#: An exabyte: products with it stay finite.
MOST_AMOUNT = 1e18
#: Names of units; the option decides.
_COUNTED = ("bits/s", "bit/s", "bps", "b/s", "bytes", "byte", "bits", "bit", "b")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_amount(text: str) -> float:
    """A positive number with k, M, G (thousands) or Ki, Mi, Gi after it, and with the unit or
    without: `1.5M`, `10MB`, `80 kbps`, `300kbit/s`. Raises `ValueError`."""
    number = text.lower().replace(" ", "")
    number = number.removesuffix(next((name for name in _COUNTED if number.endswith(name)), ""))
    digits = number.rstrip("kmgi")
    factor = _UNITS.get(number[len(digits) :], math.nan)
    amount = float(digits) * factor
    if not 0 < amount <= MOST_AMOUNT:
        raise ValueError(f"{text!r} is not an amount")
    return amount
