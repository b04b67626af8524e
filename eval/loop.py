"""`python -m eval loop OUT.webp`: a clip, ours, x265 and SVT-AV1 at equal bytes, side by side,
again and again.

Needs no clip from elsewhere: without `--video` it is the one that `gvcodec.demo` draws.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

import gvcodec
from eval.panels import LABEL, Frames, of_peers
from eval.tools import EvalError
from gvcodec import demo

#: A page loads it at once.
_MOST_BYTES = 600_000
#: Every so many frames, and WebP's quality: a coarser one would hide what is compared.
_SAVINGS = ((1, 85), (1, 75), (2, 85), (2, 75), (3, 75), (4, 70))


def grid(panels: Sequence[tuple[str, Frames]]) -> Iterator[Image.Image]:
    """Pictures of two columns, each panel under its name."""
    height, width = panels[0][1][0].shape[:2]
    font = ImageFont.load_default(13)
    rows = -(-len(panels) // 2)
    for number in range(len(panels[0][1])):
        sheet = Image.new("RGB", (2 * width + 4, rows * (height + LABEL)), "white")
        draw = ImageDraw.Draw(sheet)
        for place, (name, frames) in enumerate(panels):
            x, y = place % 2 * (width + 4), place // 2 * (height + LABEL)
            draw.text((x + 3, y + 1), name, "black", font)
            sheet.paste(Image.fromarray(frames[number]), (x, y + LABEL))
        yield sheet


def make(output: Path, video: Path | None, q: float, fit_steps: int) -> list[str]:
    """Write the picture; a line for each panel."""
    if video is None:
        frames, rate = list(demo.frames()), demo.RATE
    else:
        with av.open(str(video)) as container:
            rate = container.streams.video[0].average_rate or Fraction(25)
            frames = [
                f.to_ndarray(format="rgb24")
                for _, f in zip(range(48), container.decode(video=0), strict=False)
            ]
    data = gvcodec.encode(frames, frame_rate=rate, q=q, fit=None, fit_steps=fit_steps, threads=1)
    ours = list(gvcodec.decode(data, threads=1))
    panels = [("source", frames), (f"gvcodec, painted: {len(data):,} bytes", ours)]
    for name, (size, shown) in of_peers(frames, rate, len(data)).items():
        panels.append((f"{name}: {size:,} bytes", shown))
    sheets = list(grid(panels))
    for every, quality in _SAVINGS:
        stream, shown = io.BytesIO(), sheets[::every]
        shown[0].save(
            stream,
            "WEBP",
            save_all=True,
            append_images=shown[1:],
            duration=round(1000 * every / rate),
            loop=0,
            quality=quality,
            method=4,
        )
        if stream.tell() <= _MOST_BYTES:
            output.write_bytes(stream.getvalue())
            size = f"{stream.tell():,} bytes, {len(shown)} frames at quality {quality}"
            return [*(name for name, _ in panels), f"{output}: {size}"]
    raise EvalError(f"{output}: {stream.tell():,} bytes at the least: a smaller --video")
