"""`gvcodec frame FILE OUT`: one frame as .png, .jpg or .avif; only its GOP is read."""

from __future__ import annotations

import argparse
from pathlib import Path

from gvcodec.cli._arguments import add_picture, integer, opened_video, pending_still, seconds
from gvcodec.errors import UsageError
from gvcodec.media.stills import still
from gvcodec.streams.sheet import clock, seconds_of
from gvcodec.util.messages import say
from gvcodec.video import Video

HELP = "one frame as a picture"
EXAMPLES = ("frame film.gvc frame.png -t 1:15", "frame film.gvc first.avif -n 0")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_picture(parser, ".png, .jpg or .avif")
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


def run(options: argparse.Namespace) -> None:
    with pending_still(options) as pending, opened_video(options) as video:
        number = _at(video, options.time) if options.number is None else options.number
        if not number < len(video):
            raise UsageError(f"{options.input}: has no frame {number}, it has {len(video)}")
        (found,) = video.decoded(number, number + 1)
        suffix = Path(options.output).suffix.lower()
        pending.temporary.write_bytes(still(suffix, found.planes, video.header.format))
        kind = "painted" if video.painted else "base frame"
        say(f"{options.output}: frame {number}, at {clock(seconds_of(video, number))}, {kind}")


def _at(video: Video, time: float) -> int:
    """The frame on screen so many seconds after the first one."""
    try:
        return video.played_at(time)
    except IndexError:
        raise UsageError(f"{video.name}: ends before {clock(time)}") from None
