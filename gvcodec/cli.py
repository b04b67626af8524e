"""Command line: `gvcodec encode | decode | info | inspect | verify | cut | cat | index | repair | extract | train`.

Exit codes: 0 ok, 1 file cannot be read or written, 2 wrong arguments, 3 damaged stream, 4 model not at hand,
5 decoded frames differ from the encoder's; 130, 143 and 129 ended by SIGINT, SIGTERM and SIGHUP. Every error is one line on
standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from importlib import import_module
from typing import Any, NoReturn

import gvcodec
from gvcodec import console, signals
from gvcodec.bases import names
from gvcodec.errors import GvcodecError, UsageError
from gvcodec.files import protected
from gvcodec.tools.cli import add_arguments as add_tool_arguments
from gvcodec.tools.cli import add_limits, add_model, add_overwrite, add_threads
from gvcodec.train.cli import add_arguments as add_training_arguments

#: The largest number, of seconds too: thirty years.
_MOST = 1e9
#: Hours, minutes, seconds.
_PARTS = 3
_SCALES = {"1": Fraction(1), "3/4": Fraction(3, 4), "1/2": Fraction(1, 2)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, return the exit code."""
    # OpenMP threads that spin while they wait make torch many times slower on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with _written() if arguments is None else contextlib.nullcontext():
            options = _parser().parse_args(arguments)
            if "" in (*_inputs(options), getattr(options, "output", None)):
                raise UsageError("the name of a file is empty")
            with signals.guarded(), protected(_inputs(options)):
                getattr(import_module(options.module), options.command)(options)
    except GvcodecError as error:
        print(f"gvcodec: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        console.drop_output()
        return GvcodecError.exit_code
    except signals.Interrupted as interrupted:
        if arguments is None:
            # While the exception is held, so are the encoders that frames on its way made.
            signals.leave(interrupted.exit_code)
        signals.abort()
        print("gvcodec: interrupted", file=sys.stderr)
        return interrupted.exit_code
    except MemoryError:
        print("gvcodec: out of memory", file=sys.stderr)
        return GvcodecError.exit_code
    except OSError as error:
        print(f"gvcodec: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
        return GvcodecError.exit_code
    return 0


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """At the end, also when help was asked for, all of standard output is out. After an error that has
    been told what cannot be written is dropped."""
    try:
        yield
    except SystemExit:
        console.finish()
        raise
    except (GvcodecError, OSError):
        with contextlib.suppress(OSError):
            console.finish()
        raise
    console.finish()


def _inputs(options: argparse.Namespace) -> list[str]:
    """Files that a command reads and must not write."""
    named = (getattr(options, name, None) for name in ("input", "source"))
    return [*getattr(options, "inputs", ()), *(name for name in named if name is not None)]


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the value of an argument; usage comes where arguments are missing or unknown."""

    def _get_value(self, action: argparse.Action, text: str) -> Any:
        try:
            return super()._get_value(action, text)
        except argparse.ArgumentError as error:
            self._refuse(error)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            if isinstance(action, argparse._SubParsersAction):
                raise
            self._refuse(error)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            console.out(message.rstrip("\n"))
        else:
            sys.stderr.write(message)

    def _refuse(self, error: argparse.ArgumentError) -> NoReturn:
        self.exit(UsageError.exit_code, f"gvcodec: {str(error).removeprefix('argument ')}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gvcodec", description="A neural video codec for very low bitrate.")
    parser.set_defaults(module="gvcodec.commands")
    parser.add_argument("--version", action="version", version=f"gvcodec {gvcodec.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    encode = commands.add_parser("encode", help="video to gvcodec stream")
    encode.add_argument("input", metavar="IN", help="any video, - = y4m (or another streamable file) on standard input")
    encode.add_argument("output", metavar="OUT", help="stream to write, - = standard output")
    rate = encode.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        type=_integer(0, 67),
        default=50,
        metavar="N",
        help="quality, 0 best … 67, about the same PSNR in every base; av1 is smaller beyond 63 (50)",
    )
    rate.add_argument(
        "--base-q",
        type=_integer(0, 67),
        metavar="N",
        help="quality by the structure layer's own index, 0 best … 63 (av1 … 67)",
    )
    rate.add_argument("--size", type=_amount, metavar="BYTES", help="largest size of the file: 250k, 1.5M, 64Ki")
    rate.add_argument("--bitrate", type=_amount, metavar="BITS", help="largest bitrate without audio, as in 300k")
    rate.add_argument("--bpp", type=_amount, metavar="BITS", help="most bits a pixel, without audio")
    rate.add_argument(
        "--target", type=_target, metavar="METRIC=VALUE", help="smallest file with psnr=DECIBEL or lpips=DISTANCE (VGG)"
    )
    encode.add_argument(
        "--maxrate", type=_amount, metavar="BITS", help="with -q: most bits a second through a decoder's buffer (klt)"
    )
    encode.add_argument(
        "--alloc",
        choices=("uniform", "uniqueness", "elbo", "oracle"),
        default="uniform",
        help="how bits go to the windows of a frame (klt); uniform: equal lambda (uniform)",
    )
    encode.add_argument("--bufsize", type=_amount, metavar="BITS", help="size of that buffer (one second of --maxrate)")
    encode.add_argument("--base", choices=names(), default="av1", help="structure layer (av1)")
    encode.add_argument(
        "--base-scale",
        type=_scale,
        default=None,
        metavar="1|3/4|1/2",
        help="size at which the base is coded (1, smaller where a rate is out of reach otherwise)",
    )
    encode.add_argument(
        "--tune",
        type=_tuning,
        default="60steps",
        metavar="Nsteps|SECONDS|off",
        help="steps of fitting the renderer to the video, or time for it, whose file depends on the machine (60steps)",
    )
    encode.add_argument(
        "--tune-parts",
        type=_integer(1, 4),
        default=0,
        metavar="N",
        help="how many parts of the renderer, 1 to 4, may change (2, in large streams 3)",
    )
    encode.add_argument(
        "--tune-by",
        choices=("vgg", "small"),
        default="",
        help="network whose features tell how it looks: VGG16, or a small one that comes along (vgg where its weights are found)",
    )
    encode.add_argument(
        "--keyint",
        type=_integer(0),
        default=240,
        metavar="N",
        help="frames between keyframes at most, a new scene has one too; 0 = only the first (240)",
    )
    encode.add_argument(
        "--low-delay", action="store_true", help="no B frames and no look-ahead: every packet leaves with its frame"
    )
    encode.add_argument(
        "--preset",
        type=_integer(0, 10),
        metavar="N",
        help="of SVT-AV1 (av1): 0 slowest … 10 fastest; 4 is three times as fast and takes a tenth more bits (2); of VVenC (vvc): 0 … 4 (2)",
    )
    encode.add_argument(
        "--eye",
        action="store_true",
        help="make av1 keep texture at some cost in PSNR; best where nothing is painted or tuned",
    )
    encode.add_argument(
        "--start", type=_seconds, default=0.0, metavar="T", help="seconds to leave out at the beginning"
    )
    encode.add_argument(
        "--resume", action="store_true", help="keep what is coded in OUT.part, and go on from there if it exists"
    )
    encode.add_argument("--frames", type=_integer(1), metavar="N", help="number of frames to encode")
    add_threads(encode)
    add_overwrite(encode)

    decode = commands.add_parser("decode", help="gvcodec stream to video")
    decode.set_defaults(module="gvcodec.decoding")
    decode.add_argument("input", metavar="IN", help="stream, - = standard input")
    decode.add_argument(
        "output", metavar="OUT", help=".mp4, .mkv, .mov, .y4m, frame%%05d.png, or - = y4m on standard output"
    )
    decode.add_argument("--fidelity", action="store_true", help="loop frames, without the appearance layer")
    quality = decode.add_mutually_exclusive_group()
    quality.add_argument(
        "--crf", type=_number, metavar="N", help=".mp4, .mkv and .mov: quality of x264 or x265 (visually lossless)"
    )
    quality.add_argument(
        "--lossless", action="store_true", help=".mp4, .mkv and .mov: exact samples; large, and few players show them"
    )
    decode.add_argument("--start", type=_seconds, default=0.0, metavar="T", help="leave out what is shown before T")
    decode.add_argument("--frames", type=_integer(1), metavar="N", help="number of frames to write (all)")
    decode.add_argument(
        "--scale", type=_picture_size, metavar="WxH|1/2", help="write pictures of this size, or so many times as large"
    )
    decode.add_argument("--low-delay", action="store_true", help="give every frame out as soon as it can be")
    decode.add_argument(
        "--follow", type=_number, metavar="SECONDS", help="IN is still being written: at its end wait so long for more"
    )
    decode.add_argument(
        "--ignore-errors", action="store_true", help="where frames are lost show the last one until the next keyframe"
    )
    add_limits(decode)
    decode.add_argument("--device", default="cpu", metavar="NAME", help="where to paint: cpu, cuda, cuda:1 (cpu)")
    add_model(decode)
    add_threads(decode)
    add_overwrite(decode)

    add_tool_arguments(commands, _seconds)

    inspect = commands.add_parser("inspect", help="bits and tokens of the windows of a klt stream")
    inspect.add_argument("input", metavar="IN", help="stream made with --base klt, - = standard input")
    inspect.add_argument("--heatmap", metavar="OUT", help=".png (mean of all frames) or .mp4, .mkv, .mov (every frame)")
    add_threads(inspect)
    add_limits(inspect)
    add_overwrite(inspect)

    extract = commands.add_parser("extract", help="the standard bitstream in a stream as a playable file")
    extract.add_argument("input", metavar="IN", help="stream made with --base av1, hevc or vvc, - = standard input")
    extract.add_argument("output", metavar="OUT", help=".mp4, .mkv or .mov")
    add_limits(extract)
    add_overwrite(extract)

    add_training_arguments(commands.add_parser("train", help="train the renderer"))
    return parser


class _integer:
    """Argument type: an integer within bounds."""

    def __init__(self, low: int, high: int = 1 << 31) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        value = int(text) if text.lstrip("-").isdecimal() else None
        if value is None or not self._low <= value <= self._high:
            bounds = f"{self._low} or more" if self._high == 1 << 31 else f"{self._low}…{self._high}"
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer, {bounds}")
        return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0…{_MOST:.0e}")
    return value


def _amount(text: str) -> float:
    from gvcodec.rate.budget import parse_amount

    try:
        return parse_amount(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount, as in 1500, 250k, 1.5M or 64Ki") from None


def _target(text: str) -> object:
    from gvcodec.rate.target import parse_target

    try:
        return parse_target(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not psnr=DECIBEL or lpips=DISTANCE") from None


def _seconds(text: str) -> float:
    """Seconds, or minutes and hours before them with colons."""
    parts = text.split(":")
    if len(parts) > _PARTS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 75, 1:15 or 0:01:15")
    return sum(_number(part) * 60**place for place, part in enumerate(reversed(parts)))


def _tuning(text: str) -> tuple[float | None, int]:
    """Seconds, or None and steps."""
    if text.endswith("steps"):
        return None, _integer(1)(text.removesuffix("steps"))
    return 0.0 if text == "off" else _number(text), 0


def _picture_size(text: str) -> tuple[int, int] | Fraction:
    """Width and height, or a factor."""
    width, by, height = text.partition("x")
    with contextlib.suppress(ValueError, ZeroDivisionError):
        if not by and (factor := Fraction(text)) > 0:
            return factor
        if by and min(int(width), int(height)) > 0:
            return int(width), int(height)
    raise argparse.ArgumentTypeError(f"{text!r} is no size like 640x360 and no factor like 1/2")


def _scale(text: str) -> Fraction:
    if text not in _SCALES:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1, 3/4 or 1/2")
    return _SCALES[text]
