"""Text in painted pictures: `python -m eval.experiments.text_regions --camera CLIP --film CLIP`.

Makes three clips of 848×480: a slide with a camera picture in its corner, a film with burnt-in
captions, a drawing with a sign. Each is coded near `--rate` bits a second (bisection of `q`,
unpainted) and shown as base frames, painted by default, and with tokens, where regions of text can
show base frames. Rows go to docs/data/text-regions.csv: bytes, share of the regions that are not
painted, PSNR-Y of the boxes of text and of the rest, LPIPS-Alex of every 12th frame. `--keep`
writes enlarged crops. Raises EvalError where a clip cannot be read.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eval.experiments.slides import as_rgb
from eval.quick import narrow, read, wide
from eval.tools import append_rows
from gvcodec import perceptual
from gvcodec.api.decoded_frames import decode_planes
from gvcodec.bitstream import Kind
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.opening import open_reader
from gvcodec.painter.payload import IDENTITY, split_extras
from gvcodec.painter.unpainted_regions import unpack_regions
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.colour import known_colour

OUTPUT = Path("docs/data/text-regions.csv")
FIELDS = (
    *("clip", "variant", "q", "bytes", "kbit_s", "unpainted_share"),
    *("text_psnr_y", "other_psnr_y", "lpips_alex"),
)
SIZE = 848, 480
FRAMES, RATE = 48, Fraction(25)
#: Left, top, right, bottom of text in luma samples.
Box = tuple[int, int, int, int]
#: Variants by name: options of the encoder, and whether base frames are shown.
VARIANTS: dict[str, tuple[dict[str, Any], bool]] = {
    "base": ({}, True),
    "painted whole": ({"fit": 0}, False),
    "default": ({}, False),
    "tokens": ({"tokens": "on"}, False),
}


@dataclass(frozen=True)
class TextClip:
    """Frames in 8 bits, and the boxes of text in all of them."""

    name: str
    frames: list[Planes]
    boxes: list[Box]


def to_planes(picture: Image.Image) -> Planes:
    """BT.601, limited range, of a picture in RGB."""
    y, *colours = (np.asarray(part, np.float64) for part in picture.convert("YCbCr").split())
    height, width = y.shape
    halves = (c.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for c in colours)
    u, v = (np.rint(128 + (c - 128) * 224 / 255).astype(np.uint8) for c in halves)
    return np.rint(16 + y * 219 / 255).astype(np.uint8), u, v


def to_picture(planes: Planes) -> Image.Image:
    """RGB of a frame in 8 bits."""
    y, u, v = (plane.astype(np.float64) for plane in planes)
    luma = (y - 16) * 255 / 219
    colours = [(128 + (c - 128) * 255 / 224).repeat(2, 0).repeat(2, 1) for c in (u, v)]
    stacked = np.stack([luma, *colours], 2).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(stacked, "YCbCr").convert("RGB")


def read_picture(path: Path, size: tuple[int, int]) -> list[Image.Image]:
    """The first frames of a clip at a size, its shorter axis cropped."""
    frames, fmt = read(path, 2.0 * SIZE[0] * SIZE[1], FRAMES)
    width, height = size
    scale = max(width / fmt.width, height / fmt.height)
    whole = round(fmt.width * scale), round(fmt.height * scale)
    left, top = (whole[0] - width) // 2, (whole[1] - height) // 2
    box = left, top, left + width, top + height
    return [to_picture(f).resize(whole, Image.Resampling.LANCZOS).crop(box) for f in frames]


def slide_with_camera(camera: Path) -> TextClip:
    picture = Image.new("RGB", SIZE, (248, 248, 244))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, SIZE[0], 64), fill=(30, 60, 120))
    draw.text(
        (28, 14), "Autoregressive entropy models", font=ImageFont.load_default(30), fill="white"
    )
    font = ImageFont.load_default(17)
    for line in range(8):
        words = f"{line + 1}. Symbols cost what their tables say; no table"
        draw.text((40, 92 + 44 * line), words, font=font, fill=(20, 20, 20))
    corner = SIZE[0] - 300, SIZE[1] - 236
    frames = []
    for face in read_picture(camera, (280, 216)):
        frame = picture.copy()
        frame.paste(face, corner)
        frames.append(to_planes(frame))
    boxes = [(28, 14, 480, 52)] + [(40, 92 + 44 * n, 440, 114 + 44 * n) for n in range(8)]
    return TextClip("slide with a camera", frames, boxes)


def film_with_captions(film: Path) -> TextClip:
    captions = ("Nobody reads the tables,", "but everybody pays for them.")
    font, frames = ImageFont.load_default(30), []
    box = 200, 410, SIZE[0] - 200, 456
    for number, picture in enumerate(read_picture(film, SIZE)):
        words = captions[number * len(captions) // FRAMES]
        draw = ImageDraw.Draw(picture)
        draw.text(
            (SIZE[0] // 2, 432),
            words,
            font=font,
            fill="white",
            anchor="mm",
            stroke_width=2,
            stroke_fill="black",
        )
        frames.append(to_planes(picture))
    return TextClip("film with captions", frames, [box])


def drawing() -> TextClip:
    """A hill, a house with a sign, a figure that walks, clouds that drift; outlines in black."""
    frames, sign = [], (520, 196, 760, 240)
    for number in range(FRAMES):
        picture = Image.new("RGB", SIZE, (150, 205, 240))
        draw = ImageDraw.Draw(picture)
        for cloud in range(3):
            left = 80 + 250 * cloud + number
            draw.ellipse((left, 40, left + 130, 90), fill="white", outline=(90, 120, 140), width=3)
        draw.ellipse((-200, 300, 700, 900), fill=(120, 185, 90), outline="black", width=4)
        draw.ellipse((400, 340, 1200, 900), fill=(95, 160, 75), outline="black", width=4)
        draw.rectangle((500, 180, 780, 380), fill=(235, 190, 130), outline="black", width=4)
        draw.polygon([(480, 180), (640, 90), (800, 180)], fill=(190, 70, 60), outline="black")
        draw.rectangle(sign, fill=(250, 245, 225), outline="black", width=3)
        words = "BREAD & CAKES  since 1887"
        draw.text((640, 218), words, font=ImageFont.load_default(18), fill="black", anchor="mm")
        for left in (530, 680):
            draw.rectangle(
                (left, 270, left + 70, 340), fill=(110, 160, 200), outline="black", width=3
            )
        x, swing = 90 + 5 * number, round(14 * np.sin(number / 2))
        draw.line([(x, 390), (x - swing, 440)], fill="black", width=7)
        draw.line([(x, 390), (x + swing, 440)], fill="black", width=7)
        draw.rectangle((x - 20, 310, x + 20, 392), fill=(200, 60, 90), outline="black", width=3)
        draw.ellipse((x - 24, 262, x + 24, 312), fill=(250, 220, 190), outline="black", width=3)
        frames.append(to_planes(picture))
    return TextClip("drawing with a sign", frames, [sign])


def encode(clip: TextClip, fmt: VideoFormat, q: float, settings: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    config = EncoderConfig(q=q, threads=1, **settings)
    encode_stream(Encoder(fmt, config), stream, ((wide(planes), None) for planes in clip.frames))
    return stream.getvalue()


def find_q(clip: TextClip, fmt: VideoFormat, rate: float) -> float:
    """The finest whole `q` whose unpainted file at preset 8 has at most `rate` bits a second."""
    low, high, limit = 10, 66, rate * len(clip.frames) / float(RATE) / 8
    settings = {"painter": "off", "scale": Fraction(1), "preset": 8}
    while low < high:
        middle = (low + high) // 2
        if len(encode(clip, fmt, middle, settings)) <= limit:
            high = middle
        else:
            low = middle + 1
    return high


def unpainted_share(data: bytes) -> float:
    """Mean over the `fit` packets of a file of the regions that show base frames."""
    shares = []
    with open_reader(data) as reader:
        fmt = reader.header.format
        for packet in reader.packets():
            if packet.kind is Kind.FIT:
                regions = split_extras(packet.payload)[1].unpainted_regions
                share = float(packet.payload == IDENTITY)
                if regions is not None:
                    share = float(unpack_regions(regions, fmt.height, fmt.width).mean())
                shares.append(share)
    return float(np.mean(shares)) if shares else 0.0


def psnr_of(mask: NDArray[np.bool_], decoded: Sequence[Planes], source: Sequence[Planes]) -> float:
    """PSNR-Y in dB of the samples in `mask` (H, W), all frames together."""
    errors = [
        float(np.mean((a[0][mask].astype(np.float64) - b[0][mask]) ** 2))
        for a, b in zip(decoded, source, strict=True)
    ]
    return float(10 * np.log10(255**2 / max(1e-9, float(np.mean(errors)))))


@torch.inference_mode()
def measure(
    clip: TextClip, fmt: VideoFormat, rate: float, distance: perceptual.Lpips, keep: Path | None
) -> list[list[str]]:
    q, rows, files = find_q(clip, fmt, rate), [], dict[str, bytes]()
    colour = known_colour(fmt.colour, fmt.height)
    mask = np.zeros((fmt.height, fmt.width), np.bool_)
    for left, top, right, bottom in clip.boxes:
        mask[top:bottom, left:right] = True
    frames = range(0, len(clip.frames), 12)
    sources = {n: as_rgb(wide(clip.frames[n]), colour) for n in frames}
    if keep:
        save_crop(clip, clip.frames, keep / f"{clip.name}-source.png")
    for variant, (settings, is_base) in VARIANTS.items():
        key = repr(settings)
        if key not in files:
            files[key] = encode(clip, fmt, q, settings)
        data = files[key]
        decoded = [narrow(planes) for planes in decode_planes(data, fidelity=is_base, threads=1)]
        if keep:
            save_crop(clip, decoded, keep / f"{clip.name}-{variant}.png")
        lpips = [float(distance(as_rgb(wide(decoded[n]), colour), sources[n])) for n in frames]
        share = 1.0 if is_base else unpainted_share(data)
        kbit = 8 * len(data) * float(RATE) / len(decoded) / 1000
        values = (psnr_of(mask, decoded, clip.frames), psnr_of(~mask, decoded, clip.frames))
        numbers = [f"{share:.3f}", *(f"{v:.2f}" for v in values), f"{np.mean(lpips):.4f}"]
        rows.append([clip.name, variant, f"{q:g}", str(len(data)), f"{kbit:.1f}", *numbers])
        print(*rows[-1], flush=True)
    return rows


def save_crop(clip: TextClip, frames: Sequence[Planes], path: Path) -> None:
    """The first box of text and its surroundings in a middle frame, enlarged three times."""
    left, top, _, bottom = clip.boxes[0]
    box = max(0, left - 40), max(0, top - 60), max(0, left - 40) + 400, min(SIZE[1], bottom + 100)
    crop = to_picture(frames[len(frames) // 2 + 3]).crop(box)
    crop.resize((3 * crop.width, 3 * crop.height), Image.Resampling.NEAREST).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--camera", type=Path, help="clip for the slide's corner")
    parser.add_argument("--film", type=Path, help="clip that gets captions")
    parser.add_argument("--clips", nargs="+", default=["slide", "film", "drawing"])
    parser.add_argument("--rate", type=float, default=100_000, help="bits a second (100000)")
    parser.add_argument("--keep", type=Path, help="folder for enlarged crops")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    distance = perceptual.lpips("alex")
    fmt = VideoFormat(*SIZE, RATE, 1 / RATE, 8, Colour(6, 6, 6))
    makers: dict[str, Callable[[], TextClip]] = {
        "slide": lambda: slide_with_camera(options.camera),
        "film": lambda: film_with_captions(options.film),
        "drawing": drawing,
    }
    for name in options.clips:
        rows = measure(makers[name](), fmt, options.rate, distance, options.keep)
        append_rows(options.out, FIELDS, rows)


if __name__ == "__main__":
    main()
