"""`gvcodec summarize FILE`: adds a summary for search to a stream."""

from __future__ import annotations

import argparse
from fractions import Fraction

from gvcodec.api.moments import summarize
from gvcodec.cli._arguments import (
    EMBEDDERS,
    add_limits,
    add_model,
    add_overwrite,
    add_threads,
    call,
    use_threads,
)
from gvcodec.errors import UsageError
from gvcodec.retrieval.embedders import DEFAULT
from gvcodec.retrieval.making import SHARE
from gvcodec.util.messages import count_noun, log_line
from gvcodec.util.options import parse_with

EXAMPLES = (
    "summarize film.gvc -o found.gvc",
    "summarize film.gvc -y --summary lp --summary-rate 1",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", help="stream; with -y the summary is added to this file")
    add("-o", dest="output", metavar="OUT", help="write the stream with its summary here")
    add(
        "--summary",
        default=DEFAULT,
        metavar="NAME",
        help=f"embedder: {EMBEDDERS} ({DEFAULT}); takes at most 1 %% of the file",
    )
    add(
        "--summary-rate",
        type=parse_with(Fraction, "not a share of the frames, as in 1 or 1/8"),
        metavar="RATE",
        help="tokens per frame, at most 1, as in 1/8, of any size (as many as fit in 1 %%)",
    )
    add_overwrite(parser)
    add_model(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    if "-" in (options.file, options.output):
        raise UsageError(
            "a summary is made of a file that can be read from any place, not of a pipe"
        )
    if not options.output and not options.overwrite:
        raise UsageError(f"{options.file}: -y adds the summary to this file, -o OUT to a copy")
    use_threads(options.threads)
    keywords = {"embedder": options.summary, "rate": options.summary_rate, "progress": "auto"}
    report = call(summarize, options, options.file, options.output, **keywords)
    share = 100 * report.summary_bytes / report.size
    log_line(
        f"{options.output or options.file}: {count_noun(report.frames, 'frame')}, "
        f"summary of {report.summary_bytes:,} bytes, {share:.2f} % of the file"
    )
    if share > 100 * SHARE and options.summary_rate is None:
        log_line("one vector for each GOP takes more than 1 % of a file as small as this")
