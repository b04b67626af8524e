"""`gvcodec encode IN OUT`: a video to a gvcodec stream."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from gvcodec.bases import Q_END, names
from gvcodec.cli._arguments import (
    add_embedder,
    add_overwrite,
    add_progress,
    add_threads,
    amount,
    fitting,
    integer,
    progress_of,
    quality,
    scale,
    seconds,
    target,
    use_threads,
)
from gvcodec.cli._input_options import add_input_options, said_of
from gvcodec.cli._rate_control import encode_rated
from gvcodec.codec.durations import plan_of, work_of
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import DEFAULT_SPEED, SPEEDS, EncoderConfig, Speed
from gvcodec.errors import UsageError
from gvcodec.media.reader import VideoReader
from gvcodec.media.tracks import CHUNK
from gvcodec.one_file.files import create_stream
from gvcodec.one_file.write import check_one_file
from gvcodec.search.embedders import DEFAULT, make
from gvcodec.search.making import Summarizer
from gvcodec.streams.info import encode_summary, kbps
from gvcodec.streams.resume import Journal
from gvcodec.types import VideoFormat
from gvcodec.util.messages import counted, say
from gvcodec.util.progress import ProgressBar

HELP = "video to gvcodec stream"
EXAMPLES = ("encode film.mp4 film.gvc", "encode film.mp4 film.gvc --size 5M --base vvc")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        metavar="IN",
        help="any video, a URI, a folder of numbered pictures, f%%04d.png, NAME_WxH_FPS.yuv, "
        "- = y4m (or another streamable file) on standard input",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="stream to write, - = standard output (IN with the ending .gvc); .mp4, .mkv, .webm: "
        "AV1 that every player shows, with the packets for painting",
    )
    coding_arguments(parser)
    add_input_options(parser)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what is coded in OUT.part, and go on from there if it exists",
    )
    parser.add_argument(
        "--jobs",
        type=integer(1, 1024),
        metavar="N",
        help="code in chunks, so many at a time; the file is the same for every N (one video in "
        "one go)",
    )
    parser.add_argument(
        "--summary", action="store_true", help="add a summary for search, at most 1 %% of the file"
    )
    add_embedder(parser)
    add_threads(parser)
    add_progress(parser)
    add_overwrite(parser)


def _by_speed(value: Callable[[Speed], int]) -> str:
    """Defaults of an option that follows from --speed."""
    return ", ".join(f"{name} {value(row)}" for name, row in SPEEDS.items())


def coding_arguments(parser: argparse.ArgumentParser) -> None:
    """How to encode, for `batch` too."""
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        type=quality(Q_END),
        default=50,
        metavar="N",
        help=f"quality, 0 best … {Q_END}, about the same PSNR in every base; pictures of av1 and "
        "tokens are smaller beyond 63 (50)",
    )
    rate.add_argument(
        "--base-q",
        type=quality(255),
        metavar="N",
        help="quality by the base layer's own index, 0 best",
    )
    rate.add_argument(
        "--size", type=amount, metavar="BYTES", help="largest size of the file: 250k, 1.5M, 64Ki"
    )
    rate.add_argument(
        "--bitrate", type=amount, metavar="BITS", help="largest bitrate without audio, as in 300k"
    )
    rate.add_argument("--bpp", type=amount, metavar="BITS", help="most bits a pixel, without audio")
    rate.add_argument(
        "--target",
        type=target,
        metavar="METRIC=VALUE",
        help="smallest file with psnr=DECIBEL or lpips=DISTANCE (VGG)",
    )
    parser.add_argument(
        "--maxrate",
        type=amount,
        metavar="BITS",
        help="with -q: largest mean bitrate of the picture, by SVT-AV1's capped CRF on one thread "
        "(av1, not --low-delay); a first second of hard video may take half as much again",
    )
    parser.add_argument("--base", choices=names(), default="av1", help="base layer (av1)")
    parser.add_argument(
        "--base-scale",
        type=scale,
        default=None,
        metavar="1|3/4|1/2",
        help="size at which the base is coded (1, smaller where a rate is out of reach otherwise)",
    )
    parser.add_argument(
        "--speed",
        choices=tuple(SPEEDS),
        default=DEFAULT_SPEED,
        help=f"preset and steps of fitting together ({DEFAULT_SPEED})",
    )
    parser.add_argument(
        "--fit",
        type=fitting,
        default=(None, None),
        metavar="STEPS|SECONDSs|off",
        help="steps of fitting the painter to the video, or seconds as in 30s, whose file depends "
        f"on the machine ({_by_speed(lambda row: row.fit_steps)})",
    )
    parser.add_argument(
        "--fit-parts",
        type=integer(1, 4),
        default=0,
        metavar="N",
        help="how many parts of the painter, 1 to 4, may change (2, in large streams 3)",
    )
    parser.add_argument(
        "--fit-by",
        choices=("vgg", "small"),
        default="",
        help="network whose features tell how it looks: VGG16, or the small one that is shipped "
        "(vgg where its weights are found)",
    )
    parser.add_argument(
        "--keyint",
        type=integer(0),
        default=240,
        metavar="N",
        help="frames between keyframes at most; a new scene has one too; 0 = only the first (240)",
    )
    parser.add_argument(
        "--low-delay",
        action="store_true",
        help="no B frames and no look-ahead: every packet leaves with its frame",
    )
    parser.add_argument(
        "--preset",
        type=integer(0, 10),
        metavar="N",
        help="of SVT-AV1 (av1): 0 slowest … 10 fastest "
        f"({_by_speed(lambda row: row.presets['av1'])}); of VVenC (vvc): 0 … 4 "
        f"({_by_speed(lambda row: row.presets['vvc'])})",
    )
    parser.add_argument(
        "--eye",
        action="store_true",
        help="make av1 weigh errors by structure: a tenth fewer bytes at equal LPIPS, a seventh "
        "more at equal PSNR",
    )
    parser.add_argument(
        "--start",
        type=seconds,
        default=0.0,
        metavar="T",
        help="seconds to leave out at the beginning",
    )
    parser.add_argument("--frames", type=integer(1), metavar="N", help="number of frames to encode")


def config_of(options: argparse.Namespace) -> EncoderConfig:
    """What the options of `coding_arguments` say, but for a budget or target."""
    return EncoderConfig(
        q=options.q,
        base_q=options.base_q,
        base=options.base,
        scale=options.base_scale,
        fit=options.fit[0],
        fit_steps=options.fit[1],
        fit_parts=options.fit_parts,
        fit_by=options.fit_by,
        keyint=options.keyint,
        low_delay=options.low_delay,
        threads=getattr(options, "threads", 0),
        maxrate=options.maxrate or 0,
        eye=options.eye,
        speed=options.speed,
        preset=options.preset,
    )


def _beside(source: str) -> str:
    """The stream's name where none is given. Raises `UsageError` where the input has none."""
    if source == "-":
        raise UsageError("the name of the stream is missing: standard input has none to go by")
    return os.path.splitext(source)[0] + ".gvc"


