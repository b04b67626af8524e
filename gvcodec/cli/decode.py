"""`gvcodec decode IN OUT`: a stream to a video file, images or a pipe."""

from __future__ import annotations

import argparse
import time

from gvcodec.api.decoding import decode_file
from gvcodec.cli._arguments import (
    add_limits,
    add_model,
    add_overwrite,
    add_part,
    add_progress,
    add_threads,
    end_of,
    integer,
    limits_of,
    number,
    picture_size,
    progress_of,
)
from gvcodec.errors import DamagedStreamError
from gvcodec.util.file_io import display_name
from gvcodec.util.messages import say

HELP = "gvcodec stream to video"
EXAMPLES = ("decode film.gvc film.mp4", "decode film.gvc - --start 1:15 | ffplay -")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="stream, - = standard input")
    parser.add_argument(
        "output",
        metavar="OUT",
        help=".mp4, .mkv, .mov, .webm, .gif, .y4m, frame%%05d.png, or - = standard output (see -f)",
    )
    parser.add_argument("--fidelity", action="store_true", help="base frames, without the painter")
    parser.add_argument(
        "-f",
        "--format",
        choices=("y4m", "matroska", "nut"),
        metavar="NAME",
        help="of standard output: y4m, matroska or nut; these keep colour tags and sound (y4m)",
    )
    quality = parser.add_mutually_exclusive_group()
    quality.add_argument(
        "--crf",
        type=number,
        metavar="N",
        help=".mp4, .mkv, .mov: quality of x264 or x265, .webm: of VP9 (visually lossless)",
    )
    quality.add_argument(
        "--lossless",
        action="store_true",
        help=".mp4, .mkv and .mov: exact samples; large, and few players show them",
    )
    add_part(parser)
    parser.add_argument(
        "--frames", type=integer(1), metavar="N", help="number of frames to write (all)"
    )
    parser.add_argument(
        "--scale",
        type=picture_size,
        metavar="WxH|1/2",
        help="write pictures of this size, or so many times as large",
    )
    parser.add_argument(
        "--low-delay", action="store_true", help="give every frame out as soon as it can be"
    )
    parser.add_argument(
        "--follow",
        type=number,
        metavar="SECONDS",
        help="IN is still being written: at its end wait so long for more",
    )
    parser.add_argument(
        "--ignore-errors",
        action="store_true",
        help="where frames are lost show the last one until the next keyframe",
    )
    add_limits(parser)
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="NAME",
        help="where the networks of tokens run: cpu, cuda, cuda:1 (cpu)",
    )
    add_model(parser)
    add_threads(parser)
    add_progress(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    began = time.monotonic()
    shown = progress_of(options)
    done = decode_file(
        options.input,
        options.output,
        fidelity=options.fidelity,
        start=options.start,
        end=end_of(options),
        frames=options.frames,
        scale=options.scale,
        crf=options.crf,
        lossless=options.lossless,
        form=options.format,
        low_delay=options.low_delay,
        follow=options.follow,
        ignore_errors=options.ignore_errors,
        overwrite=options.overwrite,
        progress=shown["mode"],
        verbose=shown["verbose"],
        threads=options.threads,
        models=options.model,
        device=options.device,
        limits=limits_of(options),
        hold=True,
    )
    for line in done.losses:
        say(f"{display_name(options.input)}: {line}")
    say(f"{options.output}: {', '.join(done.outcome)}, {time.monotonic() - began:.1f} s")
    if done.losses:
        raise DamagedStreamError(
            f"{display_name(options.input)}: damaged, {options.output} holds what is left of it"
        )
