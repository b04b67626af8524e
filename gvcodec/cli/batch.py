"""`gvcodec batch INPUT… -o OUT`: many videos to gvcodec streams, in chunks, on many cores and
machines."""

from __future__ import annotations

import argparse
import copy
import os
from collections import Counter
from typing import Any, NoReturn

from gvcodec.api import job as api
from gvcodec.batch import inputs
from gvcodec.batch.driver import Driver, FrameCount
from gvcodec.batch.engines import open_engine
from gvcodec.batch.ledger import TABLE, Job, Ledger, summary_of
from gvcodec.batch.tasks import make_settings
from gvcodec.cli._arguments import add_progress, mode_of
from gvcodec.cli.encode import coding_arguments, make_job
from gvcodec.errors import (
    BatchError,
    GvcodecError,
    IncompleteSourceError,
    MissingFileError,
    NoGainError,
    UsageError,
)
from gvcodec.util import uris
from gvcodec.util.file_io import refuse_input
from gvcodec.util.messages import count_noun, log_line
from gvcodec.util.options import add_options, integer
from gvcodec.util.progress import ProgressBar
from gvcodec.util.uris import is_uri

EXAMPLES = (
    "batch films/ -o streams/ --jobs 4",
    "batch s3://bucket/list.csv -o s3://bucket/streams --cluster auto",
)
USUAL = (
    *("-o", "--jobs", "--cluster", "-q", "--size", "--target", "--scale", "--sound"),
    *("--base", "--speed", "--fit", "--min-gain", "--allow-damaged", "--quiet"),
)
#: Files that are no videos and are named.
_NAMED = 5
_RATES = ("base_q", "size", "bitrate", "bpp", "target")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.usage = "%(prog)s IN [IN …] -o OUT [options]"
    add(
        "inputs",
        nargs="+",
        metavar="IN",
        help="videos, folders, globs, URIs, or tables of these (.csv, .jsonl)",
    )
    add(
        "-o",
        dest="output",
        required=True,
        metavar="OUT",
        help="folder or URI for streams and the table",
    )
    add("--jobs", type=integer(1, 1 << 20), default=0, metavar="N", help="cores to use (all)")
    add(
        "--cluster",
        metavar="ADDRESS",
        help="run tasks on a Ray cluster: HOST:PORT, auto, or local to start one here",
    )
    add(
        "--chunk",
        type=integer(12, 1 << 20),
        default=0,
        metavar="FRAMES",
        help="length of a chunk (as --keyint)",
    )
    _coding_arguments(parser)
    add_progress(parser)


def _coding_arguments(parser: argparse.ArgumentParser) -> None:
    """What a row of a table may have, too."""
    coding_arguments(parser)
    add_options(parser, api.Job, group="outcome")


def run(options: argparse.Namespace) -> None:
    ledger = Ledger(uris.fixed_path(options.output))
    if not is_uri(ledger.out) and os.pardir in ledger.out.split("/"):
        # A folder that another one is reached through is missing; it is not made for that.
        raise MissingFileError(options.output)
    refuse_input(uris.join(ledger.out, TABLE))
    jobs, skipped = jobs_of(options)
    if skipped:
        names = ", ".join(path.rsplit("/", 1)[-1] for path in skipped[:_NAMED])
        more = ", …" if len(skipped) > _NAMED else ""
        no_video = count_noun(len(skipped), "file is no video", "files are no videos")
        log_line(f"{no_video} and skipped: {names}{more}")
    if not jobs:
        raise UsageError("there is no video among the inputs")
    engine = open_engine(options.jobs, options.cluster)
    bar = ProgressBar(mode_of(options), options.verbose)
    with engine, bar:

        def ended(job: Job, error: str) -> None:
            log_line(error or _outcome(ledger, job))

        driver = Driver(engine, ledger, FrameCount(bar, len(jobs)), ended)
        driver.run(jobs)
    rows = ledger.rows(jobs)
    log_line(summary_of(rows))
    table = f"{uris.join(options.output, TABLE)} has a row for each"
    counts = Counter(row["status"] for row in rows if row.get("chunk") is None)
    if counts["failed"]:
        failed = f"{counts['failed']} of {count_noun(len(jobs), 'file')} failed"
        raise BatchError(f"{failed}; {table}")
    if counts["incomplete"] and not options.allow_damaged:
        lost = count_noun(counts["incomplete"], "source is", "sources are")
        raise IncompleteSourceError(f"{lost} incomplete; {table}")
    if counts["no gain"]:
        raise NoGainError(f"{count_noun(counts['no gain'], 'file')} would save too little; {table}")
    log_line(f"{options.output}: {count_noun(len(jobs), 'file')} done ({TABLE} has their figures)")


def _outcome(ledger: Ledger, job: Job) -> str:
    """A line about a file that did not fail."""
    (row, *_) = ledger.rows([job])
    if row["status"] == "no gain":
        return f"{job.uri}: {row['error']}"
    psnr = f", PSNR-Y {row['psnr_y']:.2f} dB" if row.get("psnr_y") else ""
    size = f"{row['frames']} frames, {row['bytes']} bytes, {row['bpp']:.5f} bpp{psnr}"
    lost = f"; incomplete: {row['error']}" if row["status"] == "incomplete" else ""
    return f"{job.uri}: {row['output']}, {size}{lost}"


def jobs_of(options: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """A job for each video, and paths of other files. An error in the shared options is raised, an
    error in a manifest row's options is kept in its job."""
    usual = _settings(options)
    jobs, skipped = list[Job](), list[str]()
    for uri, row, error in inputs.find(options.inputs, uris.fixed_path(options.output)):
        if error == inputs.NO_VIDEO:
            skipped.append(uri)
            continue
        try:
            settings = _settings(_change(options, row)) if row else usual
            jobs.append(Job(uri, settings, error, inputs.folder_of(uri, options.inputs)))
        except GvcodecError as wrong:
            jobs.append(Job(uri, usual, f"{uri}: {wrong}"))
    return jobs, skipped


def _settings(options: argparse.Namespace) -> Any:
    job = make_job(options)
    return make_settings(
        job.config,
        job.rate,
        job.start,
        job.frames,
        options.chunk,
        job.input_options,
        job.least_gain,
    )


class _Row(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _change(options: argparse.Namespace, row: dict[str, Any]) -> argparse.Namespace:
    parser = _Row(add_help=False, allow_abbrev=False)
    _coding_arguments(parser)
    changed = copy.copy(options)
    if {"q", *_RATES} & {name.replace("-", "_") for name in row}:
        vars(changed).update(dict.fromkeys(_RATES), max_size=None, target_of="mean")
    return parser.parse_args(inputs.words_of(row), changed)
