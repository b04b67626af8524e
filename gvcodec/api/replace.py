"""`encode --replace`: encodes a video, checks the result and replaces the source by it.

    encode_and_replace(job, ".gvc", ReplaceRules(keep="/originals"))

The coded file waits in a hidden folder next to the source. If an earlier call with the same options
was killed after it had placed the finished file, that is checked and taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import gvcodec
from gvcodec.api.encoding import encode_job
from gvcodec.api.job import Job, is_whole
from gvcodec.api.results import EncodeReport
from gvcodec.edit.copy_check import CheckedCopy, ReplaceRules
from gvcodec.edit.replace import check_source, open_waiting, replace_checked, target_path
from gvcodec.errors import NotReplacedError, UsageError
from gvcodec.util.file_io import as_name


@dataclass(frozen=True, slots=True)
class ReplaceReport:
    """`coded`: None if an earlier call had coded the file. `original`: where it is now, "" =
    deleted."""

    target: str
    copy_check: CheckedCopy
    original: str
    encode_report: EncodeReport | None = None


def encode_and_replace(job: Job, suffix: str, rules: ReplaceRules) -> ReplaceReport:
    """Code the file that `job` reads and replace it: same name, with the ending `suffix`. Raises
    `NotReplacedError` if the copy fails a check, `UsageError` for a part of a file, and what
    `encode_file` raises; the original is unchanged then."""
    source = as_name(job.source)
    if source is None or source == "-":
        raise UsageError("only files can be replaced")
    check_source(source, rules.keep)
    check_whole(job)
    target, options = target_path(source, suffix), _hash_of_options(job)
    with open_waiting(source, target, options) as waiting:
        report = None
        if waiting != target:
            report = encode_job(replace(job, output=waiting, overwrite=True))
            if report.incomplete:
                raise NotReplacedError(f"{source}: not replaced: incomplete: {report.incomplete}")
        done = replace_checked(source, waiting, target, rules, options, job.input_options)
    return ReplaceReport(target, *done, report)


def _hash_of_options(job: Job) -> str:
    """A hash of all that the bytes of the coded file depend on, except its source."""
    settings = job.config, job.rate, job.input_options, gvcodec.__version__
    return hashlib.sha256(repr(settings).encode()).hexdigest()


def check_whole(job: Job) -> None:
    """Raises `UsageError` for a job that does not keep every frame."""
    if not is_whole(job):
        raise UsageError(
            "--replace is for whole files, not with --start, an end or --frames",
            code="option-conflict",
        )
    if job.input_options.fps is not None:
        raise UsageError("--replace keeps every frame, --fps does not")
