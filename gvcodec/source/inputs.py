"""Options about an input (`InputOptions`), and numbered pictures as one video.

    folder/             pictures numbered without a gap, whatever the first number
    folder/f%04d.png    pictures of this name
    folder/*.png        those that are there, in the order of the numbers in their names

Raises `MediaError`, `UsageError`."""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, BinaryIO, Literal

from gvcodec.errors import MediaError
from gvcodec.source.boxes import boxes
from gvcodec.source.sound_coding import parse_sound
from gvcodec.types import CODE_POINTS, Colour
from gvcodec.util.options import add_option_docs, option, picture_size

PICTURES = frozenset(
    """.png .jpg .jpeg .webp .bmp .tif .tiff .avif .heic .heif .exr .dpx .hdr .pfm .pbm .pgm .ppm
    .pnm .pam .jp2 .j2k .jls .jxl .qoi .fits .tga .sgi .pcx""".split()  # noqa: SIM905
)
#: Files with these endings are videos without a look at them, and files on a store that has others
#: are not.
VIDEOS = frozenset(
    """.mp4 .m4v .mov .qt .mkv .webm .avi .divx .wmv .asf .flv .f4v .mpg .mpeg .m2v .mpv .vob .ts
    .m2ts .mts .mxf .ogv .ogm .3gp .3g2 .dv .rm .rmvb .nut .y4m .ivf .obu .h264 .264 .hevc .h265
    .265 .av1 .vc1 .gif .apng .mjpeg .mjpg .amv .wtv""".split()  # noqa: SIM905
)
DEFAULT_RATE = Fraction(25)
_PATTERN = re.compile(r"%0?\d*d")
#: PBM, PGM and PPM in binary: width, height and, except for PBM, the largest sample.
_NUMBER = rb"(?:\s+|#[^\n]*\n)+([0-9]{1,9})"
_PNM = re.compile(rb"P(?:4" + 2 * _NUMBER + rb"|([56])" + 3 * _NUMBER + rb")\s")
_HEAD = 1 << 16
#: In a motion photo: the picture's end, and some way behind it the first box of an MP4 file.
_MOTION = re.compile(rb"\xff\xd9.{0,4096}?\0\0\0[\x10-\x80]ftyp[ -~]{4}", re.DOTALL)
_MOST_PHOTO = 1 << 28
#: In TIFF: the order of bytes, the tag of what a page is, bits of a smaller copy and of a mask.
_TIFF: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_SUBFILE, _NOT_MEANT, _MOST_PAGES = 254, 5, 1000
_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_NTSC = ("23.976", "23.98", "29.97", "59.94", "119.88")
_MOST_RATE, _MOST_PARTS = 1000, 1_000_000
_RANGES = {"limited": False, "tv": False, "full": True, "pc": True}
_MOST_CODE = 255


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
    if not 0 < rate <= _MOST_RATE:
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
    """What a user says of an input that does not say it itself, or not rightly, and what is wanted
    of it; None = nothing.

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
    until: float | None = None
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
    sound: str | None = option(
        None,
        _sound,
        "copy|opus[:RATE]|none",
        group="sound",
        help="copy sound, re-encode it as Opus (24k per channel), or leave it out (copy)",
    )

    def complete_colour(self, colour: Colour) -> Colour:
        """`colour` with the fields that these options set."""
        given = {
            name: getattr(self, name)
            for name in ("primaries", "transfer", "matrix", "full_range", "chroma_location")
            if getattr(self, name) is not None
        }
        return replace(colour, **given)


def list_pictures(path: str) -> list[str] | None:
    """The pictures of a folder or of a name like `f%04d.png`, in order; None for others."""
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        return _series(path, _in_folder(path))
    if not os.path.exists(path) and "*" in name and os.path.isdir(folder or os.curdir):
        if names := fnmatch.filter(_pictures(folder), name):
            names.sort(
                key=lambda each: ([int(digits) for digits in re.findall(r"\d+", each)], each)
            )
            return [os.path.join(folder, each) for each in names]
        raise MediaError(f"{path}: no pictures of this name")
    if os.path.exists(path) or len(_PATTERN.findall(name)) != 1:
        return None
    begin, end = (re.escape(part.replace("%%", "%")) for part in _PATTERN.split(name))
    fitting = re.compile(f"{begin}([0-9]+){end}")
    matches = map(fitting.fullmatch, _names(folder))
    numbered = [(int(match[1]), match[0]) for match in matches if match]
    if not numbered:
        raise MediaError(f"{path}: no pictures of this name")
    return _series(folder, numbered)


def holds_more(path: str) -> bool:
    """Whether a file has pictures after its first, which alone is read: pages of TIFF, further
    views of a camera (CIPA DC-007), PNM one after the other."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        if match := _PNM.match(head):
            file.seek(match.end() + _pnm_bytes(match))
            return _PNM.match(file.read(_HEAD)) is not None
        order = _TIFF.get(head[:4])
        return _has_pages(file, order) if order else head[:2] == b"\xff\xd8" and b"MPF\0" in head


