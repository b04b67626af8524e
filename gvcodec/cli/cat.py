"""`gvcodec cat IN … -o OUT`: streams one after another, without encoding."""

from __future__ import annotations

import argparse
import contextlib

from gvcodec.bitstream import Reader
from gvcodec.cli._arguments import add_limits, add_overwrite, add_threads, limits_of
from gvcodec.errors import UsageError
from gvcodec.limits import held
from gvcodec.one_file.files import create_stream, open_stream
from gvcodec.streams.cat import cat
from gvcodec.util.file_io import shown_name
from gvcodec.util.messages import counted, say

HELP = "streams one after another, without encoding"
EXAMPLES = ("cat first.gvc second.gvc -o both.gvc", "cat *.gvc -o - | gvcodec decode - all.mp4")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="streams of one format, - = standard input"
    )
    parser.add_argument(
        "-o",
        dest="output",
        required=True,
        metavar="OUT",
        help="stream to write, - = standard output",
    )
    add_overwrite(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    if options.inputs.count("-") > 1:
        raise UsageError("standard input can be read only once")
    with contextlib.ExitStack() as stack:
        readers = [
            Reader(stack.enter_context(open_stream(path)), shown_name(path))
            for path in options.inputs
        ]
        output = stack.enter_context(create_stream(options.output, options.overwrite))
        with held(readers[0].header, False, limits_of(options)):
            frames, notes = cat(readers, output, options.threads, limits_of(options))
    for note in notes:
        say(note)
    say(f"{options.output}: {counted(frames, 'frame')} of {counted(len(readers), 'stream')}")
