"""A sheet of small frames with their times: what `gvcodec sheet` draws.

Only GOPs that hold shown frames are read and decoded. A sheet shows the middle of equal parts of
the video; where a part has keyframes it shows one of them, so that a long film costs one frame a
tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.media.planes import Scaler, rgb_from_planes
from gvcodec.types import VideoFormat
from gvcodec.video import Video

#: Samples of a tile's side.
_MOST_HEIGHT = 8192
#: Least side of a tile, samples between tiles, and how dark it is there.
_LEAST, _GAP, _BEHIND = 2, 4, 24
#: Digits, colon and point, 3 × 5 dots, rows from the top as octal digits.
_DOTS = dict(
    zip(
        "0123456789:.",
        (
            "75557",
            "26227",
            "71747",
            "71717",
            "55711",
            "74717",
            "74757",
            "71111",
            "75757",
            "75717",
            "02020",
            "00002",
        ),
        strict=True,
    )
)
_DOT = 2


def sheet(
    video: Video, tiles: tuple[int, int], width: int, numbers: Sequence[int] = ()
) -> tuple[NDArray[np.uint8], int]:
    """A picture (H, `width` at most, 3) of at most so many columns and rows, and how many frames it
    shows: those of `numbers`, or else some evenly spread over the video."""
    numbers = numbers or shown(video, tiles[0] * tiles[1])
    columns = min(tiles[0], len(numbers))
    scaler = _scaler(video.header.format, (width - _GAP) // columns - _GAP)
    high, wide = scaler.format.height, scaler.format.width
    rows = -(-len(numbers) // columns)
    picture = np.full(
        (_GAP + rows * (high + _GAP), _GAP + columns * (wide + _GAP), 3), _BEHIND, np.uint8
    )
    for place, number in enumerate(numbers):
        (found,) = video.decoded(number, number + 1)
        tile = rgb_from_planes(scaler.apply(found.planes), scaler.format.colour)
        _write(tile, clock(seconds_of(video, number)))
        top, left = _GAP + place // columns * (high + _GAP), _GAP + place % columns * (wide + _GAP)
        picture[top : top + high, left : left + wide] = tile
    return picture, len(numbers)


def shown(video: Video, most: int) -> list[int]:
    """Numbers of the frames of a sheet, at most so many: a keyframe of each part, else the middle
    of it."""
    count, keys = len(video), np.array(video.key_frames)
    parts = min(most, count)
    numbers = []
    for part in range(parts):
        first, stop = part * count // parts, (part + 1) * count // parts
        middle = (first + stop) // 2
        inside = keys[(keys >= first) & (keys < stop)]
        numbers.append(int(inside[np.abs(inside - middle).argmin()]) if len(inside) else middle)
    return numbers


def seconds_of(video: Video, number: int) -> float:
    """When a frame is shown, after the first one."""
    return float((video.pts_of(number) - video.pts_of(0)) * video.header.format.time_base)


def clock(seconds: float) -> str:
    """Such as 1:02:03.4 and 2:03.4."""
    tenths = math.floor(seconds * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{rest // 10:02}.{rest % 10}"


def _scaler(fmt: VideoFormat, width: int) -> Scaler:
    """Pictures so wide, of square samples."""
    width = max(_LEAST, width)
    height = round(width * fmt.height / (fmt.width * fmt.sar))
    return Scaler(fmt, (width, min(max(_LEAST, height), _MOST_HEIGHT)))


def _write(tile: NDArray[np.uint8], text: str) -> None:
    """Text on a dark field in the lower left corner of an (H, W, 3) tile."""
    rows = [[int(_DOTS[letter][row]) for letter in text] for row in range(5)]
    dots = np.array(
        [[value >> 2 - x & 1 for value in row for x in range(-1, 3)] for row in rows], np.uint8
    )
    dots = np.pad(dots, ((1, 1), (0, 1))).repeat(_DOT, 0).repeat(_DOT, 1)
    dots = dots[: tile.shape[0], : tile.shape[1]]
    tile[-dots.shape[0] :, : dots.shape[1]] = _BEHIND + dots[..., None] * (255 - _BEHIND)
