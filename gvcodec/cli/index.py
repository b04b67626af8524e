"""`gvcodec index IN OUT`: a lost index and end written anew."""

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
from gvcodec.streams.repair import index
from gvcodec.util.file_io import shown_name
from gvcodec.util.messages import counted, say

HELP = "write a lost index and end anew"
EXAMPLES = ("index film.gvc whole.gvc", "index - whole.gvc < film.gvc")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    add_output(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    with streams(options) as (source, output):
        salvage = Salvage(source, shown_name(options.input))
        with held(salvage.header, False, limits_of(options)):
            frames = index(salvage, output, options.threads, limits_of(options))
    say(f"{options.output}: {counted(frames, 'frame')}, index and end written anew")
