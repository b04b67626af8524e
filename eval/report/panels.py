"""Peers at the bytes of a clip of gvcodec's, for pictures with names above them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.tools import EvalError
from gvcodec.compare import peers
from gvcodec.planes import CENTRE, planes_from_rgb, rgb_from_planes, rgb_matrix
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, VideoFormat

Frames = list[NDArray[np.uint8]]

#: Slow presets of both: nobody codes a picture for a page in real time. By title.
PEERS = {peers.PEERS[name].title: name for name in ("x265", "svtav1")}
#: Height of a name.
LABEL = 18


def of_peers(frames: Frames, rate: Fraction, size: int) -> dict[str, tuple[int, Frames]]:
    """Bytes and frames of each peer at `size` bytes, two at a time. Raises EvalError for one that
    has more at its coarsest, or loses frames."""
    height, width = frames[0].shape[:2]
    colour = Colour(matrix=rgb_matrix(height), chroma_location=CENTRE)
    fmt = VideoFormat(width, height, rate, 1 / rate, 8, colour)
    planes = [planes_from_rgb(frame) for frame in frames]

    def panel_of(title: str) -> tuple[int, Frames]:
        coded = peers.encode_at(PEERS[title], planes, fmt, size)
        if coded is None:
            raise EvalError(f"{title}: more than {size} bytes at its coarsest: a finer -q compares")
        if len(coded.frames) != len(frames):
            raise EvalError(f"{title}: {len(coded.frames)} of {len(frames)} frames")
        return sum(coded.sizes), [
            rgb_from_planes(planes_out, colour) for planes_out in coded.frames
        ]

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PEERS, pool.map(panel_of, PEERS), strict=True))


def rgb_frames(path: Path, count: int | None = None) -> tuple[Frames, Fraction]:
    """The first `count` frames (None = all), (H, W, 3) uint8, and their rate."""
    with VideoReader(str(path), frames=count) as reader:
        frames = [rgb_from_planes(f.planes, reader.format.colour) for f in reader]
        return frames, Fraction(reader.format.frame_rate)
