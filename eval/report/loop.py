"""`python -m eval loop OUT.webp`: a clip of gvcodec, x265 and SVT-AV1 at equal bytes, side by side,
as a picture that repeats. Whole frames are coded; `--crop` shows a part of them.

Without `--video` it is the clip of demo.sh.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import gvcodec
from eval.report.panels import LABEL, Frames, of_peers, rgb_frames
from eval.tools import EvalError

#: A page loads it at once.
_MOST_BYTES = 600_000
#: (frame step, WebP quality) to try in turn; lower qualities would hide the differences.
_SAVINGS = ((1, 85), (1, 75), (2, 85), (2, 75), (3, 75), (4, 70))


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("output", type=Path, metavar="OUT.webp")
    add("--video", type=Path, default=Path("out/demo.y4m"), help="clip to show (out/demo.y4m)")
    add("-q", type=float, default=57, help="quality of gvcodec; the others get its bytes (57)")
    add("--frames", type=int, default=48, help="number of frames (48)")
    add("--crop", type=_crop, metavar="WxH+X+Y", help="part that is shown (all)")


def run(options: argparse.Namespace) -> None:
    print("\n".join(make(options)))


def _crop(text: str) -> tuple[slice, slice]:
    """Rows and columns."""
    width, height, left, top = (int(part) for part in text.replace("x", "+").split("+"))
    return slice(top, top + height), slice(left, left + width)


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


def make(options: argparse.Namespace) -> list[str]:
    """Write the picture; a line for each panel. Raises EvalError where it would be too large."""
    output = options.output
    frames, rate = rgb_frames(options.video, options.frames)
    data = gvcodec.encode(frames, frame_rate=rate, q=options.q, threads=1)
    ours = list(gvcodec.decode(data, threads=1))
    panels = [("source", frames), (f"gvcodec, painted: {len(data):,} bytes", ours)]
    for name, (size, shown) in of_peers(frames, rate, len(data)).items():
        panels.append((f"{name}: {size:,} bytes", shown))
    if options.crop:
        panels = [(name, [frame[options.crop] for frame in shown]) for name, shown in panels]
    sheets = list(grid(panels))
    for every, quality in _SAVINGS:
        stream, shown = io.BytesIO(), sheets[::every]
        moving = {"save_all": True, "append_images": shown[1:], "loop": 0}
        moving["duration"] = round(1000 * every / rate)
        shown[0].save(stream, "WEBP", quality=quality, method=4, **moving)
        if stream.tell() <= _MOST_BYTES:
            output.write_bytes(stream.getvalue())
            size = f"{stream.tell():,} bytes, {len(shown)} frames at quality {quality}"
            return [*(name for name, _ in panels), f"{output}: {size}"]
    raise EvalError(f"{output}: {stream.tell():,} bytes at the least: a smaller --video")
