"""Old names of public attributes and keywords, and options without effect: they are still accepted,
with a `DeprecationWarning`."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


def warn_renamed(old: str, new: str, depth: int | None = 3) -> None:
    """Warn the caller `depth` frames up (None = the first outside this package) that `old` is
    called `new` now."""
    if depth is None:
        depth = 1
        while sys._getframe(depth).f_globals.get("__name__", "").startswith("gvcodec."):
            depth += 1
        depth += 1
    warnings.warn(f"{old} is deprecated: use {new}", DeprecationWarning, stacklevel=depth)


def warn_caller(message: str) -> None:
    """Warn the first caller outside of gvcodec of something that it should not use any more."""
    frame, depth = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "gvcodec":
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, DeprecationWarning, stacklevel=depth)


def renamed_attributes(**names: str) -> Callable[[type[_T]], type[_T]]:
    """Class decorator: instances answer to old names of attributes and methods. `names`: new names
    by old ones."""

    def add_properties(kind: type[_T]) -> type[_T]:
        for old, new in names.items():
            setattr(kind, old, _alias(kind.__name__, old, new))
        return kind

    return add_properties


def _alias(owner: str, old: str, new: str) -> property:
    def read_new_name(instance: object) -> Any:
        warn_renamed(f"{owner}.{old}", new)
        return getattr(instance, new)

    read_new_name.__doc__ = f"Deprecated name of `{new}`."
    return property(read_new_name)


def renamed_keywords(**names: str) -> Callable[[_F], _F]:
    """Decorator: a function takes old names of keywords, too. `names`: new names by old ones. A
    call with both raises `TypeError`."""

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def call(*args: Any, **keywords: Any) -> Any:
            for old, new in names.items():
                if old in keywords:
                    if new in keywords:
                        raise TypeError(f"{old} is the deprecated name of {new}: give one of them")
                    warn_renamed(f"keyword {old}", new)
                    keywords[new] = keywords.pop(old)
            return function(*args, **keywords)

        return call  # type: ignore[return-value]

    return decorate
