"""`gvcodec info IN`: what a stream holds."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from gvcodec.api.trace import trace
from gvcodec.cli._arguments import add_input
from gvcodec.cli._standard_streams import out
from gvcodec.edit.info import info, text

HELP = "check a stream and print what it holds"
EXAMPLES = ("info film.gvc --json", "info film.gvc --trace")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, with every packet")
    form.add_argument(
        "--trace",
        action="store_true",
        help="every field of every packet, a line of JSON each, with the integers of base "
        "gvc1d and of tokens",
    )


def run(options: argparse.Namespace) -> None:
    if options.trace:
        for structure in trace(options.input):
            out(json.dumps(structure, ensure_ascii=False))
        return
    found = info(options.input)
    if options.json:
        out(json.dumps(asdict(found), indent=2))
    else:
        out(text(found))
