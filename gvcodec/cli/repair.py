"""`gvcodec repair IN OUT`: what is left of a damaged stream as a whole one."""

from __future__ import annotations

import argparse

from gvcodec.bitstream import Salvage
from gvcodec.cli._arguments import (
    add_input,
    add_limits,
    add_output,
    add_threads,
    limits_of,
    streams,
)
from gvcodec.limits import held
from gvcodec.streams.repair import repair
from gvcodec.util.file_io import display_name
from gvcodec.util.messages import count_noun, say

HELP = "save what is left of a damaged or cut-off stream"
EXAMPLES = ("repair damaged.gvc rest.gvc", "repair - rest.gvc < damaged.gvc")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    add_output(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    with streams(options) as (source, output):
        salvage = Salvage(source, display_name(options.input))
        with held(salvage.header, False, limits_of(options)):
            result = repair(salvage, output, options.threads, limits_of(options))
    for line in result.losses:
        say(f"{display_name(options.input)}: {line}")
    say(f"{options.output}: {count_noun(result.kept, 'frame')} kept, {result.lost} lost")
