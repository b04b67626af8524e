"""`gvcodec verify IN`: checks a stream as far as it can be checked."""

from __future__ import annotations

import argparse
import math

from gvcodec.cli._arguments import add_input, add_limits, add_model, add_progress, add_threads, call
from gvcodec.cli._standard_streams import out
from gvcodec.edit.verify import VerifyReport, verify
from gvcodec.errors import IncompleteSourceError
from gvcodec.util.file_io import display_name
from gvcodec.util.messages import count_noun

EXAMPLES = ("verify film.gvc", "verify film.gvc --source film.mp4")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_input(parser)
    add("--source", metavar="VIDEO", help="source of the stream, to measure PSNR")
    add(
        "--allow-damaged",
        action="store_true",
        help="treat a damaged or truncated source as success; compare what is readable",
    )
    add(
        "--fidelity", action="store_true", help="check base frames only: no painter, no restoration"
    )
    add_model(parser)
    add_threads(parser)
    add_limits(parser)
    add_progress(parser, verbose=False)


def run(options: argparse.Namespace) -> None:
    try:
        report = call(verify, options, options.input, options.source)
    except IncompleteSourceError as error:
        assert isinstance(error.result, VerifyReport)
        _show(error.result, options.input)
        raise
    _show(report, options.input)


def _show(report: VerifyReport, path: str) -> None:
    hashes = f"base hash {report.base_hash}"
    if report.painted_hash is not None:
        hashes += f", painted hash {report.painted_hash}"
    name = display_name(path)
    out(f"{name}: {count_noun(report.frames, 'frame')}, checksums, index, {hashes} are right")
    if report.source is not None and report.compared != report.frames:
        out(f"{report.source}: {count_noun(report.compared, 'frame')} compared")
    if report.enlarged_to is not None:
        size = "×".join(map(str, report.enlarged_to))
        out(f"compared at the source's {size}, to which the stream's pictures are enlarged")
    for what, psnr in (("base frames", report.base_psnr), ("painted", report.painted_psnr)):
        if psnr:
            values = "  ".join(
                f"{plane} {value:.2f}" if math.isfinite(value) else f"{plane} exact"
                for plane, value in zip("YUV", psnr, strict=True)
            )
            out(f"PSNR dB, {what}: {values}")
    if report.worst is not None:
        seconds, worst = report.worst
        out(f"worst frame: Y {worst:.2f} at {seconds:.2f} s")
