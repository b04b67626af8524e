"""`gvcodec compare IN OUT`: a clip coded by gvcodec and by other encoders at equal bytes, as a
page."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from gvcodec.cli import encode
from gvcodec.cli._arguments import add_overwrite, add_progress, mode_of
from gvcodec.compare import PEERS, compare
from gvcodec.errors import UsageError
from gvcodec.input_options import InputOptions
from gvcodec.util.file_io import PendingFile, open_rereadable, work_folder
from gvcodec.util.messages import log_line
from gvcodec.util.options import add_options
from gvcodec.util.progress import ProgressBar

EXAMPLES = ("compare film.mp4 film.html --frames 100", "compare film.mp4 vote.html --blind")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", metavar="IN", help="any video")
    add("output", metavar="OUT", help="page to write, .html")
    add(
        "--with",
        dest="peers",
        default="x265,svtav1",
        metavar="NAMES",
        help=f"encoders to compare with, of {', '.join(PEERS)} (x265,svtav1)",
    )
    add("--stream", metavar="FILE", help="existing stream of IN, instead of encoding it now")
    add(
        "--blind",
        action="store_true",
        help="a page where a person chooses between two clips in hidden order; python -m eval "
        "votes scores the votes",
    )
    encode.coding_arguments(parser)
    add_options(parser, InputOptions, group="input")
    add_progress(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    if not options.output.lower().endswith(".html"):
        raise UsageError(f"{options.output}: the page is a .html file")
    if options.stream and options.start:
        raise UsageError("--start cannot be combined with --stream, which has its own start")
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(PendingFile(options.output, options.overwrite))
        options.input = stack.enter_context(open_rereadable(options.input))
        stream = Path(options.stream or "")
        if not options.stream:
            folder = stack.enter_context(work_folder())
            stream = Path(folder, "gvcodec.gvc")
            single_run = {
                "sound": "none",
                "no_subtitles": True,
                "no_attachments": True,
                "output": str(stream),
            }
            encode.encode_to_output(argparse.Namespace(**vars(options) | single_run))
        peers = [name for name in options.peers.split(",") if name]
        input_options = encode.make_job(options).input_options
        bar = ProgressBar(mode_of(options))
        stages = list[str]()

        def watch(title: str, total: int, attempt: int, frames_done: int) -> None:
            stage = f"{title}, attempt {attempt}"
            if stages[-1:] != [stage]:
                stages.append(stage)
                bar.begin(stage, total)
            bar.coded(frames_done, 0)

        with bar:
            comparison = compare(
                Path(options.input), stream, peers, log_line, input_options, watch, options.blind
            )
        page.temporary.write_text(comparison.html, encoding="utf-8", errors="backslashreplace")
    for note in comparison.notes:
        log_line(note)
    log_line(comparison.verdict)
    codecs, size = len(comparison.rows), len(comparison.html)
    log_line(f"{options.output}: {codecs} codecs at equal bytes, {size / 1e6:.1f} MB")
