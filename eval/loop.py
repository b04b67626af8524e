"""`python -m eval loop OUT.webp`: a clip, ours, x265 and SVT-AV1 at equal bytes, side by side, again and again.

Needs no clip from elsewhere: without `--video` it is the one that `gvcodec.demo` draws.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import gvcodec
from eval.tools import EvalError
from gvcodec import demo

Frames = list[NDArray[np.uint8]]

#: Slow presets of both: nobody codes a picture for a page in real time.
_PEERS = {
    "x265, preset slow": ("libx265", {"preset": "slow", "x265-params": "log-level=none:keyint=-1"}),
    "SVT-AV1, preset 4": ("libsvtav1", {"preset": "4", "svtav1-params": "keyint=-1"}),
}
#: Ends of the CRF scale: x265's coarsest is 51.
_FINEST, _COARSEST, _STEPS = 10.0, {"libx265": 51.0, "libsvtav1": 63.0}, 7
#: So much more than ours a peer may have.
_SLACK = 1.02
_LABEL = 18
_MOST_BYTES = 1_000_000


def peer(name: str, frames: Frames, rate: Fraction, crf: float) -> tuple[int, Frames]:
    """Bytes of the packets at a CRF, and decoded frames."""
    library, options = _PEERS[name]
    height, width = frames[0].shape[:2]
    encoder = av.CodecContext.create(library, "w")
    encoder.width, encoder.height, encoder.framerate, encoder.time_base = width, height, rate, 1 / rate
    encoder.pix_fmt = "yuv420p10le"
    encoder.thread_count = 1
    encoder.options = options | {"crf": f"{crf:.2f}" if library == "libx265" else str(round(crf))}
    packets = []
    for number, image in enumerate([*frames, None]):
        frame = None
        if image is not None:
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p10le", dst_colorspace="itu709")
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
    """What has the most bytes that are not more than `size` by `_SLACK`, by bisection of CRF; the
    coarsest where there is nothing."""
    low, high = _FINEST, coarsest
    best = coded(high)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        found = coded(middle)
        if found[0] <= _SLACK * size:
            best, high = max(best, found, key=lambda pair: pair[0]), middle
        else:
            low = middle
    return best


def grid(panels: Sequence[tuple[str, Frames]]) -> Iterator[Image.Image]:
    """Pictures of two columns, each panel under its name."""
    height, width = panels[0][1][0].shape[:2]
    font = ImageFont.load_default(13)
    rows = -(-len(panels) // 2)
    for number in range(len(panels[0][1])):
        sheet = Image.new("RGB", (2 * width + 4, rows * (height + _LABEL)), "white")
        draw = ImageDraw.Draw(sheet)
        for place, (name, frames) in enumerate(panels):
            x, y = place % 2 * (width + 4), place // 2 * (height + _LABEL)
            draw.text((x + 3, y + 1), name, "black", font)
            sheet.paste(Image.fromarray(frames[number]), (x, y + _LABEL))
        yield sheet


def make(output: Path, video: Path | None, q: float, tune_steps: int) -> list[str]:
    """Write the picture; a line for each panel."""
    if video is None:
        frames, rate = list(demo.frames()), demo.RATE
    else:
        with av.open(str(video)) as container:
            rate = container.streams.video[0].average_rate or Fraction(25)
            frames = [f.to_ndarray(format="rgb24") for _, f in zip(range(48), container.decode(video=0), strict=False)]
    data = gvcodec.encode(frames, frame_rate=rate, q=q, tune=None, tune_steps=tune_steps, threads=1)
    ours = list(gvcodec.decode(data, threads=1))
    panels = [("source", frames), (f"gvcodec, painted: {len(data):,} bytes", ours)]
    for name in _PEERS:
        coarsest = _COARSEST[_PEERS[name][0]]
        size, shown = nearest(lambda crf, n=name: peer(n, frames, rate, crf), len(data), coarsest)
        if size > _SLACK * len(data):
            raise EvalError(f"{name}: {size} bytes at its coarsest, gvcodec has {len(data)}: a finer -q compares")
        if len(shown) != len(frames):
            raise EvalError(f"{name}: {len(shown)} of {len(frames)} frames")
        panels.append((f"{name}: {size:,} bytes", shown))
    sheets = list(grid(panels))
    for quality in range(85, 20, -10):
        stream = io.BytesIO()
        pause = round(1000 / rate)
        sheets[0].save(stream, "WEBP", save_all=True, append_images=sheets[1:], duration=pause, loop=0, quality=quality, method=4)
        if stream.tell() <= _MOST_BYTES:
            break
    output.write_bytes(stream.getvalue())
    return [name for name, _ in panels] + [f"{output}: {stream.tell():,} bytes at quality {quality}"]