def run(options: argparse.Namespace) -> None:
    options.output = options.output or _beside(options.input)
    config = config_of(options)
    check_one_file(options.output, config.base)
    steered = any(
        v is not None for v in (options.size, options.bitrate, options.bpp, options.target)
    )
    if options.resume and (steered or config.maxrate):
        raise UsageError("--resume goes with -q, not with rate control")
    if options.summary and steered:
        raise UsageError("--summary goes with -q; gvcodec summarize adds one to a finished stream")
    if options.summary and options.low_delay:
        raise UsageError("--summary waits for the end of each GOP, --low-delay for nothing")
    if options.embedder and not options.summary:
        raise UsageError("--embedder goes with --summary")
    if options.summary and options.jobs:
        raise UsageError(
            "--summary goes without --jobs; gvcodec summarize adds one to a finished stream"
        )
    if options.jobs:
        from gvcodec.cli._in_chunks import encode_in_chunks

        encode_in_chunks(options, config)
        return
    if steered:
        encode_rated(options, config)
        return
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        # The output is looked at first: a long job should not fail at its end.
        output = stack.enter_context(create_stream(options.output, options.overwrite))
        reader = stack.enter_context(
            VideoReader(options.input, options.start, options.frames, said=said_of(options))
        )
        journal = stack.enter_context(_journal(options, config)) if options.resume else None
        wrap = journal.wrap if journal else None
        work = work_of(reader.format, config)
        rate = partial(rate_so_far, reader.format)
        bar = stack.enter_context(ProgressBar(plan_of(config), work, rate, **progress_of(options)))
        encoder = Encoder(reader.format, config, reader.start_pts, progress=bar, wrap=wrap)
        if journal and journal.frames:
            say(
                f"{options.output}: {counted(journal.frames, 'frame is', 'frames are')} coded "
                f"already"
            )
        frames = (
            (frame.planes, frame.pts, frame.new_size)
            for frame in bar(reader, "encode", reader.expected)
        )
        chunk = 0 if config.low_delay else CHUNK
        summary = _summarizer(options, reader.format) if options.summary else None
        writer = encode_stream(
            encoder, output, frames, reader.metadata.pack(), reader.tracks, chunk, summary=summary
        )
    if journal:
        journal.done()
    for note in (*reader.notes, *encoder.notes):
        say(note)
    tracks = reader.tracks
    copied = (writer.track_size, tracks.packets, tracks.kinds) if tracks else None
    result = encode_summary(reader.format, writer.frames, writer.size, copied, encoder.psnr_y)
    say(f"{options.output}: {result}, {time.monotonic() - began:.1f} s")


def _journal(options: argparse.Namespace, config: EncoderConfig) -> Journal:
    """Where coded frames are kept until the output is complete."""
    source = "" if options.input == "-" else os.path.abspath(options.input)
    status = os.stat(source) if source and os.path.exists(source) else None
    video = (
        source,
        status and status.st_size,
        status and status.st_mtime_ns,
        options.start,
        options.frames,
        said_of(options),
    )
    settings = replace(config, threads=0, fit=0.0, fit_steps=0, fit_parts=0, fit_by="")
    return Journal(options.output, (video, settings), options.threads)


def _summarizer(options: argparse.Namespace, fmt: VideoFormat) -> Summarizer:
    use_threads(options.threads)
    return Summarizer(make(options.embedder or DEFAULT), fmt.colour)


def rate_so_far(fmt: VideoFormat, frames: int, size: int) -> tuple[float, str]:
    """Of the frames that are coded: kb/s, and a note with bits a pixel too."""
    bpp, rate = 8 * size / (frames * fmt.width * fmt.height), kbps(size, frames, fmt.frame_rate)
    return rate, f"{rate:.1f} kb/s, {bpp:.5f} bpp"
