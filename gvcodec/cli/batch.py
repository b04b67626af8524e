"""`gvcodec batch INPUT… -o OUT`: many videos to gvcodec streams, in chunks, on many cores and
machines."""

from __future__ import annotations

import argparse
import copy
import os
from collections import Counter
from typing import Any, NoReturn

from gvcodec.api import job as api
from gvcodec.api.results import HIGH_BPP, high_rate_hint
from gvcodec.batch import inputs
from gvcodec.batch.driver import Driver, FrameCount
from gvcodec.batch.engines import open_engine
from gvcodec.batch.ledger import (
    CHUNK_TABLE,
    STALE,
    TABLE,
    Job,
    Ledger,
    is_file,
    losses_of,
    summary_of,
)
from gvcodec.batch.tasks import make_settings
from gvcodec.cli._arguments import add_progress, mode_of
from gvcodec.cli._replace import add_replace, rules_of
from gvcodec.cli.encode import coding_arguments, make_job
from gvcodec.edit.copy_check import ReplaceRules
from gvcodec.edit.replace import is_coded
from gvcodec.errors import (
    BatchError,
    GvcodecError,
    IncompleteSourceError,
    MissingFileError,
    NoGainError,
    NotReplacedError,
    UsageError,
)
from gvcodec.one_file.write import one_file_suffix
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
    *("-o", "--as", "--jobs", "--cluster", "-q", "--size", "--target", "--scale", "--sound"),
    *("--base", "--speed", "--min-gain", "--stale", "--allow-damaged", "--quiet"),
)
#: Files that are no videos and are named.
_LISTED_FILES = 5
_RATES = ("base_q", "size", "bitrate", "bpp", "video_bitrate", "target")


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
        "--stale",
        choices=STALE,
        default="both",
        help="outputs in OUT that were coded with other options: both: keep them and code again "
        "under another name, replace them, or keep them and skip their inputs (both)",
    )
    add(
        "--fail-fast",
        action="store_true",
        help="end with the first file that fails; files being coded are stopped, the next batch "
        "continues from their finished chunks",
    )
    add(
        "--chunk",
        type=integer(12, 1 << 20),
        default=0,
        metavar="FRAMES",
        help="length of a chunk (as --keyint)",
    )
    _coding_arguments(parser)
    add_replace(parser)
    add_progress(parser)


