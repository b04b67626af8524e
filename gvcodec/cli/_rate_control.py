"""`gvcodec encode --size | --bitrate | --bpp | --target`: several passes over the input, one
file."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial

from gvcodec.bases import q_of
from gvcodec.cli._arguments import progress_of
from gvcodec.cli._base import choose_base
from gvcodec.cli._input_options import said_of
from gvcodec.codec.durations import plan_of, work_of
from gvcodec.config import EncoderConfig
from gvcodec.media.reader import VideoReader
from gvcodec.one_file.files import create_stream
from gvcodec.rate.budget import Budget
from gvcodec.rate.size import encode_to
from gvcodec.rate.target import encode_for, require_metric
from gvcodec.streams.info import encode_summary
from gvcodec.util.file_io import written
from gvcodec.util.messages import counted, say
from gvcodec.util.progress import ProgressBar
from gvcodec.util.signals import OnAbort, held


def encode_rated(options: argparse.Namespace, config: EncoderConfig) -> None:
    """Raises `UsageError` with the smallest possible size, or the best possible quality, where that
    is not enough, and `MissingWeightsError` before anything is read."""
    began = time.monotonic()
    if options.target is not None:
        require_metric(options.target)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(create_stream(options.output, options.overwrite))
        path = stack.enter_context(reread(options.input))

        def open_source() -> VideoReader:
            return VideoReader(path, options.start, options.frames, said=said_of(options))

        choose = partial(choose_base, options, path=path)
        with open_source() as source:
            work = work_of(source.format, config.settled())
        bar = stack.enter_context(ProgressBar(_plan(options, config), work, **progress_of(options)))
        if options.target is not None:
            reached = encode_for(open_source, config, options.target, bar, bar, choose)
            coded, passes = reached.coded, reached.passes
            q = q_of(reached.base, reached.base_q)
            result = f"{options.target.metric} {reached.value:.4g} at q {q:.4g}"
        else:
            budget = Budget(options.size, options.bitrate, options.bpp)
            fitted = encode_to(open_source, config, budget, bar, bar, choose)
            coded, passes = fitted.coded, fitted.full_passes
            result = f"{100 * len(coded.data) / fitted.limit:.2f} % of {fitted.limit} bytes"
        output.write(coded.data)
    for note in coded.notes:
        say(note)
    sound = coded.track_bytes, coded.track_packets, coded.track_kinds
    summary = encode_summary(
        coded.format,
        len(coded.frame_bytes),
        len(coded.data),
        sound if coded.track_packets else None,
        coded.psnr_y,
    )
    say(
        f"{options.output}: {summary}, {result}, {counted(passes, 'pass', 'passes')}, "
        f"{time.monotonic() - began:.1f} s"
    )


def _plan(options: argparse.Namespace, config: EncoderConfig) -> list[str]:
    """The stages that there are as a rule."""
    once = plan_of(config)
    if options.target is not None:
        return ["count", *4 * once]
    rest = 2 * [stage for stage in once if stage != "fit"]
    return ["count", "trial", "trial", "trial", *once, *rest]


@contextlib.contextmanager
def reread(path: str) -> Iterator[str]:
    """A file that can be read several times: standard input goes to a temporary one first."""
    if path != "-":
        yield path
        return
    with contextlib.ExitStack() as stack:
        with held():
            spool = stack.enter_context(tempfile.NamedTemporaryFile(prefix="gvcodec-"))
            stack.callback(OnAbort(partial(os.unlink, spool.name)).cancel)
        with written(spool.name):
            shutil.copyfileobj(sys.stdin.buffer, spool)
            spool.flush()
        yield spool.name
