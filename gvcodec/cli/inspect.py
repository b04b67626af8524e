"""`gvcodec inspect IN`: where the bits of a `klt` stream went."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from gvcodec.bitstream import PtsDecoder, Reader
from gvcodec.cli._arguments import add_limits, add_overwrite, add_threads, limits_of, located
from gvcodec.cli._standard_streams import out
from gvcodec.decoding_limits import UNLIMITED, held
from gvcodec.file_io import open_input, shown_name
from gvcodec.media.writer import open_writer, visually_lossless
from gvcodec.messages import counted, say
from gvcodec.streams.heatmap import (
    LEGEND,
    WindowFrame,
    heatmap,
    heatmap_format,
    mean_frame,
    table,
    windows_of,
)
from gvcodec.types import VideoFormat

HELP = "bits and tokens of the windows of a klt stream"
EXAMPLES = ("inspect film.gvc", "inspect film.gvc --heatmap bits.png")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", metavar="IN", help="stream made with --base klt, - = standard input"
    )
    parser.add_argument(
        "--heatmap",
        metavar="OUT",
        help=".png (mean of all frames) or .mp4, .mkv, .mov (every frame)",
    )
    add_threads(parser)
    add_limits(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    video = options.heatmap is not None and not options.heatmap.lower().endswith(".png")
    most = limits_of(options)
    with open_input(options.input) as source:
        reader = Reader(source, shown_name(options.input))
        fmt = reader.header.format
        with located(reader), held(reader.header, False, most):
            frames = windows_of(reader, options.threads, most)
            if video:
                _film(options, fmt, reader.header.start_pts, frames)
            else:
                mean, count = mean_frame(frames)
    if options.heatmap is None:
        out(table(mean))
        say(f"bits and tokens of the windows of 256×256, mean of {counted(count, 'frame')}")
        return
    if not video:
        shown = heatmap_format(fmt)
        with open_writer(options.heatmap, shown, overwrite=options.overwrite) as writer:
            writer.write(heatmap(mean), 0)
    say(f"{options.heatmap}: {LEGEND}")


def _film(
    options: argparse.Namespace, fmt: VideoFormat, start_pts: int, frames: Iterator[WindowFrame]
) -> None:
    """A heatmap of every frame."""
    shown = heatmap_format(fmt)
    with open_writer(
        options.heatmap,
        shown,
        crf=visually_lossless(options.heatmap, shown),
        overwrite=options.overwrite,
        threads=options.threads,
    ) as writer:
        timing = PtsDecoder(start_pts, fmt.frame_rate, fmt.time_base, UNLIMITED)
        for frame in frames:
            writer.write(heatmap(frame), timing.receive())
