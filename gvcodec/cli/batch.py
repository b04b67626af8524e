"""`gvcodec batch INPUT… -o OUT`: many videos to gvcodec streams, in chunks, on many cores and
machines."""

from __future__ import annotations

import argparse
import copy
import os
from typing import Any, NoReturn

from gvcodec.batch import inputs
from gvcodec.batch.driver import Driver, FrameCount
from gvcodec.batch.engines import open_engine
from gvcodec.batch.ledger import TABLE, Job, Ledger, make_settings, summary_of
from gvcodec.cli._arguments import add_progress, mode_of
from gvcodec.cli.encode import coding_arguments, job_of
from gvcodec.errors import BatchError, GvcodecError, MissingFileError, UsageError
from gvcodec.util import uris
from gvcodec.util.file_io import refuse_input
from gvcodec.util.messages import count_noun, say
from gvcodec.util.options import bytes_, integer
from gvcodec.util.progress import ProgressBar
from gvcodec.util.uris import is_uri

HELP = "encode many videos, in chunks, on many cores and machines"
EXAMPLES = (
    "batch films/ -o streams/ --jobs 4",
    "batch s3://bucket/list.csv -o s3://bucket/streams --cluster auto",
)
#: Files that are no videos and are named.
_NAMED = 5
_RATES = ("base_q", "size", "bitrate", "bpp", "target")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
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
        "--max-memory",
        type=bytes_,
        metavar="BYTES",
        help="memory of all tasks on this machine together (90 %% of it)",
    )
    add(
        "--chunk",
        type=integer(12, 1 << 20),
        default=0,
        metavar="FRAMES",
        help="length of a chunk (as --keyint)",
    )
    coding_arguments(parser)
    add_progress(parser)


def run(options: argparse.Namespace) -> None:
    ledger = Ledger(uris.fixed_path(options.output))
    if not is_uri(ledger.out) and os.pardir in ledger.out.split("/"):
        # A folder that another one is reached through is missing; it is not made for that.
        raise MissingFileError(options.output)
    refuse_input(uris.join(ledger.out, TABLE))
    jobs, skipped = jobs_of(options)
    if skipped:
        names = ", ".join(path.rsplit("/", 1)[-1] for path in skipped[:_NAMED])
        more = ", …" * (len(skipped) > _NAMED)
        no_video = count_noun(len(skipped), "file is no video", "files are no videos")
        say(f"{no_video} and skipped: {names}{more}")
    if not jobs:
        raise UsageError("there is no video among the inputs")
    engine = open_engine(options.jobs, options.cluster, options.max_memory)
    bar = ProgressBar(["code"], mode=mode_of(options), verbose=options.verbose)
    with engine, bar:

        def ended(job: Job, error: str) -> None:
            say(error or _done(ledger, job))

        driver = Driver(engine, ledger, FrameCount(bar, len(jobs)).heard, ended)
        driver.run(jobs)
    say(summary_of(ledger.rows(jobs)))
    if driver.errors:
        failed = f"{len(driver.errors)} of {count_noun(len(jobs), 'file')} failed"
        raise BatchError(f"{failed}; {uris.join(options.output, TABLE)} has a row for each")
    say(f"{options.output}: {count_noun(len(jobs), 'file')} done ({TABLE} has their figures)")


def _done(ledger: Ledger, job: Job) -> str:
    done = ledger.find_done(ledger.input(job).get("key", ""))
    if done is None:
        return f"{job.uri}: done"
    row = done["rows"][0]
    psnr = f", PSNR-Y {row['psnr_y']:.2f} dB" if row.get("psnr_y") else ""
    size = f"{row['frames']} frames, {row['bytes']} bytes, {row['bpp']:.5f} bpp{psnr}"
    return f"{job.uri}: {done['output']}, {size}"


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
    job = job_of(options)
    return make_settings(
        job.config, job.rate, job.start, job.frames, options.chunk, job.input_options
    )


class _Row(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _change(options: argparse.Namespace, row: dict[str, Any]) -> argparse.Namespace:
    parser = _Row(add_help=False, allow_abbrev=False)
    coding_arguments(parser)
    changed = copy.copy(options)
    if {"q", *_RATES} & {name.replace("-", "_") for name in row}:
        vars(changed).update(dict.fromkeys(_RATES), max_size=None, target_of="mean")
    return parser.parse_args(inputs.words_of(row), changed)
