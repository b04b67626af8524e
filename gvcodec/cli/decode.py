"""`gvcodec decode IN OUT`: a stream to a video file, images or a pipe."""

from __future__ import annotations

import argparse
import time

from gvcodec.api.decoding import DecodeRequest, decode_file
from gvcodec.cli._arguments import (
    add_limits,
    add_model,
    add_overwrite,
    add_part,
    add_progress,
    add_threads,
    end_of,
    limits_of,
    mode_of,
)
from gvcodec.errors import DamagedStreamError
from gvcodec.one_file.read import CHANGE_LINE
from gvcodec.util.file_io import display_name
from gvcodec.util.messages import log_line
from gvcodec.util.options import add_options, values_of

EXAMPLES = ("decode film.gvc film.mp4", "decode film.gvc - --start 1:15 | ffplay -")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", metavar="IN", help="stream, - = standard input")
    add(
        "output",
        metavar="OUT",
        help=".mp4, .mkv, .mov, .webm, .avi, .ts, .gif, .y4m, frame%%05d.png, or - = standard "
        "output (see -f)",
    )
    add_options(parser, DecodeRequest)
    add_options(parser, DecodeRequest, group="quality", exclusive=True)
    add_part(parser)
    add_options(parser, DecodeRequest, group="shown")
    add_options(parser, DecodeRequest, group="sound", exclusive=True).add_argument(
        "--no-sound", dest="sound", action="store_const", const="none", help="as --sound none"
    )
    add_limits(parser)
    add_options(parser, DecodeRequest, group="device")
    add_model(parser)
    add_threads(parser)
    add_progress(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    start = time.monotonic()
    settings = values_of(
        DecodeRequest, options, end=end_of(options), limits=limits_of(options), enforce_rlimit=True
    )
    files, bar = (settings.pop("input"), settings.pop("output")), mode_of(options)
    report = decode_file(*files, progress=bar, verbose=options.verbose, **settings)
    for line in report.losses:
        if not line.startswith(CHANGE_LINE):  # it was said when the file was opened
            log_line(f"{display_name(options.input)}: {line}")
    log_line(f"{options.output}: {', '.join(report.outcome)}, {time.monotonic() - start:.1f} s")
    if report.losses:
        raise DamagedStreamError(
            f"{display_name(options.input)}: damaged; {options.output} holds the frames that could "
            "be decoded"
        )
