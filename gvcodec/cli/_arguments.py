"""What commands share: types of arguments, options that several have, and streams opened for
them."""

from __future__ import annotations

import argparse
import contextlib
import math
from fractions import Fraction

from gvcodec.errors import UsageError
from gvcodec.limits import DEFAULT_FPS, DEFAULT_MEMORY, Limits
from gvcodec.util.messages import parse_time
from gvcodec.util.progress import MODES, Mode, ProgressOptions

#: The largest number, of seconds too: thirty years.
_MOST = 1e9
_SCALES = {"1": Fraction(1), "3/4": Fraction(3, 4), "1/2": Fraction(1, 2)}
#: More than any machine has, and still a number that the operating system takes.
_MOST_BYTES = 1 << 60
#: Libraries count threads in small integers, and hardly any machine has more.
_MOST_THREADS = 1024


def add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="stream, - = standard input")


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUT", help="stream to write, - = standard output")
    add_overwrite(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="PATH",
        help="model file or folder of models (may be repeated)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=_threads, default=0, metavar="N", help="threads, 0 = all cores (0)"
    )


def add_part(parser: argparse.ArgumentParser, *begins: str) -> None:
    """Which part of a video. `begins`: other names of --start."""
    parser.add_argument(
        *begins,
        "--start",
        dest="start",
        type=seconds,
        default=0.0,
        metavar="T",
        help="begin at this time: 75, 1:15 or 0:01:15 (0)",
    )
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--to", type=seconds, metavar="T", help="end before this time (the end)")
    end.add_argument(
        "--duration", type=seconds, metavar="T", help="how long the part is (to the end)"
    )


def end_of(options: argparse.Namespace) -> float | None:
    """When the part of `add_part` ends, in seconds after the first frame; None = with the video.
    Raises `UsageError` for a part of no length."""
    end = options.to if options.duration is None else options.start + options.duration
    if end is not None and end <= options.start:
        raise UsageError(f"the part ends at {end:g} s, before it begins ({options.start:g} s)")
    return end  # type: ignore[no-any-return]


def add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        choices=MODES,
        default="auto",
        help="auto: a bar on a terminal, a line every 10 s elsewhere; json: an object a second on "
        "standard error (auto)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="say nothing but errors")
    how.add_argument(
        "--verbose", action="store_true", help="say how long each stage took, what fitting found"
    )


def progress_of(options: argparse.Namespace) -> ProgressOptions:
    """What the options of `add_progress` say."""
    mode: Mode = "none" if options.quiet else options.progress
    return {"mode": mode, "verbose": options.verbose}


def add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-pixels",
        type=_count,
        metavar="N",
        help="refuse larger pictures (what the memory has room for)",
    )
    parser.add_argument(
        "--max-memory",
        type=bytes_,
        metavar="BYTES",
        help=f"take no more memory, as 500M or 2G ({DEFAULT_MEMORY >> 20}M)",
    )
    parser.add_argument(
        "--max-fps",
        type=_count,
        default=DEFAULT_FPS,
        metavar="N",
        help=f"refuse more frames for each second of the video ({DEFAULT_FPS})",
    )


_EMBEDDERS = "small, lp (latent tokens, torch), or clip:MODEL:WEIGHTS of open_clip_torch"


def add_embedder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--embedder",
        metavar="NAME",
        help=f"{_EMBEDDERS}, for words too (what the files were summarised by)",
    )


def add_summary(parser: argparse.ArgumentParser) -> None:
    """`--summary [NAME]` and `--summary-rate`."""
    parser.add_argument(
        "--summary",
        nargs="?",
        const="small",
        metavar="NAME",
        help=f"add a summary for search, at most 1 %% of the file, by {_EMBEDDERS} (small)",
    )
    parser.add_argument(
        "--summary-rate",
        type=summary_rate,
        metavar="RATE",
        help="tokens a frame, 1 or less as in 1/8, whatever they take (the most that take 1 %%)",
    )


def summary_rate(text: str) -> Fraction:
    """Vectors a frame, above 0, at most 1."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share of the frames, as in 1 or 1/8")
    return rate


def use_threads(threads: int) -> None:
    """Networks keep to --threads as well."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def limits_of(options: argparse.Namespace) -> Limits:
    """What the options of `add_limits` say."""
    return Limits(options.max_pixels, options.max_memory, options.max_fps)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", dest="overwrite", action="store_true", help="overwrite OUT")


class integer:
    """Argument type: an integer within bounds."""

    def __init__(self, low: int, high: int = 1 << 31) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        value = int(text) if text.lstrip("-").isdecimal() else None
        if value is None or not self._low <= value <= self._high:
            bounds = (
                f"{self._low} or more" if self._high == 1 << 31 else f"{self._low}…{self._high}"
            )
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer, {bounds}")
        return value


class quality:
    """Argument type: a number from 0 to `coarsest`, whole or not."""

    def __init__(self, coarsest: float) -> None:
        self._coarsest = coarsest

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= self._coarsest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number from 0 (best) to {self._coarsest:g} (smallest file)"
            )
        # Settings are known by how they are written, and 45 is not written as 45.0.
        return int(value) if value.is_integer() else value


def number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0…{_MOST:.0e}")
    return value


def amount(text: str) -> float:
    from gvcodec.rate.budget import parse_amount

    try:
        return parse_amount(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an amount, as in 1500, 250k, 1.5M or 64Ki"
        ) from None


def sound(text: str) -> str:
    """copy, none, opus, or opus:RATE, whose rate becomes a number of bits a second."""
    from gvcodec.api.encoding import parse_sound

    try:
        return parse_sound(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_target(text: str) -> object:
    from gvcodec.rate.target import parse_target

    try:
        return parse_target(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not psnr=DECIBEL or lpips=DISTANCE"
        ) from None


def seconds(text: str) -> float:
    """Seconds, or minutes and hours before them with colons."""
    found = parse_time(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 75, 1:15 or 0:01:15")
    return found


def fitting(text: str) -> tuple[float | None, int]:
    """`60` is None and 60 steps, `30s` 30 seconds, `off` 0 seconds."""
    if text == "off":
        return 0.0, 0
    if text.endswith("s") and not text.endswith("steps"):
        return number(text.removesuffix("s")), 0
    return None, integer(1)(text.removesuffix("steps"))


def picture_size(text: str) -> tuple[int, int] | Fraction:
    """Width and height, one of them 0 where it is left out or negative (by the shape of the
    picture), or a factor."""
    width, by, height = text.replace(":", "x").partition("x")
    with contextlib.suppress(ValueError, ZeroDivisionError):
        if not by and (factor := Fraction(text)) > 0:
            return factor
        size = max(0, int(width or 0)), max(0, int(height or 0))
        if by and max(size) > 0:
            return size
    raise argparse.ArgumentTypeError(
        f"{text!r} is no size like 640x360 or x360 and no factor like 1/2"
    )


def scale(text: str) -> Fraction:
    if text not in _SCALES:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1, 3/4 or 1/2")
    return _SCALES[text]


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer, 0…{_MOST_THREADS}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer, 1 or more")
    return int(text)


def bytes_(text: str) -> int:
    """A number of bytes, with K, M or G for its powers of 1024."""
    digits = text.rstrip("kKmMgG")
    if not digits.isdecimal() or len(text) - len(digits) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 500M")
    return min(int(digits) << (10 * " KMG".index(text[len(digits) :].upper() or " ")), _MOST_BYTES)
