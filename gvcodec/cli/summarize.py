"""`gvcodec summarize FILE`: a summary for search is added to a stream."""

from __future__ import annotations

import argparse
import contextlib

from gvcodec.av1_mux.files import create_stream, open_stream
from gvcodec.bitstream import Reader
from gvcodec.cli._arguments import (
    add_limits,
    add_overwrite,
    add_summary,
    add_threads,
    limits_of,
    use_threads,
)
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.retrieval.embedders import DEFAULT, make
from gvcodec.retrieval.making import SHARE, stride_of, summarize
from gvcodec.util.file_io import PendingFile, protect_inputs
from gvcodec.util.messages import count_noun, say
from gvcodec.util.progress import ProgressBar

HELP = "add a summary for search to a stream"
EXAMPLES = (
    "summarize film.gvc -o found.gvc",
    "summarize film.gvc -y --summary lp --summary-rate 1",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="stream; with -y it gets the summary itself")
    parser.add_argument(
        "-o", dest="output", metavar="OUT", help="write the stream with its summary here"
    )
    add_summary(parser)
    add_overwrite(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    if "-" in (options.file, options.output):
        raise UsageError(
            "a summary is made of a file that can be read from any place, not of a pipe"
        )
    if not options.output and not options.overwrite:
        raise UsageError(f"{options.file}: -y adds the summary to this file, -o OUT to a copy")
    embedder = make(options.summary or DEFAULT)
    stride = stride_of(options.summary_rate)
    use_threads(options.threads)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_stream(options.file))
        if options.output:
            stack.enter_context(protect_inputs([options.file]))
            output = stack.enter_context(create_stream(options.output, options.overwrite))
        else:
            pending = stack.enter_context(PendingFile(options.file, overwrite=True))
            output = stack.enter_context(open(pending.temporary, "wb"))
        reader = Reader(source, options.file)
        bar = stack.enter_context(ProgressBar(["code"]))
        bar.begin("summarize", sum(gop.frames for gop in reader.gops()))
        try:
            frames, spent, size = summarize(
                reader, output, embedder, stride, options.threads, limits_of(options), bar
            )
        except DamagedStreamError as error:
            raise reader.name_file(error) from error
    share = 100 * spent / size
    say(
        f"{options.output or options.file}: {count_noun(frames, 'frame')}, "
        f"summary of {spent:,} bytes, {share:.2f} % of the file"
    )
    if share > 100 * SHARE and not stride:
        say("one vector for each GOP takes more than 1 % of a file as small as this")
