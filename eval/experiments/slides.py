"""Where painted detail strays from the source's: `python -m eval.experiments.slides CLIP …`.

By default a GOP shows base frames where the energies of its painted detail are more than
`texture_check.MISMATCH_LIMIT` times as far from the source's as those of base frames. For each clip
and quality this measures that ratio, and the effect of painting on PSNR-Y and LPIPS-Alex, on the
last frames of two runs of three, at preset 10; a slide made by hand comes first. Rows go to
docs/data/slides.csv. `--drawn` says instead which clips `drawn_pictures` takes for drawings, by
their fourth frame.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from eval.quick import narrow, read, wide
from eval.tools import append_rows
from gvcodec import perceptual
from gvcodec.base import open_encoder
from gvcodec.base.drawn_pictures import is_drawn
from gvcodec.codec.fidelity import psnr
from gvcodec.config import EncoderConfig
from gvcodec.models import PAINTER
from gvcodec.painter.model import Model, condition, rate
from gvcodec.painter.sample_clips import SampleClips
from gvcodec.painter.texture_check import texture_mismatch
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.colour import known_colour
from gvcodec.util.tensors import to_rgb

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/slides.csv"
FIELDS = ("clip", "q", "ratio", "psnr_y_db", "lpips_alex_base", "lpips_alex_painted")
_FRAMES = 12
_SIZE = 1280, 720


def slide(number: int) -> Planes:
    """A heading, nine lines and a mark that moves, in 8 bits."""
    picture = Image.new("RGB", _SIZE, (250, 250, 245))
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(44), ImageFont.load_default(22)
    draw.rectangle((0, 0, _SIZE[0], 90), fill=(30, 60, 120))
    draw.text((40, 20), "Autoregressive entropy models", font=large, fill="white")
    for line in range(9):
        words = f"* {line + 1}: symbols cost what their tables say, and no table is right for all"
        draw.text((60, 140 + 55 * line), words, font=small, fill=(20, 20, 20))
    draw.line([(900 + 3 * number, 640), (920 + 3 * number, 660)], fill=(200, 0, 0), width=4)
    y, *colours = (np.asarray(part, np.float64) for part in picture.convert("YCbCr").split())
    halves = (c.reshape(_SIZE[1] // 2, 2, _SIZE[0] // 2, 2).mean((1, 3)) for c in colours)
    u, v = (np.rint(128 + (c - 128) * 224 / 255).astype(np.uint8) for c in halves)
    return np.rint(16 + y * 219 / 255).astype(np.uint8), u, v


def base_frames(frames: Sequence[Planes], fmt: VideoFormat, config: EncoderConfig) -> list[Planes]:
    """Base frames in 10 bits, of sources in 8."""
    encoder = open_encoder(fmt, config.resolve())
    coded = [encoder.send(wide(planes), number == 0) for number, planes in enumerate(frames)]
    return [planes for part in (*coded, *encoder.drain()) for planes in part.base_frames]


def as_rgb(planes: Planes, colour: Colour) -> Tensor:
    """RGB of planes of 10 bits, as decoded files show them, (1, 3, H, W)."""
    y, u, v = (torch.from_numpy(plane.astype(np.float32) * 4 / 1023) for plane in narrow(planes))
    return to_rgb(y[None, None], torch.stack([u, v])[None], colour).clamp(0, 1)


@torch.inference_mode()
def measure(
    frames: Sequence[Planes], fmt: VideoFormat, q: float, distance: perceptual.Lpips
) -> list[float]:
    """The ratio, decibels that painting loses, LPIPS-Alex of base frames and painted ones."""
    config = EncoderConfig(q=q, preset=10, threads=1, keyint=0)
    base, sources = base_frames(frames, fmt, config), [wide(planes) for planes in frames]
    settled, model = config.resolve(), Model.load(PAINTER.find())
    stream = condition("av1", settled.scale, int(settled.base_q))
    firsts = (0, len(base) - 3)
    samples = [list(zip(base[n : n + 3], sources[n : n + 3], strict=True)) for n in firsts]
    runs = SampleClips(samples, [[rate(0, fmt.width, fmt.height)] * 3] * len(samples))
    mismatch = texture_mismatch(runs, model, stream)
    colour, rows = known_colour(fmt.colour, fmt.height), []
    for number, sample in enumerate(samples):
        of_base, source = sample[-1]
        painted = runs.paint_one(number, model, stream)[-1]
        lost = psnr(of_base[0], source[0], 1023) - psnr(painted[0], source[0], 1023)
        reference = as_rgb(source, colour)
        distances = [
            float(distance(as_rgb(planes, colour), reference)) for planes in (of_base, painted)
        ]
        rows.append([lost, *distances])
    return [mismatch[0] / mismatch[1], *np.mean(rows, 0).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--q", type=float, nargs="+", default=[40, 52, 62])
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--drawn", action="store_true", help="say which clips are drawn")
    options = parser.parse_args()
    if options.drawn:
        for path in options.clips:
            luma, *_ = wide(read(path, float("inf"), 4)[0][-1])
            print(path.stem, "drawn" if is_drawn(luma) else "camera", flush=True)
        return
    distance = perceptual.lpips("alex")
    fmt = VideoFormat(*_SIZE, Fraction(25), Fraction(1, 25), 8, Colour(1, 1, 1))
    pieces = [("a slide", [slide(n) for n in range(_FRAMES)], fmt)]
    pieces += [(path.stem, *read(path, float("inf"), _FRAMES)) for path in options.clips]
    for name, frames, fmt in pieces:
        for q in options.q:
            values = measure(frames, fmt, q, distance)
            row = [name, f"{q:g}", *(f"{value:.4f}" for value in values)]
            append_rows(options.out, FIELDS, [row])
            print(*row, flush=True)


if __name__ == "__main__":
    main()
