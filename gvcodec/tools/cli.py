"""The subcommands `info`, `verify`, `cut`, `cat`, `index` and `repair`: their arguments, and what they do."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, BinaryIO

from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.files import open_input, open_output, say, shown_name


def add_arguments(commands: Any, seconds: Callable[[str], float]) -> None:
    """Parsers of the subcommands; `seconds` reads a time."""
    info = _parser(commands, "info", "check a stream and say what it holds")
    _input(info)
    info.add_argument("--json", action="store_true", help="as JSON, with every packet")

    verify = _parser(commands, "verify", "check and decode a stream, compare it with its source")
    _input(verify)
    verify.add_argument("--source", metavar="VIDEO", help="what was encoded: gives the PSNR")
    verify.add_argument("--fidelity", action="store_true", help="do not paint")
    add_model(verify)
    add_threads(verify)

    cut = _parser(commands, "cut", "a piece of a stream, from keyframe to keyframe, without encoding")
    _input(cut)
    _output(cut)
    cut.add_argument(
        "--from", dest="begin", type=seconds, default=0.0, metavar="T", help="begin at the keyframe before"
    )
    cut.add_argument("--to", dest="end", type=seconds, metavar="T", help="end at the keyframe after (the end)")
    add_threads(cut)

    cat = _parser(commands, "cat", "streams one after another, without encoding")
    cat.add_argument("inputs", nargs="+", metavar="IN", help="streams of one format, - = standard input")
    cat.add_argument("-o", dest="output", required=True, metavar="OUT", help="stream to write, - = standard output")
    add_overwrite(cat)
    add_threads(cat)

    index = _parser(commands, "index", "write a lost index and end anew")
    _input(index)
    _output(index)
    add_threads(index)

    repair = _parser(commands, "repair", "save what is left of a damaged or cut-off stream")
    _input(repair)
    _output(repair)
    add_threads(repair)


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", action="append", default=[], metavar="PATH", help="model file or folder of models (may be repeated)"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_threads, default=0, metavar="N", help="threads, 0 = all cores (0)")


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", dest="overwrite", action="store_true", help="overwrite OUT")


def info(options: argparse.Namespace) -> None:
    """`gvcodec info IN`"""
    from gvcodec.bitstream import Reader
    from gvcodec.tools import report

    with open_input(options.input) as source:
        reader = Reader(source, shown_name(options.input))
        with _located(reader):
            found = report.facts(reader)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(report.text(found, shutil.get_terminal_size((100, 30)).columns))


def verify(options: argparse.Namespace) -> None:
    """`gvcodec verify IN`"""
    from gvcodec.bitstream import Reader
    from gvcodec.decoder import Decoder
    from gvcodec.layers import can_paint
    from gvcodec.media.reader import VideoReader
    from gvcodec.tools import verify as checks

    with contextlib.ExitStack() as stack:
        reader = Reader(stack.enter_context(open_input(options.input)), shown_name(options.input))
        video = stack.enter_context(VideoReader(options.source)) if options.source else None
        loops_only = options.fidelity or video is None or not can_paint()
        decoder = Decoder(reader.header, loops_only, options.threads, options.model)
        with _located(reader):
            found = checks.verify(reader, decoder, video)
    name = shown_name(options.input)
    print(f"{name}: {found.frames} frames, checksums, index and loop hash {decoder.loop_hash.hex()} are right")
    if video is not None and found.compared != found.frames:
        print(f"{video.name}: {found.compared} frames compared")
    for what, psnr in (("loop frames", found.loop_psnr), ("painted", found.painted_psnr)):
        if psnr:
            values = "  ".join(
                f"{plane} {value:.2f}" if math.isfinite(value) else f"{plane} exact"
                for plane, value in zip("YUV", psnr, strict=True)
            )
            print(f"PSNR dB, {what}: {values}")


def cut(options: argparse.Namespace) -> None:
    """`gvcodec cut IN OUT`"""
    from gvcodec.bitstream import Reader
    from gvcodec.tools import edit

    begin, end = (None if time is None else _exact(time) for time in (options.begin, options.end))
    if begin is None or (end is not None and end <= begin):
        raise UsageError("--to has to be later than --from")
    with _streams(options) as (source, output):
        reader = Reader(source, shown_name(options.input))
        with _located(reader):
            kept = edit.cut(reader, output, begin, end, options.threads)
    span = f"{kept.begin:.3f} s to {kept.end:.3f} s"
    say(f"{options.output}: frames {kept.first} to {kept.first + kept.frames - 1}, {span}")


def cat(options: argparse.Namespace) -> None:
    """`gvcodec cat IN … -o OUT`"""
    from gvcodec.bitstream import Reader
    from gvcodec.tools import edit

    if options.inputs.count("-") > 1:
        raise UsageError("standard input can be read only once")
    with contextlib.ExitStack() as stack:
        readers = [Reader(stack.enter_context(open_input(path)), shown_name(path)) for path in options.inputs]
        output = stack.enter_context(open_output(options.output, options.overwrite))
        frames, notes = edit.cat(readers, output, options.threads)
    for note in notes:
        say(note)
    say(f"{options.output}: {frames} frames of {len(readers)} streams")


def index(options: argparse.Namespace) -> None:
    """`gvcodec index IN OUT`"""
    from gvcodec.bitstream import Salvage
    from gvcodec.tools import mend

    with _streams(options) as (source, output):
        frames = mend.index(Salvage(source, shown_name(options.input)), output, options.threads)
    say(f"{options.output}: {frames} frames, index and end written anew")


def repair(options: argparse.Namespace) -> None:
    """`gvcodec repair IN OUT`"""
    from gvcodec.bitstream import Salvage
    from gvcodec.tools import mend

    with _streams(options) as (source, output):
        result = mend.repair(Salvage(source, shown_name(options.input)), output, options.threads)
    for line in result.losses:
        say(f"{shown_name(options.input)}: {line}")
    say(f"{options.output}: {result.kept} frames kept, {result.lost} lost")


def _parser(commands: Any, name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what)
    parser.set_defaults(module="gvcodec.tools.cli")
    return parser


def _input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="stream, - = standard input")


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUT", help="stream to write, - = standard output")
    add_overwrite(parser)


def _threads(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer, 0 or more")
    return int(text)


def _exact(seconds: float) -> Fraction:
    """A time in decimal digits, not the binary number beside it: a frame at exactly this time counts."""
    return Fraction(seconds).limit_denominator(1_000_000)


@contextlib.contextmanager
def _streams(options: argparse.Namespace) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    with open_input(options.input) as source, open_output(options.output, options.overwrite) as output:
        try:
            yield source, output
        except DamagedStreamError as error:
            name = shown_name(options.input)
            raise error if str(error).startswith(name) else DamagedStreamError(f"{name}: {error}") from error


@contextlib.contextmanager
def _located(reader: Any) -> Iterator[None]:
    """Errors with file, packet and time."""
    try:
        yield
    except DamagedStreamError as error:
        raise reader.named(error) from error
