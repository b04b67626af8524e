"""`gvcodec info IN`: the contents of a stream."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from gvcodec.api.info import format_info, info
from gvcodec.cli._arguments import add_input
from gvcodec.cli._standard_streams import out

EXAMPLES = ("info film.gvc", "info film.gvc --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, with every packet")


def run(options: argparse.Namespace) -> None:
    facts = info(options.input)
    if options.json:
        out(json.dumps(asdict(facts), indent=2))
    else:
        out(format_info(facts))
