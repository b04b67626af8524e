"""Checks of values that callers of the library pass: a wrong kind is a `UsageError` of one line,
not a `TypeError` deep inside."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

from gvcodec.errors import UsageError

#: Characters of a value in a message.
_MOST_SHOWN = 60


def check_kind(name: str, value: Any, annotation: str) -> Any:
    """The value, if it is of a kind that an annotation like "float | str | None" names: a whole
    number as an `int` where no other is meant. Kinds that are not plain are checked where they are
    used. Raises `UsageError`."""
    kinds = annotation.split(" | ")
    if not all(kind in _KINDS for kind in kinds):
        return value
    if not any(_KINDS[kind][1](value) for kind in kinds):
        expected = " or ".join(_KINDS[kind][0] for kind in kinds)
        raise UsageError(f"{name} is {expected}, not {repr_short(value)}", code="option-type")
    whole = "int" in kinds and "float" not in kinds and isinstance(value, float)
    return int(value) if whole else value


def repr_short(value: Any) -> str:
    """A value in one short line."""
    return " ".join(repr(value).split())[:_MOST_SHOWN]


def _is_number(value: Any) -> bool:
    if isinstance(value, str | bytes):
        return False
    try:
        return math.isfinite(value)
    except (TypeError, ValueError, OverflowError):
        return False


def _is_whole(value: Any) -> bool:
    return _is_number(value) and float(value).is_integer()


#: Plain kinds of annotations: their names, and whether a value is one. Anything is true or
#: false.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "float": ("a number", _is_number),
    "int": ("a whole number", _is_whole),
    "str": ("a text", lambda value: isinstance(value, str | os.PathLike)),
    "bool": ("true or false", lambda value: True),
    "None": ("None", lambda value: value is None),
}
