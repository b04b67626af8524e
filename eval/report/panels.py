"""`python -m eval panels OUT.png`: one frame of a clip, gvcodec, x265 and SVT-AV1 at equal bytes,
each with a part enlarged.

The command reads what `./demo.sh` has coded, and codes nothing but the peers.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eval.tools import EvalError
from gvcodec.compare import peers
from gvcodec.media.planes import planes_from_rgb, rgb_from_planes, rgb_matrix
from gvcodec.media.reader import VideoReader
from gvcodec.media.siting import CENTRE
from gvcodec.types import Colour, VideoFormat

Frames = list[NDArray[np.uint8]]

#: Slow presets of both: nobody codes a picture for a page in real time. By title.
PEERS = {peers.PEERS[name].title: name for name in ("x265", "svtav1")}
LABEL = 18
#: More samples than these (a minute of work) are not coded by the peers for one picture.
_MOST_SAMPLES = 320 * 192 * 400
_WIDEST, _ZOOM = 640, 3
_FRAME = (215, 38, 61)


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("output", type=Path, metavar="OUT.png")
    add("--source", type=Path, required=True, metavar="VIDEO")
    add("--stream", type=Path, required=True, metavar="FILE", help="what gvcodec made of it")
    add("--decoded", type=Path, required=True, metavar="VIDEO", help="the stream, decoded")


def run(options: argparse.Namespace) -> None:
    print("\n".join(make(options.output, options.source, options.stream, options.decoded)))


def peer(name: str, frames: Frames, rate: Fraction, crf: float) -> tuple[int, Frames]:
    """Bytes of the packets at a CRF, and decoded frames."""
    height, width = frames[0].shape[:2]
    colour = Colour(matrix=rgb_matrix(height), chroma_location=CENTRE)
    fmt = VideoFormat(width, height, rate, 1 / rate, 8, colour)
    coded = peers.encode(PEERS[name], [planes_from_rgb(f) for f in frames], fmt, crf, threads=1)
    return sum(coded.sizes), [rgb_from_planes(planes, colour) for planes in coded.frames]


def of_peers(frames: Frames, rate: Fraction, size: int) -> dict[str, tuple[int, Frames]]:
    """Bytes and frames of each peer at `size` bytes, two at a time. Raises EvalError for one that
    has more at its coarsest, or loses frames."""

    def one(name: str) -> tuple[int, Frames]:
        chosen = peers.PEERS[PEERS[name]]
        coded = functools.cache(lambda crf: peer(name, frames, rate, crf))
        found, shown = peers.nearest(
            lambda crf: coded(round(crf / chosen.unit) * chosen.unit), size, chosen.coarsest
        )
        if found > peers.SLACK * size:
            raise EvalError(
                f"{name}: {found} bytes at its coarsest, gvcodec has {size}: a finer -q compares"
            )
        if len(shown) != len(frames):
            raise EvalError(f"{name}: {len(shown)} of {len(frames)} frames")
        return found, shown

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PEERS, pool.map(one, PEERS), strict=True))


def make(output: Path, source: Path, stream: Path, decoded: Path) -> list[str]:
    """Write the picture of the middle frame; a line for each panel. Raises EvalError,
    GvcodecError."""
    frames, rate = rgb_frames(source)
    ours, _ = rgb_frames(decoded)
    if len(ours) != len(frames) or not frames:
        raise EvalError(f"{decoded}: {len(ours)} frames, {source} has {len(frames)}")
    middle, size = len(frames) // 2, stream.stat().st_size
    panels = [("source", frames[middle]), (f"gvcodec: {size:,} bytes", ours[middle])]
    notes = []
    try:
        if frames[0][..., 0].size * len(frames) > _MOST_SAMPLES:
            raise EvalError("x265 and SVT-AV1 are left out: the video is long")
        for name, (found, shown) in of_peers(frames, rate, size).items():
            panels.append((f"{name}: {found:,} bytes", shown[middle]))
    except EvalError as error:
        notes = [str(error)]
    sheet(panels).save(output)
    return [*(label for label, _ in panels), *notes]


def rgb_frames(path: Path, count: int | None = None) -> tuple[Frames, Fraction]:
    """The first `count` frames (None = all), (H, W, 3) uint8, and their rate."""
    with VideoReader(str(path), frames=count) as reader:
        frames = [rgb_from_planes(f.planes, reader.format.colour) for f in reader]
        return frames, Fraction(reader.format.frame_rate)


def sheet(panels: Sequence[tuple[str, NDArray[np.uint8]]]) -> Image.Image:
    """Two columns of panels: a name, the picture, and the same part of each enlarged beside it."""
    height, width = panels[0][1].shape[:2]
    shown = (min(width, _WIDEST), round(height * min(1, _WIDEST / width)))
    side = min(shown[1] // _ZOOM, width)
    top, left = busiest(panels[0][1], side)
    wide, high = shown[0] + 4 + side * _ZOOM, shown[1] + LABEL
    font = ImageFont.load_default(13)
    page = Image.new("RGB", (2 * wide + 8, -(-len(panels) // 2) * (high + 4)), "white")
    draw = ImageDraw.Draw(page)
    scale = shown[0] / width
    for place, (name, image) in enumerate(panels):
        x, y = place % 2 * (wide + 8), place // 2 * (high + 4)
        draw.text((x + 3, y + 1), name, "black", font)
        whole = Image.fromarray(image)
        page.paste(whole.resize(shown, Image.Resampling.LANCZOS), (x, y + LABEL))
        corner = (x + round(left * scale), y + LABEL + round(top * scale))
        far = (corner[0] + round(side * scale), corner[1] + round(side * scale))
        draw.rectangle((corner, far), outline=_FRAME)
        part = whole.crop((left, top, left + side, top + side))
        enlarged = part.resize((side * _ZOOM, side * _ZOOM), Image.Resampling.BICUBIC)
        page.paste(enlarged, (x + shown[0] + 4, y + LABEL))
    return page


def busiest(image: NDArray[np.uint8], side: int) -> tuple[int, int]:
    """Top and left of the square of `side` samples that varies most, on a raster of half a side."""
    luma = image.astype(float).mean(axis=2)
    step = max(1, side // 2)
    places = [
        (y, x)
        for y in range(0, luma.shape[0] - side + 1, step)
        for x in range(0, luma.shape[1] - side + 1, step)
    ]
    return max(places, key=lambda at: luma[at[0] : at[0] + side, at[1] : at[1] + side].std())
