"""What the subcommands of the command line do; `gvcodec.cli` reads the arguments and reports errors."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gvcodec.bitstream import PtsDecoder, Reader
from gvcodec.config import EncoderConfig
from gvcodec.console import out
from gvcodec.encoder import Encoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.files import open_input, open_output, say, shown_name
from gvcodec.limits import Limits
from gvcodec.progress import ProgressBar, tuning_seconds
from gvcodec.session import run
from gvcodec.tools.report import encode_summary, kbps
from gvcodec.types import VideoFormat
from gvcodec.words import counted

if TYPE_CHECKING:
    from gvcodec.resume import Journal


def encode(options: argparse.Namespace) -> None:
    """`gvcodec encode IN OUT`"""
    from gvcodec.media.reader import VideoReader
    from gvcodec.media.tracks import CHUNK

    config = EncoderConfig(
        q=options.q,
        base_q=options.base_q,
        base=options.base,
        scale=options.base_scale,
        tune=options.tune[0],
        tune_steps=options.tune[1],
        tune_parts=options.tune_parts,
        tune_by=options.tune_by,
        keyint=options.keyint,
        low_delay=options.low_delay,
        threads=options.threads,
        maxrate=options.maxrate or 0,
        bufsize=options.bufsize or 0,
        alloc=options.alloc,
        eye=options.eye,
        preset=options.preset,
    )
    steered = any(v is not None for v in (options.size, options.bitrate, options.bpp, options.target))
    if options.resume and (steered or config.maxrate):
        raise UsageError("--resume goes with -q, not with rate control")
    if steered:
        from gvcodec.rated import encode_rated

        encode_rated(options, config)
        return
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        # The output is looked at first: a long job should not fail at its end.
        output = stack.enter_context(open_output(options.output, options.overwrite))
        reader = stack.enter_context(VideoReader(options.input, options.start, options.frames))
        journal = stack.enter_context(_journal(options, config)) if options.resume else None
        wrap = journal.wrap if journal else None
        plan = ["code", "tune"] if config.tunes else ["code"]
        tune = tuning_seconds(config.tune, config.tune_steps)
        bar = stack.enter_context(ProgressBar(plan, tune, partial(_rate_so_far, reader.format)))
        encoder = Encoder(reader.format, config, reader.start_pts, progress=bar, wrap=wrap)
        if journal and journal.frames:
            say(f"{options.output}: {counted(journal.frames, 'frame is', 'frames are')} coded already")
        frames = ((frame.planes, frame.pts) for frame in bar(reader, "encode", reader.expected))
        chunk = 0 if config.low_delay else CHUNK
        writer = run(encoder, output, frames, reader.metadata.pack(), reader.tracks, chunk)
    if journal:
        journal.done()
    for note in (*reader.notes, *encoder.notes):
        say(note)
    audio = (writer.track_size, reader.tracks.packets) if reader.tracks else None
    summary = encode_summary(reader.format, writer.frames, writer.size, audio, encoder.psnr_y)
    say(f"{options.output}: {summary}, {time.monotonic() - began:.1f} s")


def inspect(options: argparse.Namespace) -> None:
    """`gvcodec inspect IN`"""
    from gvcodec.heatmap import LEGEND, heatmap, heatmap_format, mean_frame, table, windows_of
    from gvcodec.media.writer import open_writer, visually_lossless

    video = options.heatmap is not None and not options.heatmap.lower().endswith(".png")
    with open_input(options.input) as source:
        reader = Reader(source, shown_name(options.input))
        fmt = reader.header.format
        try:
            most = Limits(options.max_pixels, options.max_memory)
            frames = windows_of(reader, options.threads, most)
            if video:
                shown = heatmap_format(fmt)
                crf = visually_lossless(options.heatmap, shown)
                with open_writer(
                    options.heatmap, shown, crf=crf, overwrite=options.overwrite, threads=options.threads
                ) as writer:
                    timing = PtsDecoder(reader.header.start_pts, fmt.frame_rate, fmt.time_base)
                    for frame in frames:
                        writer.write(heatmap(frame), timing.receive())
                say(f"{options.heatmap}: {LEGEND}")
                return
            mean, count = mean_frame(frames)
        except DamagedStreamError as error:
            raise reader.named(error) from error
    if options.heatmap is None:
        out(table(mean))
        say(f"bits and tokens of the windows of 256×256, mean of {counted(count, 'frame')}")
        return
    with open_writer(options.heatmap, heatmap_format(fmt), overwrite=options.overwrite) as writer:
        writer.write(heatmap(mean), 0)
    say(f"{options.heatmap}: {LEGEND}")


def extract(options: argparse.Namespace) -> None:
    """`gvcodec extract IN OUT`"""
    from gvcodec.extract import extract as copy

    with open_input(options.input) as source:
        reader = Reader(source, shown_name(options.input))
        try:
            most = Limits(options.max_pixels, options.max_memory)
            frames, left_out = copy(reader, options.output, options.overwrite, most)
        except DamagedStreamError as error:
            raise reader.named(error) from error
    note = f" (without {' and '.join(left_out)})" if left_out else ""
    say(f"{options.output}: {counted(frames, 'frame')} of {reader.header.base}, copied{note}")


def train(options: argparse.Namespace) -> None:
    """`gvcodec train CONFIG`"""
    from gvcodec.train.cli import run

    run(options)


def _journal(options: argparse.Namespace, config: EncoderConfig) -> Journal:
    """Where coded frames are kept until the output is complete."""
    from gvcodec.resume import Journal

    source = "" if options.input == "-" else os.path.abspath(options.input)
    status = os.stat(source) if source and os.path.exists(source) else None
    video = (source, status and status.st_size, status and status.st_mtime_ns, options.start, options.frames)
    settings = replace(config, threads=0, tune=0.0, tune_steps=0, tune_parts=0, tune_by="")
    return Journal(options.output, (video, settings), options.threads)


def _rate_so_far(fmt: VideoFormat, frames: int, size: int) -> str:
    bpp = 8 * size / (frames * fmt.width * fmt.height)
    return f"{kbps(size, frames, fmt.frame_rate):.1f} kb/s, {bpp:.5f} bpp"
