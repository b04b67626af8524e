"""`gvcodec verify IN …`: checks streams as far as they can be checked."""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gvcodec.api.job import Job
from gvcodec.cli._arguments import (
    add_limits,
    add_model,
    add_overwrite,
    add_part,
    add_progress,
    add_threads,
    call,
    end_of,
)
from gvcodec.cli._standard_streams import out
from gvcodec.edit.verify import VerifyReport, verify
from gvcodec.errors import (
    BatchError,
    GvcodecError,
    IncompleteSourceError,
    NotGvcodecError,
    SourceDiffersError,
    UsageError,
)
from gvcodec.input_options import InputOptions
from gvcodec.one_file.write import ONE_FILE
from gvcodec.util import uris
from gvcodec.util.file_io import STREAMS, PendingFile, display_name, open_input
from gvcodec.util.messages import count_noun, log_line, one_line
from gvcodec.util.options import add_options

EXAMPLES = ("verify film.gvc --source film.mp4 --floor psnr=30", "verify archive/ --csv today.csv")
_COLUMNS = ("file", "result", "frames", "bytes", "sha256", "base_hash", "painted_hash", "error")
#: Options about --source.
_OF_SOURCE = ("start", "to", "duration", "frames", "fps", "scale", "floor")
_FLOOR = re.compile(r"psnr=(\d+(?:\.\d+)?)")
#: Skipped files that are named; bytes read at once.
_LISTED, _BLOCK = 5, 1 << 20


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IN", help="streams and folders of them, - = standard input")
    add("--csv", metavar="FILE", help="also write a table with the hashes of each file")
    add_overwrite(parser)
    add(
        "--source",
        metavar="VIDEO",
        help="source of the stream, to measure PSNR; ends with code 10 if frames, times or size "
        "differ, but for changes that these options name:",
    )
    add_part(parser)
    add_options(parser, Job, group="part")
    add_options(parser, InputOptions, only=("fps", "scale"))
    add(
        "--floor",
        metavar="psnr=N",
        help="with --source: end with code 10 if the mean PSNR-Y of the shown frames is lower",
    )
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
    is_many = len(options.inputs) > 1 or bool(options.csv) or os.path.isdir(options.inputs[0])
    given = (name for name in _OF_SOURCE if getattr(options, name))
    if options.source is None and (name := next(given, "")):
        raise UsageError(f"--{name} needs --source", code="option-conflict")
    if options.source is not None and is_many:
        raise UsageError("--source is that of one stream", code="option-conflict")
    if is_many:
        _verify_many(options)
    else:
        _verify_one(options, options.inputs[0])


def _verify_one(options: argparse.Namespace, path: str) -> None:
    floor = _FLOOR.fullmatch(options.floor or "psnr=0")
    if floor is None:
        raise UsageError(f"--floor: {options.floor!r} is no floor like psnr=30")
    input_options = InputOptions(fps=options.fps, scale=options.scale, until=end_of(options))
    try:
        report = call(verify, options, path, options.source, input_options=input_options)
    except IncompleteSourceError as error:
        assert isinstance(error.result, VerifyReport)
        _show(error.result, path)
        raise
    except UsageError as error:
        if error.code != "streams-differ":
            raise
        raise SourceDiffersError(str(error)) from error
    _show(report, path)
    if report.differences and not report.incomplete:
        raise SourceDiffersError(
            f"{options.source}: {'; '.join(report.differences)} (--start, --duration, --frames, "
            "--fps and --scale name a change)",
            report,
        )
    luma = (report.painted_psnr or report.base_psnr or (0.0,))[0]
    if luma < float(floor[1]):
        raise SourceDiffersError(f"{path}: PSNR-Y is {luma:.2f} dB, below {floor[1]} dB", report)


def _verify_many(options: argparse.Namespace) -> None:
    """A line for each file, and the table. Raises `BatchError` if one is not right."""
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    with contextlib.ExitStack() as stack:
        # The table is looked at first: it should not fail after hours.
        pending = options.csv and stack.enter_context(PendingFile(options.csv, options.overwrite))
        for path, is_stream in _list_files(options.inputs):
            row = _row_of(options, path)
            if row["result"] == NotGvcodecError.default_code and not is_stream:
                skipped.append(os.path.basename(path))
                continue
            rows.append(row)
            if row["error"] or not options.quiet:
                frames = count_noun(row["frames"], "frame") if "frames" in row else ""
                error = f": {row['error']}" if row["error"] else ""
                out(one_line(f"{row['result']:<16} {frames:>14}  {path}{error}"))
        if pending:
            _write_table(pending.temporary, rows)
    if skipped:
        names = ", ".join(skipped[:_LISTED]) + (", …" if skipped[_LISTED:] else "")
        log_line(f"{count_noun(len(skipped), 'other file')} skipped: {names}")
    if not rows:
        raise UsageError(f"{' '.join(options.inputs)}: no gvcodec files there")
    bad = sum(row["result"] != "ok" for row in rows)
    summary = f"{count_noun(len(rows), 'file')}: {len(rows) - bad} right"
    if bad:
        raise BatchError(f"{summary}, {bad} not")
    log_line(summary)


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(errors="backslashreplace"))


def _list_files(names: list[str]) -> Iterator[tuple[str, bool]]:
    """Files to check, and whether each has to be a stream, as not every .mp4 of a folder has to.
    Raises `UsageError`, `MediaError`."""
    for name in names:
        if name == "-":
            raise UsageError("standard input is checked by itself")
        if not os.path.isdir(name):
            yield name, True
            continue
        folder = uris.fixed_path(name)
        for path in uris.list_files(name):
            suffix = os.path.splitext(path)[1].lower()
            if suffix in (*STREAMS, *ONE_FILE):
                yield name.rstrip("/") + path.removeprefix(folder), suffix in STREAMS


def _row_of(options: argparse.Namespace, path: str) -> dict[str, Any]:
    """The row of a file in the table; `result`: ok, or the code of its error."""
    row: dict[str, Any] = {"file": path, "result": "ok", "error": ""}
    try:
        digest, size = hashlib.sha256(), 0
        with open_input(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
        row |= {"bytes": size, "sha256": digest.hexdigest()}
        report = call(verify, options, path, None)
        row |= {"frames": report.frames, "base_hash": report.base_hash}
        row |= {"painted_hash": report.painted_hash or ""}
    except GvcodecError as error:
        row |= {"result": error.code, "error": str(error).removeprefix(f"{path}: ")}
    return row


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
