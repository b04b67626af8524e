"""`gvcodec cut IN OUT`: a piece of a stream, without encoding."""

from __future__ import annotations

import argparse

from gvcodec.api.streams import cut
from gvcodec.cli._arguments import (
    add_input,
    add_limits,
    add_output,
    add_threads,
    limits_of,
    seconds,
)
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
    kept = cut(
        options.input,
        options.output,
        options.begin,
        options.end,
        overwrite=options.overwrite,
        threads=options.threads,
        limits=limits_of(options),
        hold=True,
    )
    span = f"{kept.begin:.3f} s to {kept.end:.3f} s"
    last = kept.first + kept.frames - 1
    which = f"frames {kept.first} to {last}" if kept.frames > 1 else f"frame {last}"
    say(f"{options.output}: {which}, {span}")
