"""`gvcodec condense DIR OUT`: a data set of labelled clips, condensed to few bytes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gvcodec.cli._arguments import add_overwrite, add_threads, use_threads
from gvcodec.condense.clips import METHODS, SIDE
from gvcodec.errors import UsageError
from gvcodec.util.file_io import PendingFile, protect_inputs
from gvcodec.util.messages import count_noun, log_line
from gvcodec.util.options import amount, integer

EXAMPLES = (
    "condense clips/ small.gvset --size 200k",
    "condense clips/ small.gvset --size 500k --method joint",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", metavar="DIR", help="a folder of videos for each class")
    add("output", metavar="OUT", help=".gvset to write")
    add(
        "--size",
        type=amount,
        required=True,
        metavar="BYTES",
        help="largest size of OUT: 500k, 64Ki",
    )
    add(
        "--side",
        type=integer(16, 256),
        default=SIDE,
        metavar="PIXELS",
        help=f"width and height of the stored pictures, even ({SIDE})",
    )
    add(
        "--method",
        choices=METHODS,
        default=METHODS[0],
        help="frames: a few frames as AV1; selector: frames that a trained network chooses; joint: "
        "selector and latent codes, optimised with the task (frames)",
    )
    add(
        "--seed",
        type=integer(0),
        default=0,
        metavar="N",
        help="seed of the draw of validation clips and candidates (0)",
    )
    add_threads(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    from gvcodec.condense import clips as reading
    from gvcodec.condense.making import condense

    if Path(options.output).suffix.lower() not in ("", ".gvset"):
        raise UsageError(f"{options.output}: a condensed set ends in .gvset", code="output-name")
    if options.side % 2:
        raise UsageError(f"--side is even, not {options.side}")
    use_threads(options.threads)
    videos = reading.in_folders(Path(options.input))
    with (
        protect_inputs([str(path) for path, _ in videos]),
        PendingFile(options.output, options.overwrite) as pending,
    ):
        log_line(f"reading {count_noun(len(videos), 'clip')}")
        clips = reading.read(videos, side=options.side)
        log_line("training networks to find out which clips, frames and bytes teach most (minutes)")
        data, facts = condense(clips, int(options.size), options.seed, options.method)
        pending.temporary.write_bytes(data)
    class_counts = np.bincount(facts["labels"], minlength=len(clips.classes))
    per_class = ", ".join(
        f"{name} {count}" for name, count in zip(clips.classes, class_counts, strict=True)
    )
    log_line(
        f"{options.output}: {len(data)} bytes, "
        f"{count_noun(len(facts['labels']), 'clip')} of {len(clips)} ({per_class}), "
        f"{count_noun(facts['frames'], 'frame')} each, "
        f"{'rate' if options.method == 'joint' else 'q'} {facts['q']:g}"
    )
    log_line(
        f"validation accuracy of a network trained on it: "
        f"{100 * facts['accuracy']:.1f} % (chance {100 / len(clips.classes):.1f} %)"
    )
