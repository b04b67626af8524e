"""`gvcodec cat IN … -o OUT`: streams one after another, without encoding."""

from __future__ import annotations

import argparse

from gvcodec.cli._arguments import add_limits, add_model, add_overwrite, add_threads, call
from gvcodec.edit.cat import cat
from gvcodec.errors import UsageError
from gvcodec.util.messages import count_noun, log_line

EXAMPLES = ("cat first.gvc second.gvc -o both.gvc", "cat *.gvc -o - | gvcodec decode - all.mp4")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IN", help="streams of one format, - = standard input")
    add(
        "-o",
        dest="output",
        metavar="OUT",
        help="stream to write, - = standard output",
    )
    add_overwrite(parser)
    add_model(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    if options.output is None:
        raise UsageError("-o OUT is missing: the last stream is joined, not written", code="usage")
    report = call(cat, options, options.inputs, options.output)
    for note in report.notes:
        log_line(note)
    count = count_noun(len(options.inputs), "stream")
    log_line(f"{options.output}: {count_noun(report.frames, 'frame')} of {count}")
