"""Command line: `python -m eval.batch --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eval.tools import EvalError, say, write_json


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval.batch", description="Batch encoding on trial."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/batch"),
        metavar="DIR",
        help="for clips, streams, JSONs",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    kill = commands.add_parser("kills", help="SIGKILL at random moments")
    kill.add_argument("kind", choices=("local", "worker", "node", "driver"))
    kill.add_argument("--count", type=int, default=20, metavar="N")
    kill.add_argument("--seed", type=int, default=1, metavar="N")
    fast = commands.add_parser("speed", help="two cores against one, interleaved")
    fast.add_argument("video", type=Path)
    fast.add_argument("--keyint", type=int, default=24, metavar="N", help="length of a chunk")
    fast.add_argument("--rounds", type=int, default=3, metavar="N")
    fast.add_argument("--cases", default="av1,vvc,klt", metavar="NAME,…")
    check = commands.add_parser("check", help="the simulation against two real cores")
    check.add_argument("--rounds", type=int, default=3, metavar="N")
    cost = commands.add_parser(
        "costs", help="core-seconds and memory by base and preset, and the simulation from them"
    )
    cost.add_argument("video", type=Path)
    cost.add_argument("--frames", type=int, default=16, metavar="N")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        name, found = _run(options)
    except EvalError as error:
        say(str(error))
        return 1
    write_json(options.out / f"{name}.json", found)
    say(f"{options.out / name}.json: {found}")
    return 0


def _run(options: argparse.Namespace) -> tuple[str, dict[str, object]]:
    if options.command == "kills":
        from eval.batch.kills import kills

        return f"kills_{options.kind}", kills(
            options.kind, options.count, options.out, options.seed
        )
    if options.command == "costs":
        from eval.batch.costs import costs, scaling

        found = costs(options.video, options.frames)
        return "costs", found | {"scaling": scaling(found["rows"])}
    from eval.batch.speed import check, speed

    if options.command == "check":
        return "check", check(options.out, options.rounds)
    return "speed", speed(
        options.video, options.keyint, options.rounds, options.cases.split(","), options.out
    )


if __name__ == "__main__":
    sys.exit(main())
