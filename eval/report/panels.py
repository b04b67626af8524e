"""`python -m eval panels OUT.png`: one frame of a clip, gvcodec, x265 and SVT-AV1 at equal bytes,
each with a part enlarged.

The command reads what `./demo.sh` has coded, and codes nothing but the peers.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eval.rd.rates import Search
from eval.tools import EvalError
from gvcodec.media.planes import rgb_from_planes
from gvcodec.media.reader import VideoReader

Frames = list[NDArray[np.uint8]]

#: Slow presets of both: nobody codes a picture for a page in real time.
PEERS = {
    "x265, preset slow": ("libx265", {"preset": "slow", "x265-params": "log-level=none:keyint=-1"}),
    "SVT-AV1, preset 4": ("libsvtav1", {"preset": "4", "svtav1-params": "keyint=-1"}),
}
#: Library → steps of CRF in one, and the ends of its scale in steps.
_SCALES = {"libx265": (10, 100, 510), "libsvtav1": (1, 10, 63)}
#: So much more than gvcodec a peer may have.
SLACK = 1.02
#: Sizes that differ by less (natural logarithm) are equal.
_NEAR = 0.015
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


def at_size(name: str, frames: Frames, rate: Fraction, size: int) -> tuple[int, Frames]:
    """Bytes and frames of a peer with the most bytes that are not more than `size` by `SLACK`.
    Raises EvalError where it has more at its coarsest, or loses frames."""
    unit, low, high = _SCALES[PEERS[name][0]]
    coded = functools.cache(lambda step: peer(name, frames, rate, step / unit))
    search = Search(lambda step: float(coded(step)[0]), low, high, high - (high - low) // 4, _NEAR)
    search(size)
    fitting = [step for step, bytes_ in search.known.items() if bytes_ <= SLACK * size]
    if not fitting:
        least = coded(high)[0]
        raise EvalError(
            f"{name}: {least} bytes at its coarsest, gvcodec has {size}: a finer -q compares"
        )
    found, shown = coded(min(fitting))
    if len(shown) != len(frames):
        raise EvalError(f"{name}: {len(shown)} of {len(frames)} frames")
    return found, shown


def of_peers(frames: Frames, rate: Fraction, size: int) -> dict[str, tuple[int, Frames]]:
    """Bytes and frames of each peer at `size` bytes, two at a time. Raises EvalError."""
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda name: at_size(name, frames, rate, size), PEERS)
        return dict(zip(PEERS, found, strict=True))


def make(output: Path, source: Path, stream: Path, decoded: Path) -> list[str]:
    """Write the picture of the middle frame; a line for each panel. Raises EvalError,
    GvcodecError."""
    frames, rate = rgb_frames(source)
    ours, _ = rgb_frames(decoded)
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
