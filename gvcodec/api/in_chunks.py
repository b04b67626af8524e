"""`encode_file` with jobs: one file, in chunks side by side. One job codes one after the other in
this process."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gvcodec.api.job import Job
from gvcodec.api.rate_control import reread
from gvcodec.api.results import Encoded
from gvcodec.api.sources import open_sink
from gvcodec.batch import ledger
from gvcodec.batch.driver import Driver
from gvcodec.batch.engines import open_engine
from gvcodec.batch.local import Inline
from gvcodec.batch.settings import make_settings
from gvcodec.batch.watch import Bar
from gvcodec.bitstream import Reader
from gvcodec.errors import MediaError, UsageError
from gvcodec.media.inputs import list_pictures
from gvcodec.rate.budget import Budget
from gvcodec.rate.target import Target
from gvcodec.streams.info import duration_of
from gvcodec.util.file_io import as_name, work_folder
from gvcodec.util.uris import absolute_path, is_uri


def settings_of(rate: Budget | Target | None) -> dict[str, Any]:
    """The budget or target as workers get it, {} without any."""
    if isinstance(rate, Target):
        return {"target": [rate.metric, rate.value]}
    budgets = asdict(rate) if rate is not None else {}
    return {name: value for name, value in budgets.items() if value is not None}


def encode_in_chunks(job: Job) -> Encoded:
    """Raises what the first chunk that fails raises."""
    if job.config.threads:
        raise UsageError(
            "--threads goes without --jobs: each job has one core, or more for large pictures"
        )
    name = as_name(job.source)
    if name is not None and not is_uri(name) and name != "-" and list_pictures(name):
        raise UsageError(f"{name}: --jobs is for files, not for numbered pictures")
    settings = make_settings(
        job.config, settings_of(job.rate), job.start, job.frames, said=job.input_options
    )
    to = as_name(job.output)
    beside = None if to is None or to == "-" else Path(to).absolute().parent
    with (
        open_sink(job.output, job.overwrite) as output,
        reread(job.source) as path,
        work_folder(".gvcodec-", beside) as folder,
    ):
        notebook = ledger.Ledger(folder)
        task = ledger.Job(absolute_path(path), settings)
        engine = Inline() if job.jobs == 1 else open_engine(job.jobs or 0)
        with engine, Bar(1, job.progress, job.verbose) as bar:
            driver = Driver(engine, notebook, bar.heard)
            driver.run([task])
        if driver.errors:
            raise MediaError(driver.errors[task.name])
        done = notebook.find_done(notebook.input(task)["key"])
        assert done is not None
        with open(Path(folder, done["output"]), "rb") as joined:
            reader = Reader(joined)
            fmt, seconds = reader.header.format, float(duration_of(reader))
            joined.seek(0)
            shutil.copyfileobj(joined, output)
    row = done["rows"][0]
    return Encoded(
        row["frames"],
        row["bytes"],
        tuple(row["notes"]),
        fmt,
        row.get("psnr_y") or math.inf,
        tuple(row["tracks"]) if row["tracks"] else None,
        chunks=len(done["rows"]) - 1,
        seconds=seconds,
    )
