"""`gvcodec search QUERY FILE…`: finds moments by summaries."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from gvcodec.api.moments import search
from gvcodec.cli._arguments import EMBEDDERS, add_threads, call
from gvcodec.cli._standard_streams import out
from gvcodec.retrieval.ranking import RANKINGS
from gvcodec.util.messages import count_noun, format_time, log_line, one_line
from gvcodec.util.options import integer

EXAMPLES = ("search still.jpg streams/", "search film.gvc@1:15 streams/ -k 10 --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("query", metavar="QUERY", help="picture, video, or FILE@TIME")
    add("inputs", nargs="+", metavar="FILE", help="streams with summaries, or folders of them")
    add("-k", type=integer(1, 1000), default=5, metavar="N", help="moments to show (5)")
    add(
        "--exact",
        type=integer(0, 1000),
        default=1,
        metavar="N",
        help="decode around the best N moments to find the exact frame; 0 = summaries only (1)",
    )
    add(
        "--ranking",
        choices=RANKINGS,
        default=RANKINGS[0],
        help="rank by cosines in order, or by the query's attention within short segments (cosine)",
    )
    add("--json", action="store_true", help="as JSON")
    add(
        "--embedder",
        metavar="NAME",
        help=f"{EMBEDDERS}; by default the one that made the summaries",
    )
    add_threads(parser)


def run(options: argparse.Namespace) -> None:
    result = call(search, options, options.query, options.inputs, count=options.k)
    for note in result.notes:
        log_line(note)
    if options.json:
        values = asdict(result)
        del values["notes"]
        out(json.dumps(values, indent=2))
        return
    for moment in result.moments:
        tolerance = f"± {moment.within:.2g} s" if moment.within else "exact"
        out(
            f"{moment.score:6.3f}  {format_time(moment.seconds):>9}  "
            f"frame {moment.frame:<7} {tolerance:>8} {one_line(moment.file)}"
        )
    # Frames around a moment are decoded from bytes that may have been read for its summary.
    read = min(result.bytes_read, result.bytes)
    out(
        f"read {read:,} of {result.bytes:,} bytes ({100 * read / result.bytes:.2f} %) "
        f"of {count_noun(result.files, 'file')}"
    )
