"""`gvcodec train CONFIG`: the renderer."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from gvcodec.errors import UsageError
from gvcodec.train.settings import read_toml

#: What the key `model` of a configuration says, and the module that trains it.
_TRAINERS = {"renderer": "gvcodec.train.loop"}


HELP = "train the renderer"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config",
        type=Path,
        help="TOML file (keys: gvcodec.train.loop.TrainConfig)",
    )
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="stop after this time (default 60)"
    )
    parser.add_argument(
        "--cache",
        help="folder of material: python -m gvcodec.train.cache (overrides the file)",
    )
    parser.add_argument("--out", help="folder for checkpoint, log and sheets (overrides the file)")


def run(options: argparse.Namespace) -> None:
    kind = read_toml(options.config).get("model", "renderer")
    if kind not in _TRAINERS:
        raise UsageError(f"{options.config}: model is {' or '.join(_TRAINERS)}")
    main = import_module(_TRAINERS[kind]).main
    print(main(options.config, options.minutes, options.out, options.cache))
