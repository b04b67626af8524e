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

from gvcodec.console import out
from gvcodec.errors import DamagedStreamError, UsageError, WrongModelError
from gvcodec.files import open_input, open_output, say, shown_name
from gvcodec.limits import DEFAULT_MEMORY, Limits, held
from gvcodec.words import counted

#: More than any machine has, and still a number that the operating system takes.
_MOST = 1 << 60
#: Libraries count threads in small integers, and hardly any machine has more.
_MOST_THREADS = 1024


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
    add_limits(verify)

    cut = _parser(commands, "cut", "a piece of a stream, from keyframe to keyframe, without encoding")
    _input(cut)
    _output(cut)
    cut.add_argument(
        "--from", dest="begin", type=seconds, default=0.0, metavar="T", help="begin at the keyframe before"
    )
    cut.add_argument("--to", dest="end", type=seconds, metavar="T", help="end at the keyframe after (the end)")
    add_threads(cut)
    add_limits(cut)

    cat = _parser(commands, "cat", "streams one after another, without encoding")
    cat.add_argument("inputs", nargs="+", metavar="IN", help="streams of one format, - = standard input")
    cat.add_argument("-o", dest="output", required=True, metavar="OUT", help="stream to write, - = standard output")
    add_overwrite(cat)
    add_threads(cat)
    add_limits(cat)

    index = _parser(commands, "index", "write a lost index and end anew")
    _input(index)
    _output(index)
    add_threads(index)
    add_limits(index)

    repair = _parser(commands, "repair", "save what is left of a damaged or cut-off stream")
    _input(repair)
    _output(repair)
    add_threads(repair)
    add_limits(repair)


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", action="append", default=[], metavar="PATH", help="model file or folder of models (may be repeated)"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_threads, default=0, metavar="N", help="threads, 0 = all cores (0)")


def add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-pixels", type=_pixels, metavar="N", help="refuse larger pictures (what the memory has room for)"
    )
    parser.add_argument(
        "--max-memory",
        type=_bytes,
        metavar="BYTES",
        help=f"take no more memory, as 500M or 2G ({DEFAULT_MEMORY >> 20}M)",
    )


def limits_of(options: argparse.Namespace) -> Limits:
    """What the options of `add_limits` say."""
    return Limits(options.max_pixels, options.max_memory)


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
        out(json.dumps(found, indent=2))
    else:
        out(report.text(found, shutil.get_terminal_size((100, 30)).columns))


def verify(options: argparse.Namespace) -> None:
    """`gvcodec verify IN`"""
    from gvcodec.bitstream import Reader
    from gvcodec.decoder import Decoder
    from gvcodec.layers import NO_TORCH, can_paint
    from gvcodec.media.reader import VideoReader
    from gvcodec.tools import verify as checks

    with contextlib.ExitStack() as stack:
        reader = Reader(stack.enter_context(open_input(options.input)), shown_name(options.input))
        video = stack.enter_context(VideoReader(options.source)) if options.source else None
        painted = reader.header.appearance_id is not None and not options.fidelity
        if painted and not can_paint():
            raise WrongModelError(f"{shown_name(options.input)}: {NO_TORCH} (--fidelity leaves it out)")
        most = limits_of(options)
        decoder = Decoder(
            reader.header, not painted, options.threads, options.model, limits=most, only_check=video is None
        )
        stack.enter_context(held(reader.header, painted, most))
        with _located(reader):
            found = checks.verify(reader, decoder, video)
    name = shown_name(options.input)
    out(f"{name}: {counted(found.frames, 'frame')}, checksums, index and loop hash {decoder.loop_hash.hex()} are right")
    if video is not None and found.compared != found.frames:
        out(f"{video.name}: {counted(found.compared, 'frame')} compared")
    for what, psnr in (("loop frames", found.loop_psnr), ("painted", found.painted_psnr)):
        if psnr:
            values = "  ".join(
                f"{plane} {value:.2f}" if math.isfinite(value) else f"{plane} exact"
                for plane, value in zip("YUV", psnr, strict=True)
            )
            out(f"PSNR dB, {what}: {values}")


def cut(options: argparse.Namespace) -> None:
    """`gvcodec cut IN OUT`"""
    from gvcodec.bitstream import Reader
    from gvcodec.tools import edit

    begin, end = (None if time is None else _exact(time) for time in (options.begin, options.end))
    if begin is None or (end is not None and end <= begin):
        raise UsageError("--to has to be later than --from")
    with _streams(options) as (source, output):
        reader = Reader(source, shown_name(options.input))
        with _located(reader), held(reader.header, False, limits_of(options)):
            kept = edit.cut(reader, output, begin, end, options.threads, limits_of(options))
    span = f"{kept.begin:.3f} s to {kept.end:.3f} s"
    last = kept.first + kept.frames - 1
    which = f"frames {kept.first} to {last}" if kept.frames > 1 else f"frame {last}"
    say(f"{options.output}: {which}, {span}")


def cat(options: argparse.Namespace) -> None:
    """`gvcodec cat IN … -o OUT`"""
    from gvcodec.bitstream import Reader
    from gvcodec.tools import edit

    if options.inputs.count("-") > 1:
        raise UsageError("standard input can be read only once")
    with contextlib.ExitStack() as stack:
        readers = [Reader(stack.enter_context(open_input(path)), shown_name(path)) for path in options.inputs]
        output = stack.enter_context(open_output(options.output, options.overwrite))
        with held(readers[0].header, False, limits_of(options)):
            frames, notes = edit.cat(readers, output, options.threads, limits_of(options))
    for note in notes:
        say(note)
    say(f"{options.output}: {counted(frames, 'frame')} of {counted(len(readers), 'stream')}")


def index(options: argparse.Namespace) -> None:
    """`gvcodec index IN OUT`"""
    from gvcodec.bitstream import Salvage
    from gvcodec.tools import mend

    with _streams(options) as (source, output):
        salvage = Salvage(source, shown_name(options.input))
        with held(salvage.header, False, limits_of(options)):
            frames = mend.index(salvage, output, options.threads, limits_of(options))
    say(f"{options.output}: {counted(frames, 'frame')}, index and end written anew")


def repair(options: argparse.Namespace) -> None:
    """`gvcodec repair IN OUT`"""
    from gvcodec.bitstream import Salvage
    from gvcodec.tools import mend

    with _streams(options) as (source, output):
        salvage = Salvage(source, shown_name(options.input))
        with held(salvage.header, False, limits_of(options)):
            result = mend.repair(salvage, output, options.threads, limits_of(options))
    for line in result.losses:
        say(f"{shown_name(options.input)}: {line}")
    say(f"{options.output}: {counted(result.kept, 'frame')} kept, {result.lost} lost")


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
    if not text.isdecimal() or int(text) > _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer, 0…{_MOST_THREADS}")
    return int(text)


def _pixels(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer, 1 or more")
    return int(text)


def _bytes(text: str) -> int:
    """A number of bytes, with K, M or G for its powers of 1024."""
    digits = text.rstrip("kKmMgG")
    if not digits.isdecimal() or len(text) - len(digits) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 500M")
    return min(int(digits) << (10 * " KMG".index(text[len(digits) :].upper() or " ")), _MOST)


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
