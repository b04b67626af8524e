"""`python -m eval report DIR`: the report of a folder, from its JSONs."""

from __future__ import annotations

import argparse
from pathlib import Path

from eval import arguments as shared
from eval.report import make


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("dir", type=Path, metavar="DIR", help="the --out folder of `rd`")
    shared.add_readme(parser, "summary, headline and results")


def run(options: argparse.Namespace) -> None:
    print(make(options.dir, options.readme))
