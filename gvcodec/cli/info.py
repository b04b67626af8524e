"""`gvcodec info IN`: what a stream holds."""

from __future__ import annotations

import argparse
import json

from gvcodec.bitstream import Reader
from gvcodec.cli._arguments import add_input, located
from gvcodec.cli._standard_streams import out
from gvcodec.one_file.files import open_stream
from gvcodec.streams.info import facts, text
from gvcodec.util.file_io import shown_name

HELP = "check a stream and say what it holds"
EXAMPLES = ("info film.gvc", "info film.gvc --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, with every packet")


def run(options: argparse.Namespace) -> None:
    with open_stream(options.input) as source:
        reader = Reader(source, shown_name(options.input))
        with located(reader):
            found = facts(reader)
    if options.json:
        out(json.dumps(found, indent=2))
    else:
        out(text(found))
