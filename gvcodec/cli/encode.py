"""`gvcodec encode IN OUT`: a video to a gvcodec stream."""

from __future__ import annotations

import argparse
import functools
import os
import time
from typing import Any

from gvcodec.api.encoding import encode_job, require_complete
from gvcodec.api.job import Job
from gvcodec.api.replace import encode_and_replace
from gvcodec.api.results import high_rate_hint
from gvcodec.cli._arguments import (
    add_overwrite,
    add_part,
    add_progress,
    add_threads,
    end_of,
    mode_of,
)
from gvcodec.cli._replace import add_replace, rules_of
from gvcodec.config import NO_FITTING, EncoderConfig
from gvcodec.edit.copy_check import ReplaceRules
from gvcodec.errors import UsageError
from gvcodec.input_options import InputOptions
from gvcodec.one_file.write import one_file_suffix
from gvcodec.util.messages import log_line
from gvcodec.util.options import add_options, values_of
from gvcodec.util.uris import absolute_path

EXAMPLES = ("encode film.mp4 film.gvc", "encode film.mp4 film.gvc --size 5M --base vvc")
USUAL = (
    *("-q", "--size", "--target", "--start", "--to", "--scale", "--sound"),
    *("--base", "--speed", "-y", "--jobs", "--quiet"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.usage = "%(prog)s IN [OUT] [options]"
    add(
        "input",
        metavar="IN",
        help="any video, a URI, a folder of numbered pictures, f%%04d.png, "
        "- = y4m (or another streamable file) on standard input",
    )
    add(
        "output",
        metavar="OUT",
        nargs="?",
        help="stream to write, - = standard output (IN with the ending .gvc); .mp4, .mkv, .webm: "
        "AV1 that every player shows, with the packets for painting",
    )
    coding = coding_arguments(parser)
    add_options(coding, EncoderConfig, group="whole")
    untagged = parser.add_argument_group("properties that the input does not state")
    add_options(untagged, InputOptions, group="input")
    run_by = parser.add_argument_group("the run and its output")
    add_overwrite(run_by)
    add_progress(run_by)
    add_threads(run_by)
    add_options(run_by, Job, group="whole")
    add_options(run_by, Job, group="outcome")
    add_replace(parser)


def coding_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Options of one encode, for `batch` and `compare` too. Returns the group of coding tools."""
    rate = parser.add_argument_group("quality or size (one of -q, --size, --bitrate, …)")
    add_options(rate, EncoderConfig, Job, group="rate", exclusive=True)
    add_options(rate, Job, group="target")
    part = parser.add_argument_group("part, picture and sound")
    add_part(part)
    add_options(part, Job, group="part")
    add_options(part, InputOptions)
    add_options(part, InputOptions, group="sound", exclusive=True).add_argument(
        "--no-sound", dest="sound", action="store_const", const="none", help="as --sound none"
    )
    coding = parser.add_argument_group("coding")
    add_options(coding, EncoderConfig)
    return coding


def _without_fitting(values: dict[str, Any]) -> dict[str, Any]:
    """The values without those of fitting, which have no effect; the first time a line says so."""
    if values["fit"] or values["fit_by"]:
        _warn_of_fitting()
        values |= {"fit": None if values["fit"] else values["fit"], "fit_by": ""}
    return values


@functools.cache
def _warn_of_fitting() -> None:
    log_line(NO_FITTING)


def make_job(options: argparse.Namespace, source: str = "", output: str = "") -> Job:
    config = EncoderConfig(**_without_fitting(values_of(EncoderConfig, options)))
    input_options = InputOptions(**values_of(InputOptions, options, until=end_of(options)))
    arguments = {
        "source": source,
        "output": output,
        "config": config,
        "input_options": input_options,
    }
    return Job(**values_of(Job, options, progress=mode_of(options), **arguments))


def _default_output(source: str) -> str:
    """The stream's name where none is given. Raises `UsageError` where the input has none."""
    if source == "-":
        raise UsageError("the name of the stream is missing: standard input has none to go by")
    return os.path.splitext(source)[0] + ".gvc"


def run(options: argparse.Namespace) -> None:
    rules = rules_of(options)
    if rules is not None:
        _replace(options, rules)
    else:
        encode_to_output(options)


def encode_to_output(options: argparse.Namespace) -> None:
    """Encode to a new file, and print the result."""
    options.output = options.output or _default_output(options.input)
    start = time.monotonic()
    job = make_job(options, options.input, options.output)
    report = encode_job(job)
    for note in report.notes:
        log_line(note)
    log_line(f"{options.output}: {report.summary}, {time.monotonic() - start:.1f} s")
    if job.config.painter == "on" and (hint := high_rate_hint(report.bpp)):
        log_line(hint)
    require_complete(job, report)


def _replace(options: argparse.Namespace, rules: ReplaceRules) -> None:
    """Raises `UsageError` for an output that is not the original's name with another ending."""
    stem, _ = os.path.splitext(options.input)
    out_stem, suffix = os.path.splitext(options.output or f"{stem}.gvc")
    if absolute_path(out_stem) != absolute_path(stem):
        raise UsageError(f"{options.output}: with --replace the new file is {stem}{suffix}")
    if suffix != ".gvc" and not one_file_suffix(f"OUT{suffix}"):
        raise UsageError(f"{options.output}: with --replace a file is .gvc, .mp4, .mkv or .webm")
    replaced = encode_and_replace(make_job(options, options.input), suffix, rules)
    for note in replaced.encode_report.notes if replaced.encode_report else ():
        log_line(note)
    if replaced.encode_report is not None:
        log_line(f"{replaced.target}: {replaced.encode_report.summary}")
    else:
        log_line(f"{replaced.target}: was coded by an earlier call")
    end = f"is {replaced.original}" if replaced.original else "is deleted"
    check = f"{replaced.target} ({replaced.copy_check})"
    log_line(f"{options.input}: replaced by {check}; the original {end}")
