"""`python -m eval keep DIR`: points of a run into the checkout."""

from __future__ import annotations

import argparse
from pathlib import Path

from eval.points.measured import keep


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of `rd`")


def run(options: argparse.Namespace) -> None:
    print(keep(options.dir))