def video_behind(path: str) -> bool:
    """Whether a picture of a phone has a video behind it (a motion photo): a JPEG followed by an
    MP4 file, or a HEIF file with the box `mpvd`."""
    if not os.path.isfile(path) or os.path.getsize(path) > _MOST_PHOTO:
        return False
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:2] == b"\xff\xd8":
            return _MOTION.search(file.read()) is not None
        if head[4:8] == b"ftyp":
            end = file.seek(0, os.SEEK_END)
            return any(name == b"mpvd" for name, _, _ in boxes(file, 0, end))
        return False


def _pnm_bytes(match: re.Match[bytes]) -> int:
    if match[3] is None:
        return (int(match[1]) + 7) // 8 * int(match[2])
    samples = int(match[4]) * int(match[5]) * (3 if match[3] == b"6" else 1)
    return samples * (1 if int(match[6]) < 256 else 2)


def _has_pages(file: BinaryIO, order: Literal["little", "big"]) -> bool:
    file.seek(4)
    pages, seen = 0, {0}
    while (place := int.from_bytes(file.read(4), order)) not in seen and len(seen) < _MOST_PAGES:
        seen.add(place)
        file.seek(place)
        tags = [file.read(12) for _ in range(int.from_bytes(file.read(2), order))]
        kinds = {int.from_bytes(tag[:2], order): int.from_bytes(tag[8:], order) for tag in tags}
        pages += not kinds.get(_SUBFILE, 0) & _NOT_MEANT
    return pages > 1


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError as error:
        raise MediaError(f"{folder}: {error.strerror}") from error


def _pictures(folder: str) -> list[str]:
    shown = [name for name in sorted(_names(folder)) if not name.startswith(".")]
    return [name for name in shown if os.path.splitext(name)[1].lower() in PICTURES]


def _in_folder(folder: str) -> list[tuple[int, str]]:
    names = _pictures(folder)
    if len(names) < 2 and any(os.path.splitext(n)[1].lower() in VIDEOS for n in _names(folder)):
        raise MediaError(f"{folder}: is a folder of videos: gvcodec batch {folder} -o OUT")
    if not names:
        raise MediaError(f"{folder}: is a folder, not a video, and holds no pictures")
    if len(names) == 1:
        return [(0, names[0])]
    series: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in names:
        stem, kind = os.path.splitext(name)
        match = _LAST_NUMBER.fullmatch(stem)
        if match is None:
            raise MediaError(f"{folder}: the name of picture {name} has no number")
        series.setdefault((match[1], match[3] + kind), []).append((int(match[2]), name))
    if len(series) > 1:
        first, second = ("…".join(key) for key in list(series)[:2])
        raise MediaError(
            f"{folder}: holds pictures of several names ({first}, {second}); "
            "say which, as in folder/f%04d.png or 'folder/*.png'"
        )
    return next(iter(series.values()))


def _series(folder: str, numbered: Iterable[tuple[int, str]]) -> list[str]:
    """Paths in order of their numbers: without gaps, or most with one (times)."""
    pictures = sorted(numbered)
    steps = [after - before for (before, _), (after, _) in itertools.pairwise(pictures)]
    is_dense = 2 * sum(step > 1 for step in steps) <= len(steps)
    for (before, last), (number, name) in itertools.pairwise(pictures):
        if number == before:
            raise MediaError(f"{folder or '.'}: {last} and {name} have the same number")
        if number > before + 1 and is_dense:
            missing = f"{before + 1}" + (f" to {number - 1}" if number > before + 2 else "")
            raise MediaError(
                f"{folder or '.'}: the pictures have a gap: number {missing} is missing "
                f"after {last} ('{os.path.join(folder, '*')}' takes those that are there)"
            )
    return [os.path.join(folder, name) for _, name in pictures]
