"""`gvcodec compare IN OUT`: one's own clip coded by gvcodec and by others at equal bytes, as a
page."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from gvcodec.api import encode_file
from gvcodec.cli._arguments import add_overwrite
from gvcodec.cli.encode import coding_arguments, config_of
from gvcodec.compare import PEERS, compare
from gvcodec.errors import UsageError
from gvcodec.file_io import PendingFile
from gvcodec.messages import say

HELP = "a clip coded by gvcodec and by others at equal bytes, as one HTML page"
EXAMPLES = ("compare film.mp4 film.html --frames 100", "compare film.mp4 film.html --with x265")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="any video")
    parser.add_argument("output", metavar="OUT", help=".html")
    parser.add_argument(
        "--with",
        dest="peers",
        default="x265,svtav1",
        metavar="NAMES",
        help=f"what to compare with, from {', '.join(PEERS)} (x265,svtav1)",
    )
    parser.add_argument(
        "--stream", metavar="FILE", help="a stream made of IN already, instead of coding it now"
    )
    coding_arguments(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    if not options.output.lower().endswith(".html"):
        raise UsageError(f"{options.output}: the page is a .html file")
    if options.stream and options.start:
        raise UsageError("--stream has its own beginning; --start goes without it")
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(PendingFile(options.output, options.overwrite))
        stream = Path(options.stream or "")
        if not options.stream:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gvcodec-"))
            stream = Path(folder, "ours.gvc")
            coded = encode_file(
                options.input,
                stream,
                start=options.start,
                frames=options.frames,
                config=config_of(options),
            )
            for note in coded.notes:
                say(note)
        peers = [name for name in options.peers.split(",") if name]
        made = compare(Path(options.input), stream, peers, say, options.start)
        page.temporary.write_text(made.html, encoding="utf-8")
    for note in made.notes:
        say(note)
    say(f"{options.output}: {len(made.rows)} codecs at equal bytes, {len(made.html) / 1e6:.1f} MB")
