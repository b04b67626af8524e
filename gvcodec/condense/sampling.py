"""Small pictures of a stream or video, evenly spaced, with the numbers and times of their
frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.decoding_limits import DEFAULT, Limits
from gvcodec.media.reader import VideoReader
from gvcodec.search.files import STREAMS
from gvcodec.search.thumbnails import thumbnail
from gvcodec.types import Planes, VideoFormat
from gvcodec.video import open_video

#: Frames that are looked at, at most.
_MOST = 512
_SIDE = 64


@dataclass(frozen=True, slots=True)
class Sampled:
    """`pictures` (T, 64, 64, 3) uint8 of frames `numbers`, shown at `seconds`."""

    path: str
    format: VideoFormat
    pictures: NDArray[np.uint8]
    numbers: list[int]
    seconds: list[float]
    limits: Limits

    def frames(self, wanted: set[int]) -> Iterator[tuple[int, Planes]]:
        """Whole frames by number, in order."""
        _, every = _all(self.path, self.limits)
        yield from ((number, planes) for number, planes, _ in every if number in wanted)


def sampled(path: str, limits: Limits = DEFAULT) -> Sampled:
    """Raises `MediaError`, `DamagedStreamError`, `LimitError`."""
    fmt, every = _all(path, limits)
    kept: list[tuple[int, float, NDArray[np.uint8]]] = []
    stride = 1
    for number, planes, pts in every:
        if number % stride == 0:
            kept.append((number, float(pts * fmt.time_base), thumbnail(planes, fmt.colour, _SIDE)))
        if len(kept) > _MOST:
            kept, stride = kept[::2], 2 * stride
    numbers, seconds, pictures = zip(*kept, strict=True)
    return Sampled(path, fmt, np.stack(pictures), list(numbers), list(seconds), limits)


def _all(path: str, limits: Limits) -> tuple[VideoFormat, Iterator[tuple[int, Planes, int]]]:
    """Format, and number, planes, timestamp of every frame."""
    if path.lower().endswith(STREAMS):
        video = open_video(path, fidelity=True, limits=limits)
        begin = video.pts_of(0)
        return video.header.format, (
            (n, f.planes, f.pts - begin) for n, f in enumerate(video.decoded(0, len(video)))
        )
    with VideoReader(path) as reader:
        fmt = reader.format
    return fmt, _read(path)


def _read(path: str) -> Iterator[tuple[int, Planes, int]]:
    with VideoReader(path) as reader:
        for number, frame in enumerate(reader):
            yield number, frame.planes, frame.pts
