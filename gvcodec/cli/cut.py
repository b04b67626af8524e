"""`gvcodec cut IN OUT`: a piece of a stream, without encoding."""

from __future__ import annotations

import argparse

from gvcodec.cli._arguments import (
    add_input,
    add_limits,
    add_model,
    add_output,
    add_part,
    add_progress,
    add_threads,
    call,
    end_of,
)
from gvcodec.edit.cut import CutReport, cut
from gvcodec.util.messages import log_line

EXAMPLES = (
    "cut film.gvc scene.gvc --start 1:15 --duration 30 --exact",
    "cut film.gvc - --to 10 | gvcodec decode - start.mp4",
)
#: Seconds by which a piece may begin earlier or end later without a message.
_TOLERANCE = 0.1


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    add_output(parser)
    add_part(parser, "--from")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="cut at these times, not at the keyframes around them: re-encodes the first and "
        "the last GOP",
    )
    add_model(parser)
    add_threads(parser)
    add_limits(parser)
    add_progress(parser, verbose=False)


def run(options: argparse.Namespace) -> None:
    end = end_of(options)
    report = call(cut, options, options.input, options.output, options.start, end)
    if not options.exact and (difference := _describe_difference(report, options.start, end)):
        log_line(f"{difference} (--exact cuts there, re-encoding the first and the last GOP)")
    span = f"{report.begin:.3f} s to {report.end:.3f} s"
    last = report.first + report.frames - 1
    which = f"frames {report.first} to {last}" if report.frames > 1 else f"frame {last}"
    log_line(f"{options.output}: {which}, {span}")


def _describe_difference(report: CutReport, start: float, end: float | None) -> str:
    """How the piece differs from the request, "" = it does not."""
    early, late = start - report.begin, 0.0 if end is None else report.end - end
    parts = []
    if early > _TOLERANCE:
        parts.append(f"begins {early:.2f} s earlier")
    if late > _TOLERANCE:
        parts.append(f"ends {late:.2f} s later")
    return f"without a keyframe there, the piece {' and '.join(parts)}" if parts else ""
