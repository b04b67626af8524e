"""`python -m eval panels OUT.png`: one frame of a clip, ours, x265 and SVT-AV1 at equal bytes, each
with a part enlarged.

What `python -m eval loop` moves stands still here. The command reads what `./demo.sh` has coded,
and codes nothing but the peers.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eval.tools import EvalError
from gvcodec.media.planes import rgb_from_planes
from gvcodec.media.reader import VideoReader

Frames = list[NDArray[np.uint8]]

#: Slow presets of both: nobody codes a picture for a page in real time.
PEERS = {
    "x265, preset slow": ("libx265", {"preset": "slow", "x265-params": "log-level=none:keyint=-1"}),
    "SVT-AV1, preset 4": ("libsvtav1", {"preset": "4", "svtav1-params": "keyint=-1"}),
}
#: Ends of the CRF scale: x265's coarsest is 51.
_FINEST, _COARSEST, _STEPS = 10.0, {"libx265": 51.0, "libsvtav1": 63.0}, 7
#: What CRF is rounded to: SVT-AV1's is whole here.
_UNITS = {"libx265": 0.01, "libsvtav1": 1.0}
#: Bytes halve about every so many steps of CRF: the first guess.
_HALVES = 6.0
#: So much more than ours a peer may have, and so much less where the search ends.
SLACK, _NEAR = 1.02, 0.985
LABEL = 18
#: More samples than these (a minute of work) are not coded by the peers for one picture.
_MOST_SAMPLES = 320 * 192 * 400
_WIDEST, _ZOOM = 640, 3
_FRAME = (215, 38, 61)


def peer(name: str, frames: Frames, rate: Fraction, crf: float) -> tuple[int, Frames]:
    """Bytes of the packets at a CRF, and decoded frames."""
    library, options = PEERS[name]
    os.environ.setdefault("SVT_LOG", "1")  # errors alone
    height, width = frames[0].shape[:2]
    encoder = av.CodecContext.create(library, "w")
    encoder.width, encoder.height, encoder.framerate, encoder.time_base = (
        width,
        height,
        rate,
        1 / rate,
    )
    encoder.pix_fmt = "yuv420p10le"
    encoder.thread_count = 1
    encoder.options = options | {"crf": f"{crf:.2f}" if library == "libx265" else str(round(crf))}
    packets = []
    for number, image in enumerate([*frames, None]):
        frame = None
        if image is not None:
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(
                format="yuv420p10le", dst_colorspace="itu709"
            )
            frame.pts = number
        packets += encoder.encode(frame)
    decoder = av.CodecContext.create({"libx265": "hevc"}.get(library, "libdav1d"), "r")
    shown: Frames = []
    for packet in [*(bytes(p) for p in packets), None]:
        for frame in decoder.decode(None if packet is None else av.Packet(packet)):
            shown.append(frame.reformat(format="rgb24", src_colorspace="itu709").to_ndarray())
    return sum(p.size for p in packets), shown


def nearest(
    coded: Callable[[float], tuple[int, Frames]], size: int, coarsest: float
) -> tuple[int, Frames]:
    """What has the most bytes that are not more than `size` by `SLACK`; the coarsest where there is
    nothing. The logarithm of the bytes is taken as a line over CRF, anew after each try."""
    low, high = _FINEST, coarsest
    best = coded(high)
    last, slope = (high, best[0]), -1 / _HALVES
    for _ in range(_STEPS):
        if _NEAR * size <= best[0] <= SLACK * size:
            break
        guess = last[0] + math.log2(size / last[1]) / slope
        crf = guess if low < guess < high else (low + high) / 2
        found = coded(crf)
        if found[0] != last[1] and crf != last[0]:
            slope = min(-0.02, math.log2(found[0] / last[1]) / (crf - last[0]))
        last = (crf, found[0])
        if found[0] <= SLACK * size:
            best, high = max(best, found, key=lambda pair: pair[0]), crf
        else:
            low = crf
    return best


def of_peers(frames: Frames, rate: Fraction, size: int) -> dict[str, tuple[int, Frames]]:
    """Bytes and frames of each peer at `size` bytes, two at a time. Raises EvalError for one that
    has more at its coarsest, or loses frames."""

    def one(name: str) -> tuple[int, Frames]:
        library = PEERS[name][0]
        coded = functools.cache(lambda crf: peer(name, frames, rate, crf))
        unit = _UNITS[library]
        found, shown = nearest(
            lambda crf: coded(round(crf / unit) * unit), size, _COARSEST[library]
        )
        if found > SLACK * size:
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
    frames, rate = _frames(source)
    ours, _ = _frames(decoded)
    if len(ours) != len(frames) or not frames:
        raise EvalError(f"{decoded}: {len(ours)} frames, {source} has {len(frames)}")
    middle, size = len(frames) // 2, stream.stat().st_size
    panels = [("source", frames[middle]), (f"gvcodec: {size:,} bytes", ours[middle])]
    told = []
    try:
        if frames[0][..., 0].size * len(frames) > _MOST_SAMPLES:
            raise EvalError("x265 and SVT-AV1 are left out: the video is long")
        for name, (found, shown) in of_peers(frames, rate, size).items():
            panels.append((f"{name}: {found:,} bytes", shown[middle]))
    except EvalError as error:
        told = [str(error)]
    sheet(panels).save(output)
    return [*(label for label, _ in panels), *told]


def _frames(path: Path) -> tuple[Frames, Fraction]:
    """Frames (H, W, 3) uint8 and their rate."""
    with VideoReader(str(path)) as reader:
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
