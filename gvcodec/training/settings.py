"""Configuration files of training: flat TOML whose keys are the fields of a dataclass. `model` says
which trainer reads the rest."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from gvcodec.errors import UsageError

Settings = TypeVar("Settings")
_TYPES: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "tuple[int, ...]": list}


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a file. Raises `UsageError`."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None


def read_settings(path: Path, kind: type[Settings]) -> Settings:
    """A dataclass `kind` out of a file. Raises `UsageError` for an unknown key, a wrong type or a
    missing one."""
    values = read_toml(path)
    values.pop("model", None)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{path}: unknown key {key}")
        name = str(known[key].type)
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise UsageError(f"{path}: {key} must be of type {name}")
        if isinstance(value, list):
            if not all(type(v) is int for v in value):
                raise UsageError(f"{path}: {key} must be of type {name}")
            values[key] = tuple(value)
    if missing := [n for n, f in known.items() if f.default is MISSING and n not in values]:
        raise UsageError(f"{path}: {missing[0]} is missing")
    return kind(**values)
