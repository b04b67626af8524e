"""`gvcodec sheet FILE OUT`: small frames with their times in one PNG."""

from __future__ import annotations

import argparse
import re

from gvcodec.cli._arguments import add_picture, integer, opened_video, pending_png
from gvcodec.media.writer import png
from gvcodec.streams.sheet import sheet
from gvcodec.util.messages import counted, say

HELP = "many small frames in one picture, with their times"
EXAMPLES = ("sheet film.gvc sheet.png", "sheet film.gvc sheet.png --tiles 6x8")
#: Columns, or rows.
_MOST_TILES = 64


def arguments(parser: argparse.ArgumentParser) -> None:
    add_picture(parser)
    parser.add_argument(
        "--tiles", type=_tiles, default=(4, 4), metavar="CxR", help="columns and rows at most (4x4)"
    )
    parser.add_argument(
        "--width",
        type=integer(64, 8192),
        default=1280,
        metavar="N",
        help="width of the picture (1280)",
    )


def run(options: argparse.Namespace) -> None:
    with pending_png(options) as pending, opened_video(options) as video:
        picture, count = sheet(video, options.tiles, options.width)
        pending.temporary.write_bytes(png(picture))
        kind = "painted" if video.painted else "base frames"
        say(f"{options.output}: {count} of {counted(len(video), 'frame')}, {kind}")


def _tiles(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,3})x(\d{1,3})", text)
    columns, rows = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (0 < columns <= _MOST_TILES and 0 < rows <= _MOST_TILES):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of tiles like 4x4, {_MOST_TILES}x{_MOST_TILES} at most"
        )
    return columns, rows