def _coding_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that a row of a table may have too."""
    coding_arguments(parser)
    parser.add_argument(
        "--as",
        dest="suffix",
        type=_suffix,
        default=".gvc",
        metavar="KIND",
        help="kind of the outputs: gvc, or mp4, mkv, webm: AV1 that every player shows, with the "
        "packets for painting (gvc)",
    )
    add_options(parser, api.Job, group="outcome")


def _suffix(text: str) -> str:
    suffix = f".{text.lower().removeprefix('.')}"
    if suffix != ".gvc" and not one_file_suffix(f"OUT{suffix}"):
        raise argparse.ArgumentTypeError(f"{text!r} is not gvc, mp4, mkv or webm")
    return suffix


def run(options: argparse.Namespace) -> None:
    rules = rules_of(options)
    ledger = Ledger(uris.fixed_path(options.output), options.stale)
    if not is_uri(ledger.out) and os.pardir in ledger.out.split("/"):
        # A folder that another one is reached through is missing; it is not made for that.
        raise MissingFileError(options.output)
    for name in (TABLE, CHUNK_TABLE):
        refuse_input(uris.join(ledger.out, name))
    jobs, skipped = jobs_of(options, rules)
    _require_folder(ledger.out)
    if rules is not None:
        jobs = _without_coded(jobs)
    _say_skipped(skipped[inputs.NO_VIDEO], "file is no video", "files are no videos")
    _say_skipped(skipped[inputs.LINK], "link to another file is", "links to other files are")
    if not jobs:
        raise UsageError(f"{' '.join(options.inputs)}: no videos among the files there")
    _say_stale(ledger, jobs, options.stale)
    engine = open_engine(options.jobs, options.cluster)
    bar = ProgressBar(mode_of(options), options.verbose)
    with engine, bar:

        def report_job(job: Job, error: str) -> None:
            log_line(error or _outcome(ledger, job))

        count = FrameCount(bar, jobs)
        Driver(engine, ledger, count, report_job, options.fail_fast, rules).run(jobs)
    rows = ledger.rows(jobs)
    log_line(summary_of(rows))
    if losses := losses_of(rows):
        log_line(f"{losses} (notes in {TABLE})")
    painted = {job.uri for job in jobs if job.settings.config.painter == "on"}
    rates = [row.get("bpp", 0.0) for row in filter(is_file, rows) if row["input"] in painted]
    count = sum(rate > HIGH_BPP for rate in rates)
    if hint := high_rate_hint(max(rates, default=0.0), count_noun(count, "file is", "files are")):
        log_line(hint)
    if rules is not None:
        _say_losses(ledger, jobs)
    table = f"{uris.join(options.output, TABLE)} has a row for each"
    counts = Counter(row["status"] for row in filter(is_file, rows))
    if counts["failed"]:
        failed = f"{counts['failed']} of {count_noun(len(jobs), 'file')} failed"
        raise BatchError(f"{failed}; {table}")
    if counts["incomplete"] and not options.allow_damaged:
        lost = count_noun(counts["incomplete"], "source is", "sources are")
        raise IncompleteSourceError(f"{lost} incomplete; {table}")
    if counts["refused"]:
        files = count_noun(counts["refused"], "original was", "originals were")
        raise NotReplacedError(f"{files} not replaced; {table}")
    if counts["no gain"]:
        raise NoGainError(f"{count_noun(counts['no gain'], 'file')} would save too little; {table}")
    log_line(f"{options.output}: {count_noun(len(jobs), 'file')} done ({TABLE} has their figures)")


def _say_losses(ledger: Ledger, jobs: list[Job]) -> None:
    """Count the originals that were not replaced by the names of parts that they would lose."""
    names = Counter(name for job in jobs for name in ledger.record(job).get("lost", ()))
    if names:
        counts = [f"{name} in {count_noun(n, 'file')}" for name, n in names.most_common()]
        allow = f"--allow-loss {','.join(name for name, _ in names.most_common())} permits it"
        log_line(f"not replaced, to lose no parts: {', '.join(counts)} ({allow})")


def _require_folder(out: str) -> None:
    """Raise `UsageError` if OUT, or a folder that it would be in, is a file."""
    if not is_uri(out):
        path = os.path.abspath(out)
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        if not os.path.isdir(path):
            raise UsageError(f"{path}: is a file, -o OUT is a folder", code="output-name")


def _without_coded(jobs: list[Job]) -> list[Job]:
    """Jobs without the files by which an earlier call replaced sources. Raises `UsageError` for
    sources that cannot be replaced."""
    for job in jobs:
        if is_uri(job.uri):
            raise UsageError(f"{job.uri}: only files of this machine can be replaced")
        options = job.settings.input
        if not job.error and (not job.settings.is_whole or options.fps is not None):
            raise UsageError("--replace keeps every frame: no --start, --to, --frames or --fps")
    coded = {job.uri for job in jobs if not job.error and is_coded(job.uri)}
    _say_skipped(sorted(coded), "file is of gvcodec already", "files are of gvcodec already")
    return [job for job in jobs if job.uri not in coded]


def _say_skipped(paths: list[str], one: str, many: str) -> None:
    if paths:
        names = _list_names([path.rsplit("/", 1)[-1] for path in paths])
        log_line(f"{count_noun(len(paths), one, many)} and skipped: {names}")


def _list_names(names: list[str]) -> str:
    return ", ".join(names[:_LISTED_FILES]) + (", …" if len(names) > _LISTED_FILES else "")


def _say_stale(ledger: Ledger, jobs: list[Job], choice: str) -> None:
    """Name the outputs that were coded with other options, and their treatment."""
    records = [some if choice == "both" else some[:1] for some in ledger.list_stale(jobs).values()]
    names = dict.fromkeys(record["output"] for some in records for _, record in some)
    if not names:
        return
    count = count_noun(len(names), "file in OUT was", "files in OUT were")
    ends = {
        "both": "kept, new ones get other names (--stale replace or keep)",
        "replace": "replaced",
        "keep": "kept, their inputs are not coded",
    }
    which = f"coded with other options or by another release: {_list_names([*names])}"
    log_line(f"{count} {which}; {ends[choice]}")


def _outcome(ledger: Ledger, job: Job) -> str:
    """A line about a file that did not fail."""
    (row, *_) = ledger.rows([job])
    if row["status"] in ("no gain", "stale", "open"):
        error = row["error"] or "its file was removed or changed meanwhile"
        return f"{job.uri}: {row['output'] + ': ' if 'output' in row else ''}{error}"
    psnr = f", PSNR-Y {row['psnr_y']:.2f} dB" if row.get("psnr_y") else ""
    size = f"{row['frames']} frames, {row['bytes']} bytes, {row['bpp']:.5f} bpp{psnr}"
    end = ""
    if row["status"] in ("incomplete", "refused"):
        end = f"; {row['status']}: {row['error']}"
    elif "original" in row:
        end = f"; original {row['original']}"
    return f"{job.uri}: {row['output']}, {size}{end}"


def jobs_of(
    options: argparse.Namespace, rules: ReplaceRules | None = None
) -> tuple[list[Job], dict[str, list[str]]]:
    """A job for each video, and paths of other files and of links, of which none is replaced. An
    error in the shared options is raised, an error in a manifest row's options is kept in its
    job."""
    usual, keep = _settings(options), rules.keep if rules is not None else ""
    jobs = list[Job]()
    skipped: dict[str, list[str]] = {inputs.NO_VIDEO: [], inputs.LINK: []}
    out = uris.fixed_path(options.output)
    for uri, row, error in inputs.list_inputs(options.inputs, out, keep):
        if rules is not None and not error and not is_uri(uri) and os.path.islink(uri):
            error = inputs.LINK
        if error in skipped:
            skipped[error].append(uri)
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
        options.suffix,
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
