"""`gvcodec encode --size | --bitrate | --bpp`: several passes over the input, one file that fits."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator

from gvcodec.allocation.budget import Budget
from gvcodec.allocation.size import encode_to
from gvcodec.commands import encode_summary, open_output, progress_bar, say, tuning_line
from gvcodec.encoder import EncoderConfig
from gvcodec.media.reader import Frame, VideoReader


def encode_within(options: argparse.Namespace, config: EncoderConfig) -> None:
    """Raises `UsageError` with the smallest possible size where the budget cannot be met."""
    began = time.monotonic()
    with open_output(options.output, options.overwrite) as output, _reread(options.input) as path:

        def open_source() -> VideoReader:
            return VideoReader(path, options.start, options.frames)

        fitted = encode_to(open_source, config, Budget(options.size, options.bitrate, options.bpp), _watch, tuning_line)
        tuning_line("")
        coded = fitted.coded
        output.write(coded.data)
    for note in coded.notes:
        say(note)
    audio = (coded.track_bytes, coded.track_packets) if coded.track_packets else None
    summary = encode_summary(coded.format, len(coded.frame_bytes), len(coded.data), audio, coded.psnr_y)
    used = f"{100 * len(coded.data) / fitted.limit:.2f} % of {fitted.limit} bytes"
    say(f"{options.output}: {summary}, {used}, {fitted.full_passes} passes, {time.monotonic() - began:.1f} s")


def _watch(frames: Iterable[Frame], what: str, total: int | None) -> Iterator[Frame]:
    with progress_bar(total, what) as bar:
        for frame in frames:
            yield frame
            bar.update()


@contextlib.contextmanager
def _reread(path: str) -> Iterator[str]:
    """A file that can be read several times: standard input goes to a temporary one first."""
    if path != "-":
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="gvcodec-") as spool:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.flush()
        yield spool.name
