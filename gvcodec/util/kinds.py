"""Checks of values that callers of the library pass: a wrong kind is a `UsageError` of one line,
not a `TypeError` deep inside."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

from gvcodec.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])
#: Characters of a value in a message.
_MOST_SHOWN = 60


def check_kind(name: str, value: Any, annotation: str) -> Any:
    """The value, if it is of a kind that an annotation like "float | str | None" names: a whole
    number as an `int` where no other is meant. Kinds that are not plain are checked where they are
    used. Raises `UsageError`."""
    kinds = [annotation] if annotation in _KINDS else annotation.split(" | ")
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


def _is_bool(value: Any) -> bool:
    return value is None or (getattr(value, "ndim", 0) == 0 and value in (0, 1))


def _is_list_of(*kinds: type) -> Callable[[Any], bool]:
    def is_list(value: Any) -> bool:
        return isinstance(value, list | tuple) and all(isinstance(item, kinds) for item in value)

    return is_list


#: Modes of progress by their names.
_MODES = ("auto", "json", "none")
#: Plain kinds of annotations: their names, and whether a value is one.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "float": ("a number", _is_number),
    "int": ("a whole number", _is_whole),
    "str": ("a text", lambda value: isinstance(value, str | os.PathLike)),
    "bool": ("true or false", _is_bool),
    "None": ("None", lambda value: value is None),
    "Limits": ("a Limits", lambda value: type(value).__name__ == "Limits"),
    "Mode": (f"{', '.join(_MODES)} or a function", lambda mode: callable(mode) or mode in _MODES),
    "Sequence[str | Path]": ("a list of files", _is_list_of(str, os.PathLike)),
    "tuple[float, ...]": ("a tuple of numbers", _is_list_of(int, float)),
}


def checked_keywords(function: _F) -> _F:
    """Decorator: values of the keywords of a function are checked by their annotations."""
    parameters = inspect.signature(function).parameters.values()
    kinds = {p.name: str(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY}

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        checked = {n: check_kind(n, v, kinds[n]) if n in kinds else v for n, v in keywords.items()}
        return function(*args, **checked)

    return call  # type: ignore[return-value]
