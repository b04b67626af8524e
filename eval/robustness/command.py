"""`python -m eval robustness`: what becomes of damaged and made-up files."""

from __future__ import annotations

import argparse
import sys

from eval import arguments as shared
from eval.robustness import table
from eval.tools import EvalError


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parts = f"of {', '.join(table.PARTS)}"
    add("--parts", type=shared.words, default=list(table.PARTS), metavar="NAME,…", help=parts)
    add("--flips", type=int, default=10000, help="random bit flips (default 10000)")
    seconds = "of each fuzz target (default 300)"
    add("--fuzz-seconds", type=int, default=300, metavar="S", help=seconds)
    shared.add_out(parser, "out/robustness", "what is there is kept")
    shared.add_readme(parser, "robustness")


def run(options: argparse.Namespace) -> int:
    if unknown := set(options.parts) - set(table.PARTS):
        listed = ", ".join(table.PARTS)
        raise EvalError(f"--parts: no {', '.join(sorted(unknown))}; there are {listed}")
    findings = table.measure(options.out, options.parts, options.flips, options.fuzz_seconds, print)
    shared.publish(options, {"robustness": table.to_markdown(options.out)})
    for line in findings:
        print(f"eval: {line}", file=sys.stderr)
    return 1 if findings else 0
