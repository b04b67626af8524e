"""`gvcodec frame FILE OUT`: one frame as .png, .jpg or .avif; only its GOP is read."""

from __future__ import annotations

import argparse
from pathlib import Path

from gvcodec.cli._arguments import (
    add_limits,
    add_model,
    add_overwrite,
    add_threads,
    limits_of,
)
from gvcodec.errors import UsageError
from gvcodec.limits import memory_limit
from gvcodec.media.planes import rgb_matrix
from gvcodec.media.stills import SUFFIXES, still
from gvcodec.media.writer import without_tag
from gvcodec.util.file_io import PendingFile
from gvcodec.util.messages import clock, say
from gvcodec.util.options import integer, seconds
from gvcodec.video import Video

HELP = "one frame as a picture"
#: H.273's code point for a matrix that is not named.
_UNSPECIFIED = 2
EXAMPLES = ("frame film.gvc frame.png -t 1:15", "frame film.gvc first.avif -n 0")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="FILE", help="stream")
    parser.add_argument("output", metavar="OUT", help=".png, .jpg or .avif")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "-t",
        dest="time",
        type=seconds,
        default=0.0,
        metavar="T",
        help="the frame on screen at T, as 75 or 1:15 (0)",
    )
    which.add_argument(
        "-n", dest="number", type=integer(0), metavar="N", help="frame N, counted from 0"
    )
    parser.add_argument("--fidelity", action="store_true", help="do not paint")
    add_model(parser)
    add_threads(parser)
    add_limits(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    suffix = Path(options.output).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{options.output}: the picture is a .png, .jpg or .avif file")
    if options.input == "-":
        raise UsageError(
            "a picture needs a file that can be read from any place, not standard input"
        )
    most = limits_of(options)
    chosen = {"threads": options.threads, "models": options.model, "limits": most}
    with (
        PendingFile(options.output, options.overwrite) as pending,
        Video(options.input, fidelity=options.fidelity, **chosen) as video,
        memory_limit(video.header, video.painted, most),
    ):
        number = _at(video, options.time) if options.number is None else options.number
        if not number < len(video):
            raise UsageError(f"{options.input}: has no frame {number}, it has {len(video)}")
        (found,) = video.decode_range(number, number + 1)
        pending.temporary.write_bytes(still(suffix, found.planes, video.header.format))
    ticks = video.pts_of(number) - video.pts_of(0)
    time = clock(float(ticks * video.header.format.time_base))
    kind = "painted" if video.painted else "base frame"
    fmt, matrix = video.header.format, ""
    if fmt.colour.matrix == _UNSPECIFIED:
        name = "BT.709" if rgb_matrix(fmt.height) == 1 else "BT.601"
        matrix = f", colours by {name}: the video names no matrix"
    for line in without_tag(fmt.colour, suffix) if suffix in (".jpg", ".jpeg") else ():
        say(f"{options.output}: {line}; .png and .avif have one")
    say(f"{options.output}: frame {number}, at {time}, {kind}{matrix}")


def _at(video: Video, time: float) -> int:
    """The frame on screen so many seconds after the first one."""
    try:
        return video.number_at(time)
    except IndexError:
        raise UsageError(f"{video.name}: ends before {clock(time)}") from None
