"""Dataclass fields as keyword arguments of a function: `help()` shows their names, types and
defaults. For static types pass the dataclass: `config=EncoderConfig(q=40)`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., object])
#: What other encoders call an option.
_MEANT = {
    "quality": "q",
    "crf": "q",
    "qp": "q",
    "gop": "keyint",
    "codec": "base",
    "steps": "fit",
}
#: Set by rate control, not by callers.
_INTERNAL = ("header_q", "zone_start")


def list_options(*kinds: type) -> Callable[[_F], _F]:
    """Show the options in the signature, in place of `**options`."""

    def decorate(function: _F) -> _F:
        signature = inspect.signature(function)
        own = {n: p for n, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD}
        options = [
            inspect.Parameter(
                f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type
            )
            for kind in kinds
            for f in _keywords(kind)
            if f.name not in own
        ]
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own.values(), *options]
        )
        return function

    return decorate


def split_options(options: Mapping[str, Any], *kinds: type) -> list[dict[str, Any]]:
    """The options of each kind. Raises `UsageError` for others."""
    names = [[field.name for field in _keywords(kind)] for kind in kinds]
    known = [name for some in names for name in some]
    for name in options:
        if name not in known:
            near = _MEANT.get(name) or next(iter(difflib.get_close_matches(name, known, 1)), None)
            meant = f"; did you mean {near}?" if near else f"; there are {', '.join(known)}"
            raise UsageError(f"there is no option {name}{meant}")
    return [{name: options[name] for name in some if name in options} for some in names]


def make_config(config: EncoderConfig | None, options: Mapping[str, Any]) -> EncoderConfig:
    """Either `config` or its fields. Raises `UsageError`."""
    if config is not None and options:
        raise UsageError("give either config or its fields")
    return config or EncoderConfig(**split_options(options, EncoderConfig)[0])


def _keywords(kind: type) -> list[Field[Any]]:
    return [f for f in fields(kind) if f.default is not MISSING and f.name not in _INTERNAL]
