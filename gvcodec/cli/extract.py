"""`gvcodec extract IN OUT`: the standard bitstream in a stream as a playable file."""

from __future__ import annotations

import argparse

from gvcodec.bitstream import Reader
from gvcodec.cli._arguments import add_limits, add_overwrite, limits_of
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import held
from gvcodec.streams.extract import extract
from gvcodec.util.file_io import open_input, shown_name
from gvcodec.util.messages import counted, say

HELP = "the standard bitstream in a stream as a playable file"
EXAMPLES = ("extract film.gvc film.mp4", "extract film.gvc film.mkv -y")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", metavar="IN", help="stream made with --base av1 or vvc, - = standard input"
    )
    parser.add_argument(
        "output", metavar="OUT", help=".mp4, .mkv, .mov; .ivf or .obu (av1), .266 (vvc)"
    )
    add_limits(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    with open_input(options.input) as source:
        reader = Reader(source, shown_name(options.input))
        try:
            most = limits_of(options)
            with held(reader.header, False, most):
                frames, left_out = extract(reader, options.output, options.overwrite, most)
        except DamagedStreamError as error:
            raise reader.named(error) from error
    note = f" (without {' and '.join(left_out)})" if left_out else ""
    say(f"{options.output}: {counted(frames, 'frame')} of {reader.header.base}, copied{note}")
