"""Options of `encode` that say of an input what it does not say itself, and its frame rate."""

from __future__ import annotations

import argparse
from fractions import Fraction

from gvcodec.cli._arguments import picture_size
from gvcodec.media.inputs import InputOptions, rate_of
from gvcodec.streams.info import CODE_POINTS

_RANGES = {"limited": False, "tv": False, "full": True, "pc": True}
_MOST_CODE = 255


def add_input_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate",
        type=_rate,
        metavar="FPS",
        help="frame rate of numbered pictures and raw samples, as 24 or 30000/1001 (by name, 25)",
    )
    parser.add_argument(
        "--fps",
        type=_rate,
        metavar="FPS",
        help="at most so many frames a second: others are left out (all)",
    )
    parser.add_argument(
        "--picture-size", type=_size, metavar="WxH", help="size of raw samples (by name)"
    )
    parser.add_argument(
        "--pixel-format",
        metavar="NAME",
        help="layout of raw samples, as yuv420p, yuv422p10le (by name, as NAME_1920x1080_50_10bit_"
        "422.yuv)",
    )
    for option, kind in (
        ("--color-primaries", "primaries"),
        ("--color-trc", "transfer"),
        ("--color-matrix", "matrix"),
    ):
        parser.add_argument(
            option,
            type=_Code(kind),
            metavar="NAME",
            help=f"colour {kind} of the input, as bt709 or a code point of H.273 (what it says)",
        )
    parser.add_argument(
        "--color-range", choices=tuple(_RANGES), help="range of the input's samples (what it says)"
    )
    parser.add_argument(
        "--chroma-location",
        type=_Code("chroma_location"),
        metavar="NAME",
        help="where the input has chroma samples, as left, center, topleft (what it says)",
    )


def parse_input_options(options: argparse.Namespace) -> InputOptions:
    """What the options of `add_input_options` say."""
    span = options.color_range
    return InputOptions(
        options.rate,
        options.picture_size,
        options.pixel_format,
        options.color_primaries,
        options.color_trc,
        options.color_matrix,
        None if span is None else _RANGES[span],
        options.chroma_location,
        fps=options.fps,
    )


class _Code:
    """Argument type: a code point by name or number."""

    def __init__(self, kind: str) -> None:
        self._names = {name: code for code, name in CODE_POINTS[kind].items()}
        self._kind = kind
        self._most = _MOST_CODE if kind != "chroma_location" else max(self._names.values())

    def __call__(self, text: str) -> int:
        if text in self._names:
            return self._names[text]
        if text.isdecimal() and int(text) <= self._most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(self._names)}")


def _rate(text: str) -> Fraction:
    rate = rate_of(text)
    if rate is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate like 24 or 30000/1001")
    return rate


def _size(text: str) -> tuple[int, int]:
    size = picture_size(text)
    if isinstance(size, Fraction) or not min(size):
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 640x360")
    return size
