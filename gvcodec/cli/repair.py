"""`gvcodec repair IN OUT`: saves the intact part of a damaged stream as a whole one."""

from __future__ import annotations

import argparse

from gvcodec.cli._arguments import add_input, add_limits, add_model, add_output, add_threads, call
from gvcodec.edit.repair import repair
from gvcodec.errors import DamagedStreamError
from gvcodec.one_file.read import CHANGE_LINE
from gvcodec.util.file_io import display_name
from gvcodec.util.messages import count_noun, log_line

EXAMPLES = ("repair damaged.gvc rest.gvc", "repair - rest.gvc < damaged.gvc")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    add_output(parser)
    parser.add_argument(
        "--like",
        metavar="FILE",
        help="stream of the same encoder settings, whose header replaces one that is lost",
    )
    add_model(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    result = call(repair, options, options.input, options.output)
    name = display_name(options.input)
    for line in (*result.notes, *result.losses):
        if not line.startswith(CHANGE_LINE):  # it was said when the file was opened
            log_line(f"{name}: {line}")
    log_line(f"{options.output}: {count_noun(result.kept, 'frame')} kept, {result.lost} lost")
    if result.losses:
        raise DamagedStreamError(
            f"{name}: something is lost; {options.output} holds what is intact"
        )
