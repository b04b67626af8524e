"""`python -m eval failures OUT.webp VIDEO …`: parts of videos that painting moves away from their
source, as the model card shows them: source, base frame, painted.

One frame of each video is cut into squares; the squares whose PSNR falls most from base frame to
painted frame are shown, with their LPIPS-Alex. Flat squares are left out.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import gvcodec
from eval import metrics
from eval.metrics.pixel import psnr
from eval.report.panels import LABEL, rgb_frames
from eval.tools import EvalError

#: Samples of a side, shown twice as large; the frame; least contrast (8 bits) of a part.
_SIDE, _ZOOM, _FRAME, _LEAST_CONTRAST = 128, 2, 8, 12.0
_MOST_BYTES = 120_000

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """A square of source, base frame and painted frame."""

    name: str
    pictures: Sequence[Picture]

    @property
    def loss(self) -> float:
        """Decibels of PSNR that painting costs."""
        return self.psnr(1) - self.psnr(2)

    def psnr(self, number: int) -> float:
        return psnr(self.pictures[number], self.pictures[0], 255)

    def lpips(self, number: int) -> float:
        import torch

        network = metrics.network("lpips_alex", "cpu")
        parts = (self.pictures[n].transpose(2, 0, 1)[None] for n in (number, 0))
        with torch.inference_mode():
            return float(network(*(torch.from_numpy(np.float32(part) / 255) for part in parts)))


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("output", type=Path, metavar="OUT.webp")
    add("videos", type=Path, nargs="+", metavar="VIDEO")
    add("-q", type=float, default=50, help="quality of gvcodec (50)")
    add("--each", type=int, default=1, help="parts of each video (1)")


def run(options: argparse.Namespace) -> None:
    metrics.need(["lpips_alex"])
    parts = [
        part for video in options.videos for part in find_worst(video, options.q)[: options.each]
    ]
    write(parts, options.output)
    for part in parts:
        figures = ", ".join(
            f"{part.psnr(n):.2f} dB, LPIPS-Alex {part.lpips(n):.4f}" for n in (1, 2)
        )
        print(f"{part.name}: {figures}")


def find_worst(video: Path, q: float) -> list[Part]:
    """Parts of a video, in order of the harm that painting does."""
    frames, rate = rgb_frames(video, _FRAME + 1)
    data = gvcodec.encode(frames, frame_rate=rate, q=q, base="av1", threads=1)
    decoded = [list(gvcodec.decode(data, fidelity=only))[_FRAME] for only in (True, False)]
    parts = _cut([frames[_FRAME], *decoded], video.stem)
    return sorted(parts, key=lambda part: -part.loss)


def _cut(pictures: Sequence[Picture], name: str) -> Iterator[Part]:
    height, width = pictures[0].shape[:2]
    for y in range(0, height - _SIDE + 1, _SIDE):
        for x in range(0, width - _SIDE + 1, _SIDE):
            parts = [picture[y : y + _SIDE, x : x + _SIDE] for picture in pictures]
            if parts[0].mean(2).std() >= _LEAST_CONTRAST:
                yield Part(f"{name}, {x},{y}", parts)


def write(parts: Sequence[Part], output: Path) -> None:
    """A row for each part. Raises `EvalError` where no quality of WebP is small enough."""
    side, gap = _ZOOM * _SIDE, 4
    row = side + LABEL + gap
    sheet = Image.new("RGB", (3 * (side + gap) - gap, row * len(parts) - gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, part in enumerate(parts):
        labels = (
            part.name,
            *(f"{n} {part.psnr(i):.1f} dB" for i, n in ((1, "base"), (2, "painted"))),
        )
        for place, (label, picture) in enumerate(zip(labels, part.pictures, strict=True)):
            at = place * (side + gap), number * row
            draw.text((at[0] + 3, at[1] + 1), label, "black", font)
            large = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
            sheet.paste(large, (at[0], at[1] + LABEL))
    for quality in (90, 80, 70, 60):
        stream = io.BytesIO()
        sheet.save(stream, "WEBP", quality=quality, method=6)
        if stream.tell() <= _MOST_BYTES:
            output.write_bytes(stream.getvalue())
            return
    raise EvalError(f"{output}: {stream.tell():,} bytes at the least: fewer parts")
