"""Command line of the evaluation: `python -m eval --help`.

Each command is a module with `arguments(parser)` and `run(options)`, which gives an exit code or
None; `eval.arguments` has the options that several commands share.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module

from eval.tools import EvalError
from gvcodec.util import signals
from gvcodec.util.options import ExactParser

#: Command → its module and its line in `--help`.
COMMANDS = {
    "rd": ("rd.command", "encode, decode, measure, compare; then make the report"),
    "report": ("report", "make report.md, tables and figures from the JSONs of a folder"),
    "speed": ("rd.speed", "time and memory compared with SVT-AV1, x265 and VVenC"),
    "budgets": ("budgets", "gain of sharing bits among windows (--alloc)"),
    "xcomp": ("xcomp", "one token a frame, and attention to it"),
    "search": ("search", "search accuracy, by method, rate and question"),
    "condense": ("condense", "accuracy of networks trained on condensed sets"),
    "fetch": ("fetch", "clips of UVG from their publisher"),
    "weights": ("metrics.weights", "make the weight files of LPIPS and DISTS"),
    "loop": ("report.loop", "a clip of gvcodec, x265 and SVT-AV1 at equal bytes, moving"),
    "votes": ("votes", "score codecs by votes of people (gvcodec compare --blind)"),
    "failures": ("report.failures", "parts of videos that painting makes worse"),
}
#: Of the extra `eval`, as they are imported.
PACKAGES = ("PIL", "bjontegaard", "imageio_ffmpeg", "matplotlib", "scipy", "torch")


def main(arguments: list[str] | None = None) -> int:
    """Run a command, return the exit code. Only the module of the command is imported."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = ExactParser(
        prog="python -m eval", description="Rate–distortion evaluation of gvcodec."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {}
    try:
        for name, (path, help) in COMMANDS.items():
            command = commands.add_parser(name, help=help)
            if name in words:
                modules[name] = import_module(f"eval.{path}")
                modules[name].arguments(command)
        options = parser.parse_args(words)
        signals.OnAbort(_say_resumes)
        with signals.guard_signals() if arguments is None else contextlib.nullcontext():
            return modules[options.command].run(options) or 0
    except EvalError as error:
        print(f"eval: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (name := (error.name or "").partition(".")[0]) not in PACKAGES:
            raise
        print(f"eval: {name} is not installed: pip install 'gvcodec[eval]'", file=sys.stderr)
        return 1


def _say_resumes() -> None:
    os.write(2, b"\neval: stopped; the same command resumes its work\n")


if __name__ == "__main__":
    sys.exit(main())
