"""`gvcodec inspect IN`: where the bits of a `klt` stream went."""

from __future__ import annotations

import argparse

from gvcodec.bitstream import PtsDecoder, Reader
from gvcodec.cli._arguments import add_limits, add_overwrite, add_threads, limits_of
from gvcodec.cli._standard_streams import out
from gvcodec.errors import DamagedStreamError
from gvcodec.file_io import open_input, shown_name
from gvcodec.media.writer import open_writer, visually_lossless
from gvcodec.messages import counted, say
from gvcodec.streams.heatmap import LEGEND, heatmap, heatmap_format, mean_frame, table, windows_of

HELP = "bits and tokens of the windows of a klt stream"


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
    with open_input(options.input) as source:
        reader = Reader(source, shown_name(options.input))
        fmt = reader.header.format
        try:
            most = limits_of(options)
            frames = windows_of(reader, options.threads, most)
            if video:
                shown = heatmap_format(fmt)
                crf = visually_lossless(options.heatmap, shown)
                with open_writer(
                    options.heatmap,
                    shown,
                    crf=crf,
                    overwrite=options.overwrite,
                    threads=options.threads,
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
