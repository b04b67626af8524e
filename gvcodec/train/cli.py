"""`gvcodec train CONFIG`: arguments and dispatch."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("config", type=Path, help="TOML file (keys: gvcodec.train.loop.TrainConfig)")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this time (default 60)")
    parser.add_argument("--cache", help="folder made by python -m gvcodec.train.cache (overrides the file)")
    parser.add_argument("--out", help="folder for checkpoint, log and sheets (overrides the file)")


def run(options: argparse.Namespace) -> int:
    """Train; returns the exit code."""
    from gvcodec.train.loop import main

    print(main(options.config, options.minutes, options.out, options.cache))
    return 0
