"""`python -m eval batch`: batch encoding on trial."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from eval.arguments import add_out, words
from eval.batch.costs import costs
from eval.batch.kills import kills
from eval.batch.speed import CASES, speed
from eval.tools import say, write_json


def arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser, "out/batch", "for clips, streams, JSONs")
    trials = parser.add_subparsers(dest="trial", required=True, metavar="TRIAL")
    add = trials.add_parser("kills", help="SIGKILL at random moments").add_argument
    add("kind", choices=("local", "worker", "node", "driver"))
    add("--count", type=int, default=20, metavar="N")
    add("--seed", type=int, default=1, metavar="N")
    add = trials.add_parser("speed", help="two cores against one, interleaved").add_argument
    add("video", type=Path)
    add("--keyint", type=int, default=24, metavar="N", help="length of a chunk")
    add("--rounds", type=int, default=3, metavar="N")
    add("--cases", type=words, default=list(CASES), metavar="NAME,…")
    add = trials.add_parser("costs", help="core-seconds and memory by base").add_argument
    add("video", type=Path)
    add("--frames", type=int, default=16, metavar="N")


def run(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    name, found = _measured(options)
    write_json(options.out / f"{name}.json", found)
    say(f"{options.out / name}.json: {found}")


def _measured(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    if options.trial == "kills":
        found = kills(options.kind, options.count, options.out, options.seed)
        return f"kills_{options.kind}", found
    if options.trial == "costs":
        return "costs", costs(options.video, options.frames)
    found = speed(options.video, options.keyint, options.rounds, options.cases, options.out)
    return "speed", found
