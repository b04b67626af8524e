"""Configuration files of training: flat TOML whose keys are the fields of a dataclass."""

from __future__ import annotations

import argparse
import math
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from gvcodec.errors import UsageError

Settings = TypeVar("Settings")
_TYPES: dict[str, Any] = {"bool": bool, "str": str, "int": int, "float": (int, float)}
_TYPES |= dict.fromkeys(["tuple[int, ...]", "tuple[str, ...]"], list)


def parse_run(
    parser: argparse.ArgumentParser,
    words: Sequence[str] | None,
    kind: type[Settings],
    overrides: Sequence[str],
    added: Sequence[str] = (),
) -> tuple[argparse.Namespace, Settings]:
    """Options and configuration; options replace the keys `overrides`, and `added`, which the
    parser has already. `options.minutes` and `options.steps` end a run, whichever comes first.
    Raises `UsageError`."""
    parser.add_argument("config", type=Path, help="TOML file, keys of TrainConfig")
    parser.add_argument(
        "--minutes", type=float, help="stop after this time (60, without limit with --steps)"
    )
    parser.add_argument("--steps", type=int, default=0, help="stop at this step (no limit)")
    for name in overrides:
        parser.add_argument(f"--{name.replace('_', '-')}", help="overrides the key of the file")
    options = parser.parse_args(words)
    if options.steps < 0 or (options.minutes is not None and not options.minutes >= 0):
        raise UsageError("--steps and --minutes are not negative")
    values = {n: value for n in (*overrides, *added) if (value := getattr(options, n))}
    return options, replace(read_settings(options.config, kind), **values)  # type: ignore[type-var]


def time_limit(options: argparse.Namespace) -> float:
    """Minutes of a run whose plan has no end: an hour, unless `--minutes` or `--steps` ends it."""
    if options.minutes is not None:
        return float(options.minutes)
    return math.inf if options.steps else 60.0


def read_settings(path: Path, kind: type[Settings]) -> Settings:
    """A dataclass `kind` out of a file. Raises `UsageError`: unknown, missing or wrong keys."""
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    values.pop("model", None)
    field_of = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in field_of:
            raise UsageError(f"{path}: unknown key {key}")
        name = str(field_of[key].type)
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool) != (name == "bool"):
            raise UsageError(f"{path}: {key} must be of type {name}")
        if isinstance(value, list):
            if not all(type(v) is (str if "str" in name else int) for v in value):
                raise UsageError(f"{path}: {key} must be of type {name}")
            values[key] = tuple(value)
    if missing := [n for n, f in field_of.items() if f.default is MISSING and n not in values]:
        raise UsageError(f"{path}: {missing[0]} is missing")
    return kind(**values)
