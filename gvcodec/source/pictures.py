"""Numbered pictures as one video: which files they are, in their order.

    folder/             pictures numbered without a gap, from any first number
    folder/f%04d.png    pictures of this name
    folder/*.png        all of these files, in the order of the numbers in their names

Raises `MediaError`."""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
from collections.abc import Iterable

from gvcodec.errors import MediaError

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
_PATTERN = re.compile(r"%0?\d*d")
_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


def list_folder_pictures(folder: str) -> list[str]:
    """The pictures of a folder in order."""
    return _series(folder, _in_folder(folder))


def list_named_pictures(path: str) -> list[str] | None:
    """The pictures of a name like `f%04d.png`, which no file has, in order; None for other
    names."""
    folder, name = os.path.split(path)
    if "*" in name and os.path.isdir(folder or os.curdir):
        if names := fnmatch.filter(_pictures(folder), name):
            names.sort(
                key=lambda each: ([int(digits) for digits in re.findall(r"\d+", each)], each)
            )
            return [os.path.join(folder, each) for each in names]
        raise MediaError(f"{path}: no pictures of this name")
    if len(_PATTERN.findall(name)) != 1:
        return None
    begin, end = (re.escape(part.replace("%%", "%")) for part in _PATTERN.split(name))
    fitting = re.compile(f"{begin}([0-9]+){end}")
    matches = map(fitting.fullmatch, _names(folder))
    numbered = [(int(match[1]), match[0]) for match in matches if match]
    if not numbered:
        raise MediaError(f"{path}: no pictures of this name")
    return _series(folder, numbered)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError as error:
        raise MediaError(f"{folder}: {error.strerror}") from error


def _pictures(folder: str) -> list[str]:
    visible = [name for name in sorted(_names(folder)) if not name.startswith(".")]
    return [name for name in visible if os.path.splitext(name)[1].lower() in PICTURES]


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


def _series(folder: str, names_by_number: Iterable[tuple[int, str]]) -> list[str]:
    """Paths in order of their numbers: without gaps, or most with one (times)."""
    pictures = sorted(names_by_number)
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
