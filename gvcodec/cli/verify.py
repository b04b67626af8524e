"""`gvcodec verify IN`: checks a stream as far as it can be checked."""

from __future__ import annotations

import argparse
import contextlib
import math

from gvcodec.bitstream import Reader
from gvcodec.cli._arguments import add_input, add_limits, add_model, add_threads, limits_of, located
from gvcodec.cli._standard_streams import out
from gvcodec.codec.decoder import Decoder
from gvcodec.limits import held
from gvcodec.media.reader import VideoReader
from gvcodec.one_file.files import open_stream
from gvcodec.streams.verify import verify
from gvcodec.util.file_io import shown_name
from gvcodec.util.messages import counted

HELP = "check and decode a stream, compare it with its source"
EXAMPLES = ("verify film.gvc", "verify film.gvc --source film.mp4")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    parser.add_argument("--source", metavar="VIDEO", help="what was encoded: gives the PSNR")
    parser.add_argument("--fidelity", action="store_true", help="do not paint")
    add_model(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        reader = Reader(stack.enter_context(open_stream(options.input)), shown_name(options.input))
        video = stack.enter_context(VideoReader(options.source)) if options.source else None
        painted = reader.header.painter_id is not None and not options.fidelity
        most = limits_of(options)
        decoder = Decoder(
            reader.header,
            not painted,
            options.threads,
            options.model,
            limits=most,
            only_check=video is None,
        )
        stack.enter_context(held(reader.header, painted, most))
        with located(reader):
            found = verify(reader, decoder, video)
    name = shown_name(options.input)
    hashes = f"base hash {decoder.base_hash.hex()}"
    if painted and decoder.painted_wanted is not None:
        hashes += f", painted hash {decoder.painted_wanted.hex()}"
    out(f"{name}: {counted(found.frames, 'frame')}, checksums, index, {hashes} are right")
    if video is not None and found.compared != found.frames:
        out(f"{video.name}: {counted(found.compared, 'frame')} compared")
    for what, psnr in (("base frames", found.base_psnr), ("painted", found.painted_psnr)):
        if psnr:
            values = "  ".join(
                f"{plane} {value:.2f}" if math.isfinite(value) else f"{plane} exact"
                for plane, value in zip("YUV", psnr, strict=True)
            )
            out(f"PSNR dB, {what}: {values}")
