"""Options about an input: `InputOptions`, and the forms that their values take on the command line
(frame rates, `opus:24k`, code points of H.273). Parsers raise `argparse.ArgumentTypeError`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from gvcodec.types import CODE_POINTS, Colour
from gvcodec.util.messages import parse_amount
from gvcodec.util.options import add_option_docs, check_fields, option, picture_size, seconds

DEFAULT_RATE = Fraction(25)
_NTSC = ("23.976", "23.98", "29.97", "59.94", "119.88")
_MOST_FRAME_RATE, _MOST_PARTS = 1000, 1_000_000
_RANGES = {"limited": False, "tv": False, "full": True, "pc": True}
_MOST_CODE = 255
#: Values of `--sound` besides "opus" and "opus:RATE".
COPY, NONE = "copy", "none"
_OPUS = "opus"
#: Bits a second that libopus takes.
LEAST_OPUS_RATE, MOST_OPUS_RATE = 6_000, 510_000


def opus_rate(sound: str) -> int | None:
    """Bits a second: 0 of "opus", None if nothing is coded. Raises `ValueError`."""
    if sound in (COPY, NONE):
        return None
    name, colon, rate = sound.partition(":")
    if name != _OPUS or (colon and not rate.isdecimal()):
        raise ValueError(f"{sound!r} is not copy, none, opus or opus:RATE")
    if colon and not LEAST_OPUS_RATE <= int(rate) <= MOST_OPUS_RATE:
        raise ValueError(
            f"Opus takes {LEAST_OPUS_RATE} to {MOST_OPUS_RATE} bits a second, not {rate}"
        )
    return int(rate) if colon else 0


def parse_sound(text: str) -> str:
    """ "opus:24k" as "opus:24000" (bits a second). Raises `ValueError`."""
    name, colon, rate = text.partition(":")
    sound = name + (f":{round(parse_amount(rate))}" if colon else "")
    opus_rate(sound)
    return sound


def _frame_rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if text in _NTSC:
        rate = Fraction(round(rate) * 1000, 1001)
    elif "/" not in text:
        # Programs print a quotient with all the digits that they have.
        rate = rate.limit_denominator(_MOST_PARTS)
    if not 0 < rate <= _MOST_FRAME_RATE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate like 24 or 30000/1001")
    return rate


def _sound(text: str) -> str:
    try:
        return parse_sound(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _code_point(kind: str, flag: str) -> Any:
    names = {name: code for code, name in CODE_POINTS[kind].items()}
    most = _MOST_CODE if kind != "chroma_location" else max(names.values())

    def parse(text: str) -> int:
        if text in names:
            return names[text]
        if text.isdecimal() and int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(names)}")

    text = f"colour {kind} of the input, as bt709 or a code point of H.273 (its own)"
    if kind == "chroma_location":
        text = "chroma siting of the input, as left, center, topleft (its own)"
    return option(None, parse, "NAME", text, flags=flag, group="input")


@add_option_docs
@dataclass(frozen=True, slots=True)
class InputOptions:
    """Properties of an input that it does not state, or states wrongly, and changes of it; None:
    not set.

    Code points of H.273 for `primaries`, `transfer` and `matrix`; `chroma_location` as in `Colour`.
    Frames and sound before `until` seconds after the first frame are wanted; a `scale` (width,
    height) may have one of them 0; `sound` is "copy", "none", "opus" or "opus:RATE" with bits a
    second."""

    rate: Fraction | None = option(
        None,
        _frame_rate,
        "FPS",
        group="input",
        help="frame rate of numbered pictures and of video without timestamps: 24, 30000/1001 (25)",
    )
    fps: Fraction | None = option(
        None,
        _frame_rate,
        "FPS",
        group="input",
        help="frame rate limit; extra frames are dropped (none)",
    )
    primaries: int | None = _code_point("primaries", "--color-primaries")
    transfer: int | None = _code_point("transfer", "--color-trc")
    matrix: int | None = _code_point("matrix", "--color-matrix")
    full_range: bool | None = option(
        None,
        flags="--color-range",
        group="input",
        means=_RANGES,
        choices=tuple(_RANGES),
        help="range of the input's samples (its own)",
    )
    chroma_location: int | None = _code_point("chroma_location", "--chroma-location")
    until: float | None = option(None, seconds, group="time")
    scale: tuple[int, int] | Fraction | None = option(
        None,
        picture_size,
        "WxH|1/2",
        help="size of the pictures; x480: width by their aspect ratio (the source's)",
    )
    deinterlace: bool = option(
        False, help="deinterlace, at the frame rate of the source (FFmpeg's bwdif)"
    )
    no_subtitles: bool | None = option(
        None, action="store_const", const=True, help="leave subtitles and closed captions out"
    )
    no_attachments: bool | None = option(
        None, action="store_const", const=True, help="leave attachments and covers out"
    )
    sound: str | None = option(
        None,
        _sound,
        "copy|opus[:RATE]|none",
        group="sound",
        help="copy sound, re-encode it as Opus (24k per channel), or leave it out (copy)",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    def complete_colour(self, colour: Colour) -> Colour:
        """`colour` with the fields that these options set."""
        overrides = {
            name: getattr(self, name)
            for name in ("primaries", "transfer", "matrix", "full_range", "chroma_location")
            if getattr(self, name) is not None
        }
        return replace(colour, **overrides)
