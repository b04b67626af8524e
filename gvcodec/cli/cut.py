"""`gvcodec cut IN OUT`: a piece of a stream, without encoding."""

from __future__ import annotations

import argparse

from gvcodec.bitstream import Reader
from gvcodec.cli._arguments import (
    add_input,
    add_limits,
    add_output,
    add_threads,
    exact,
    limits_of,
    located,
    seconds,
    streams,
)
from gvcodec.errors import UsageError
from gvcodec.limits import held
from gvcodec.streams.cut import cut
from gvcodec.util.file_io import shown_name
from gvcodec.util.messages import say

HELP = "a piece of a stream, from keyframe to keyframe, without encoding"
EXAMPLES = (
    "cut film.gvc scene.gvc --from 1:15 --to 1:45",
    "cut film.gvc - --to 10 | gvcodec decode - start.mp4",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    add_output(parser)
    parser.add_argument(
        "--from",
        dest="begin",
        type=seconds,
        default=0.0,
        metavar="T",
        help="begin at the keyframe before",
    )
    parser.add_argument(
        "--to", dest="end", type=seconds, metavar="T", help="end at the keyframe after (the end)"
    )
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    begin, end = (None if time is None else exact(time) for time in (options.begin, options.end))
    if begin is None or (end is not None and end <= begin):
        raise UsageError("--to has to be later than --from")
    with streams(options) as (source, output):
        reader = Reader(source, shown_name(options.input))
        with located(reader), held(reader.header, False, limits_of(options)):
            kept = cut(reader, output, begin, end, options.threads, limits_of(options))
    span = f"{kept.begin:.3f} s to {kept.end:.3f} s"
    last = kept.first + kept.frames - 1
    which = f"frames {kept.first} to {last}" if kept.frames > 1 else f"frame {last}"
    say(f"{options.output}: {which}, {span}")
