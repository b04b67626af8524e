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
from gvcodec.edit.cut import Cut, cut
from gvcodec.util.messages import log_line

EXAMPLES = (
    "cut film.gvc scene.gvc --start 1:15 --duration 30 --exact",
    "cut film.gvc - --to 10 | gvcodec decode - start.mp4",
)
#: Seconds by which a piece may begin earlier or end later without a message.
_NEAR = 0.1


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
    kept = call(cut, options, options.input, options.output, options.start, end)
    if not options.exact and (missed := _missed(kept, options.start, end)):
        log_line(f"{missed} (--exact cuts there, re-encoding the first and the last GOP)")
    span = f"{kept.begin:.3f} s to {kept.end:.3f} s"
    last = kept.first + kept.frames - 1
    which = f"frames {kept.first} to {last}" if kept.frames > 1 else f"frame {last}"
    log_line(f"{options.output}: {which}, {span}")


def _missed(kept: Cut, start: float, end: float | None) -> str:
    """How the piece differs from what was asked for, "" = it does not."""
    early, late = start - kept.begin, 0.0 if end is None else kept.end - end
    parts = []
    if early > _NEAR:
        parts.append(f"begins {early:.2f} s earlier")
    if late > _NEAR:
        parts.append(f"ends {late:.2f} s later")
    return f"without a keyframe there, the piece {' and '.join(parts)}" if parts else ""
