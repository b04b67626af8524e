"""`gvcodec encode --jobs N`: one file, in chunks side by side. `--jobs 1` codes one after the other
in this process."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from gvcodec.batch.driver import Driver
from gvcodec.batch.engines import open_engine
from gvcodec.batch.ledger import Job, Ledger
from gvcodec.batch.local import Inline
from gvcodec.batch.settings import make_settings
from gvcodec.batch.watch import Bar
from gvcodec.bitstream import Reader
from gvcodec.cli._arguments import progress_of
from gvcodec.cli._input_options import said_of
from gvcodec.cli._rate_control import reread
from gvcodec.config import EncoderConfig
from gvcodec.errors import MediaError, UsageError
from gvcodec.media.inputs import numbered
from gvcodec.one_file.files import create_stream
from gvcodec.streams.info import encode_summary
from gvcodec.util.messages import counted, say
from gvcodec.util.signals import OnAbort, held
from gvcodec.util.uris import is_uri


def rate_of(options: argparse.Namespace) -> dict[str, object]:
    """The budget or target of the options, {} without any."""
    if options.target is not None:
        return {"target": [options.target.metric, options.target.value]}
    budgets = {name: getattr(options, name) for name in ("size", "bitrate", "bpp")}
    return {name: value for name, value in budgets.items() if value is not None}


def encode_in_chunks(options: argparse.Namespace, config: EncoderConfig) -> None:
    """Raises what the first chunk that fails raises."""
    if options.resume:
        raise UsageError(
            "--resume goes without --jobs; gvcodec batch goes on where it was interrupted"
        )
    if config.threads:
        raise UsageError(
            "--threads goes without --jobs: each job has one core, or more for large pictures"
        )
    began = time.monotonic()
    if not is_uri(options.input) and options.input != "-" and numbered(options.input):
        raise UsageError(f"{options.input}: --jobs is for files, not for numbered pictures")
    settings = make_settings(
        config, rate_of(options), options.start, options.frames, said=said_of(options)
    )
    with create_stream(options.output, options.overwrite) as output, reread(options.input) as path:
        with held():
            beside = None if options.output == "-" else Path(options.output).absolute().parent
            work = tempfile.mkdtemp(prefix=".gvcodec-", dir=beside)
            undo = OnAbort(partial(shutil.rmtree, work, ignore_errors=True))
        try:
            ledger = Ledger(work)
            job = Job(os.path.abspath(path), settings)
            engine = Inline() if options.jobs == 1 else open_engine(options.jobs)
            with engine, Bar(1, **progress_of(options)) as bar:
                driver = Driver(engine, ledger, bar.heard)
                driver.run([job])
            if driver.errors:
                raise MediaError(driver.errors[job.name])
            done = ledger.done(ledger.input(job)["key"])
            assert done is not None
            with open(Path(work, done["output"]), "rb") as joined:
                fmt = Reader(joined).header.format
                joined.seek(0)
                shutil.copyfileobj(joined, output)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            undo.cancel()
    row = done["rows"][0]
    for note in row["notes"]:
        say(note)
    tracks = tuple(row["tracks"]) if row["tracks"] else None
    summary = encode_summary(
        fmt, row["frames"], row["bytes"], tracks, row.get("psnr_y") or math.inf
    )
    chunks = counted(len(done["rows"]) - 1, "chunk")
    say(f"{options.output}: {summary}, {chunks}, {time.monotonic() - began:.1f} s")
