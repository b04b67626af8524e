"""`gvcodec verify IN`: checks a stream as far as it can be checked."""

from __future__ import annotations

import argparse
import math

from gvcodec.cli._arguments import add_input, add_limits, add_model, add_progress, add_threads, call
from gvcodec.cli._standard_streams import out
from gvcodec.edit.verify import Verified, verify
from gvcodec.errors import IncompleteSourceError
from gvcodec.util.file_io import display_name
from gvcodec.util.messages import count_noun

EXAMPLES = ("verify film.gvc", "verify film.gvc --source film.mp4")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_input(parser)
    add("--source", metavar="VIDEO", help="source of the stream, to measure PSNR")
    add(
        "--allow-damaged",
        action="store_true",
        help="take a damaged or cut-off source for a success: what is left of it is compared",
    )
    add(
        "--fidelity", action="store_true", help="check base frames only: no painter, no restoration"
    )
    add_model(parser)
    add_threads(parser)
    add_limits(parser)
    add_progress(parser, verbose=False)


def run(options: argparse.Namespace) -> None:
    try:
        found = call(verify, options, options.input, options.source)
    except IncompleteSourceError as error:
        assert isinstance(error.result, Verified)
        _show(error.result, options.input)
        raise
    _show(found, options.input)


def _show(found: Verified, path: str) -> None:
    hashes = f"{'base hash' if found.exact else 'hash of the tokens'} {found.base_hash}"
    if found.painted_hash is not None:
        hashes += f", painted hash {found.painted_hash}"
    name = display_name(path)
    out(f"{name}: {count_noun(found.frames, 'frame')}, checksums, index, {hashes} are right")
    if not found.exact:
        out("pictures are floats and differ in rounding between machines: none was compared")
    if found.source is not None and found.compared != found.frames:
        out(f"{found.source}: {count_noun(found.compared, 'frame')} compared")
    if found.enlarged_to is not None:
        size = "×".join(map(str, found.enlarged_to))
        out(f"compared at the source's {size}, to which the stream's pictures are enlarged")
    for what, psnr in (("base frames", found.base_psnr), ("painted", found.painted_psnr)):
        if psnr:
            values = "  ".join(
                f"{plane} {value:.2f}" if math.isfinite(value) else f"{plane} exact"
                for plane, value in zip("YUV", psnr, strict=True)
            )
            out(f"PSNR dB, {what}: {values}")
    if found.worst is not None:
        seconds, worst = found.worst
        out(f"worst frame: Y {worst:.2f} at {seconds:.2f} s")
