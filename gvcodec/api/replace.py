"""`encode --replace`: encodes a video, checks the result and replaces the source by it.

    encode_and_replace(job, ".gvc", ReplaceRules(keep="/originals"))

The coded file waits in a hidden folder next to the source. Where an earlier, killed call left
the finished file next to its source, that is checked and taken instead of a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gvcodec.api.encoding import encode_job
from gvcodec.api.job import Job, is_whole
from gvcodec.api.results import EncodeReport
from gvcodec.edit.replace import (
    CheckedCopy,
    ReplaceRules,
    check_source,
    find_earlier,
    open_waiting,
    replace_checked,
    target_path,
)
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
    check_source(source)
    check_whole(job)
    options = job.input_options
    kinds = options.sound != "none", not options.no_subtitles
    target = target_path(source, suffix)
    with open_waiting(source, suffix) as waiting:
        if find_earlier(source, suffix):
            return ReplaceReport(target, *replace_checked(source, target, suffix, rules, *kinds))
        report = encode_job(replace(job, output=waiting, overwrite=True))
        if report.incomplete:
            raise NotReplacedError(f"{source}: not replaced: incomplete: {report.incomplete}")
        return ReplaceReport(
            target, *replace_checked(source, waiting, suffix, rules, *kinds), report
        )


def check_whole(job: Job) -> None:
    """Raises `UsageError` for a job that does not keep every frame."""
    if not is_whole(job):
        raise UsageError(
            "--replace is for whole files, not with --start, an end or --frames",
            code="option-conflict",
        )
    if job.input_options.fps is not None:
        raise UsageError("--replace keeps every frame, --fps does not")
