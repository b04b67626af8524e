"""Configuration files of training: flat TOML whose keys are the fields of a dataclass. `model` says
which trainer reads the rest."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from gvcodec.errors import UsageError

Settings = TypeVar("Settings")
Run = TypeVar("Run", bound="RunConfig")
_TYPES: dict[str, Any] = {
    "bool": bool,
    "str": str,
    "int": int,
    "float": (int, float),
    "tuple[int, ...]": list,
    "tuple[str, ...]": list,
}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run is given. `cache`: folder of material; `out`: folder to write; `batch`:
    crops a step, of `size` luma samples; times in minutes as `loop` counts them, `warm_up` in
    steps; `average`: share that the averaged weights keep of themselves in a step; `guard` and
    `contrast`: weights of those losses; `threads` of torch, 0 = as many as it likes."""

    cache: str
    out: str
    seed: int = 1
    batch: int = 8
    size: int = 128
    learning_rate: float = 8e-4
    plan_minutes: float = 50.0
    warm_up: int = 300
    average: float = 0.995
    guard: float = 0.1
    contrast: float = 0.07
    validate_minutes: float = 15.0
    validate_samples: int = 16
    threads: int = 0

    def describe(self) -> dict[str, Any]:
        """All but the folders, for the card of what is trained."""
        return {key: value for key, value in asdict(self).items() if key not in ("cache", "out")}


def parse_run(
    parser: argparse.ArgumentParser, words: Sequence[str] | None, kind: type[Run]
) -> tuple[argparse.Namespace, Run]:
    """Options and configuration of a trainer: its file, `--minutes`, and folders in place of the
    file's. Raises `UsageError`."""
    parser.add_argument("config", type=Path, help="TOML file, keys of TrainConfig")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this time (60)")
    parser.add_argument("--cache", help="folder of material (overrides the file)")
    parser.add_argument("--out", help="folder to write (overrides the file)")
    options = parser.parse_args(words)
    given = {key: getattr(options, key) for key in ("cache", "out") if getattr(options, key)}
    return options, replace(read_settings(options.config, kind), **given)


def read_settings(path: Path, kind: type[Settings]) -> Settings:
    """A dataclass `kind` out of a file. Raises `UsageError` for an unknown key, a wrong type or a
    missing one."""
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    values.pop("model", None)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{path}: unknown key {key}")
        name = str(known[key].type)
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool) != (name == "bool"):
            raise UsageError(f"{path}: {key} must be of type {name}")
        if isinstance(value, list):
            kind_of = str if "str" in name else int
            if not all(type(v) is kind_of for v in value):
                raise UsageError(f"{path}: {key} must be of type {name}")
            values[key] = tuple(value)
    if missing := [n for n, f in known.items() if f.default is MISSING and n not in values]:
        raise UsageError(f"{path}: {missing[0]} is missing")
    return kind(**values)
