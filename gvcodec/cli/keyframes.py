"""`gvcodec keyframes IN`: the frames that say most of a video."""

from __future__ import annotations

import argparse
from pathlib import Path

from gvcodec.cli._arguments import (
    add_limits,
    add_overwrite,
    add_threads,
    integer,
    limits_of,
    use_threads,
)
from gvcodec.cli._standard_streams import out
from gvcodec.errors import MediaError, UsageError

HELP = "choose the frames that say most of a video"
EXAMPLES = ("keyframes film.mp4", "keyframes film.gvc")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="stream or any video")
    parser.add_argument(
        "-k", type=integer(1, 256), default=8, metavar="N", help="frames to choose (8)"
    )
    parser.add_argument(
        "-o", dest="folder", type=Path, metavar="DIR", help="write them there as frame00042.png …"
    )
    parser.add_argument(
        "--model", type=Path, metavar="PATH", help="another checkpoint of the network"
    )
    add_overwrite(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    from gvcodec.condense.keyframes import load, scores_of, select
    from gvcodec.condense.sampling import sampled
    from gvcodec.file_io import PendingFile
    from gvcodec.media.planes import rgb_from_planes
    from gvcodec.media.writer import png
    from gvcodec.streams.sheet import clock

    if options.input == "-":
        raise UsageError("keyframes are chosen from a file, not from a pipe")
    use_threads(options.threads)
    chooser = load(options.model)
    found = sampled(options.input, limits_of(options))
    places = select(scores_of(chooser, found.pictures), options.k)
    if options.folder is not None:
        try:
            options.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MediaError(f"{options.folder}: {error.strerror}") from error
        wanted = {found.numbers[place] for place in places}
        for number, planes in found.frames(wanted):
            with PendingFile(
                options.folder / f"frame{number:05d}.png", options.overwrite
            ) as pending:
                pending.temporary.write_bytes(png(rgb_from_planes(planes, found.format.colour)))
    for place in places:
        out(f"{found.numbers[place]:7}  {clock(found.seconds[place])}")
