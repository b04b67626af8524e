"""`encode_file` with `jobs` or `resume`: codes one file in chunks, in parallel processes or, with
one job, one after another in this process."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gvcodec.api.info import read_info
from gvcodec.api.job import Job, is_whole, q_used
from gvcodec.api.results import EncodeReport
from gvcodec.bases import q_of
from gvcodec.batch import ledger
from gvcodec.batch.driver import Driver, FrameCount
from gvcodec.batch.engines import Inline, open_engine
from gvcodec.batch.tasks import find_coded, make_settings
from gvcodec.bitstream import Reader
from gvcodec.errors import MediaError, UsageError
from gvcodec.source import playlist
from gvcodec.source.opening import Source
from gvcodec.util.file_io import as_name, name_errors, open_rereadable, work_folder
from gvcodec.util.messages import count_noun
from gvcodec.util.progress import ProgressBar
from gvcodec.util.uris import absolute_path

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]

#: Ending of the folder in which chunks are kept, and bytes that a name may have.
_PART, _LONGEST = ".part", 255


def encode_in_chunks(job: Job, output: BinaryIO) -> EncodeReport:
    """Raises the error of the first chunk that fails."""
    if job.config.threads:
        raise UsageError(
            "--threads cannot be combined with --jobs or --resume: each job has one core, or more "
            "for large pictures",
            code="option-conflict",
        )
    with Source.open(job.source) as source:
        if source.pictures:
            raise UsageError(
                f"{source.name}: --jobs is for files, not for numbered pictures",
                code="option-conflict",
            )
    settings = make_settings(
        job.config, job.rate, job.start, job.frames, input_options=job.input_options
    )
    with open_rereadable(job.source) as path, _open_folder(job) as folder:
        source_bytes = playlist.size_of(path) if is_whole(job) else None
        notebook = ledger.Ledger(folder)
        task = ledger.Job(absolute_path(path), settings)
        coded = [find_coded(str(path)) or {} for path in Path(folder).glob(".batch/chunks/*/*.gvc")]
        finished_frames = sum(row.get("frames", 0) for row in coded)
        engine = Inline() if job.jobs == 1 else open_engine(job.jobs or 0)
        with engine, ProgressBar(job.progress, job.verbose) as bar:
            driver = Driver(engine, notebook, FrameCount(bar, [task]))
            driver.run([task])
        if driver.errors:
            raise MediaError(driver.errors[task.name])
        record = notebook.record(task)
        with open(Path(folder, record["output"]), "rb") as joined:
            reader = Reader(joined)
            fmt, seconds = reader.header.format, read_info(reader).duration
            joined.seek(0)
            shutil.copyfileobj(joined, output)
    row = record["rows"][0]
    notes = []
    if finished_frames:
        notes.append(f"{count_noun(finished_frames, 'frame is', 'frames are')} coded already")
    return EncodeReport(
        row["frames"],
        row["bytes"],
        (*notes, *row["notes"]),
        fmt,
        row.get("psnr_y") or math.inf,
        tuple(row["tracks"]) if row["tracks"] else None,
        chunks=len(record["rows"]) - 1,
        q=q_used(job.config.resolve()) if job.rate is None else q_of(job.config.base, row["q"]),
        seconds=seconds,
        incomplete=record["error"],
        source_bytes=source_bytes,
    )


def part_folder(output: str) -> Path:
    """OUT.part; a name that has no room for the ending is cut, with a hash of the whole."""
    folder, name = os.path.split(output)
    coded = os.fsencode(name)
    if len(coded) > _LONGEST - len(_PART):
        mark = f"~{hashlib.sha256(coded).hexdigest()[:8]}{_PART}"
        return Path(folder, coded[: _LONGEST - len(mark)].decode(errors="ignore") + mark)
    return Path(folder, name + _PART)


@contextlib.contextmanager
def _open_folder(job: Job) -> Iterator[str]:
    """Where chunks are kept: OUT.part with `resume`. Raises `MediaError` where it is in use."""
    output_name = as_name(job.output)
    if not job.resume:
        parent = (
            None
            if output_name is None or output_name == "-"
            else Path(output_name).absolute().parent
        )
        with work_folder(".gvcodec-", parent) as folder_name:
            yield folder_name
        return
    if output_name is None or output_name == "-":
        raise UsageError("--resume needs the name of an output file")
    folder = part_folder(output_name)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise MediaError(f"{folder}: is no folder; remove it to start over")
    with name_errors(folder):
        folder.mkdir(exist_ok=True)
        with open(folder / "lock", "wb") as lock:
            try:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MediaError(f"{folder}: another encode is writing it") from None
            yield str(folder)
    shutil.rmtree(folder, ignore_errors=True)
