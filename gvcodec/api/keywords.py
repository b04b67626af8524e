"""Fields of `EncoderConfig` as keywords of a function: static types come from
`Unpack[EncoderOptions]`, and `help()` shows the names, types and defaults."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

from gvcodec.config import EncoderConfig, EncoderOptions
from gvcodec.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., object])
#: What other encoders call an option.
_MEANT = {
    "quality": "q",
    "crf": "q",
    "qp": "q",
    "gop": "keyint",
    "codec": "base",
    "steps": "fit_steps",
}
#: Set by rate control, not by callers.
_INTERNAL = ("header_q",)


def list_options(function: _F) -> _F:
    """Show the encoder's options in the signature, in place of `**options`."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
        )
        for field in fields(EncoderConfig)
        if field.name not in _INTERNAL
    ]
    function.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, *options]
    )
    return function


def make_config(config: EncoderConfig | None, options: EncoderOptions) -> EncoderConfig:
    """Either `config` or its fields. Raises `UsageError`."""
    if config is not None and options:
        raise UsageError("give either config or its fields")
    known = [field.name for field in fields(EncoderConfig) if field.name not in _INTERNAL]
    for name in options:
        if name not in known:
            near = _MEANT.get(name) or next(iter(difflib.get_close_matches(name, known, 1)), None)
            meant = f"; did you mean {near}?" if near else f"; there are {', '.join(known)}"
            raise UsageError(f"there is no option {name}{meant}")
    return config or EncoderConfig(**options)
