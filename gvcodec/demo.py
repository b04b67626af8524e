"""A clip to try the codec on, made by arithmetic.

`frames()` gives a landscape that the camera pans over: clouds, mountains, a wood (the "dead leaves"
model of natural images: discs with power-law radii that occlude each other), a meadow in
perspective, a drifting balloon, shadows of clouds.

    python -m gvcodec.demo demo.y4m

writes it; `demo.sh` codes it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import GvcodecError
from gvcodec.media.planes import planes_from_rgb, rgb_matrix
from gvcodec.media.siting import CENTRE
from gvcodec.media.writer import open_writer
from gvcodec.types import Colour, VideoFormat

WIDTH, HEIGHT, FRAMES = 320, 192, 48
RATE = Fraction(24)
_CANVAS = 1024
_SEED = 20

Image = NDArray[np.float64]


def frames(count: int = FRAMES) -> Iterator[NDArray[np.uint8]]:
    """`count` frames (192, 320, 3) uint8, the same every time."""
    scene = _Scene(np.random.default_rng(_SEED))
    for number in range(count):
        yield scene.frame(number)


def clip_format() -> VideoFormat:
    """Format of the clip as 8-bit 4:2:0."""
    return VideoFormat(
        WIDTH, HEIGHT, RATE, 1 / RATE, 8, Colour(matrix=rgb_matrix(HEIGHT), chroma_location=CENTRE)
    )


class _Scene:
    """Canvases wider than the picture, periodic along x, and how they are laid over each other."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._clouds = _fractal(rng, 128, _CANVAS, 1.9, 2.5)
        relief = _fractal(rng, 128, _CANVAS, 1.8, 0.7)
        light = (
            np.roll(relief, 2, axis=1)
            - np.roll(relief, -1, axis=1)
            + np.roll(relief, 1, axis=0)
            - relief
        )
        self._mountains = 0.45 + 0.13 * light[..., None] + np.array([-0.02, 0.03, 0.12])
        self._ridge = 70 + 17 * _fractal(rng, 1, _CANVAS, 1.6, 1.0)[0]
        self._wood = _dead_leaves(rng, 96, _CANVAS, 6000)
        self._wood_line = 100 + 7 * _fractal(rng, 1, _CANVAS, 1.1, 1.0)[0]
        blades = _fractal(rng, 128, _CANVAS, 1.0, 0.35)
        patches = _fractal(rng, 128, _CANVAS, 1.6, 1.5)[..., None]
        self._meadow = (
            np.array([0.30, 0.42, 0.14])
            + 0.09 * blades[..., None] * np.array([1.0, 1.1, 0.6])
            + 0.05 * patches * np.array([1.3, 0.7, 0.3])
        )
        self._shadow = _fractal(rng, 64, _CANVAS, 2.2, 2.0)
        self._y, self._x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)

    def frame(self, number: int) -> NDArray[np.uint8]:
        x, y = self._x, self._y
        height = y / HEIGHT
        cloud = np.clip(0.55 * _sample(self._clouds, y * 0.7, x + 0.4 * number) + 0.25, 0, 1)[
            ..., None
        ]
        sky = (1 - height)[..., None] * np.array([-0.25, -0.12, 0.02]) + np.array(
            [0.72, 0.82, 0.93]
        )
        picture = sky * (1 - cloud) + cloud * np.array([0.97, 0.96, 0.94])

        picture = _balloon(picture, x - 70 - 2.3 * number, y - 46 + 4 * np.sin(number / 9))
        far = x + 0.8 * number
        picture = _over(
            picture, _sample(self._mountains, y, far), y - _sample(self._ridge[None], 0 * y, far)
        )
        near = x + 1.9 * number
        line = _sample(self._wood_line[None], 0 * y, near)
        picture = _over(picture, _sample(self._wood, np.clip(y - line + 4, 0, 95), near), y - line)
        depth = np.maximum(y - 122, 0.0) / (HEIGHT - 122)
        scale = 0.35 + 1.6 * depth
        ground = _sample(
            self._meadow, 127 * np.sqrt(depth), (x - WIDTH / 2) / scale + 200 + 2.6 * number
        )
        picture = _over(
            picture, ground * (0.85 + 0.3 * depth[..., None]), y - 122 - 1.5 * np.sin(near / 31)
        )

        shade = 1 + 0.16 * _sample(self._shadow, 20 + height * 30, 0.5 * x + 2 * number) * np.clip(
            4 * height - 1.6, 0, 1
        )
        grain = self._rng.normal(0, 0.006, picture.shape[:2])
        return np.round(255 * np.clip(picture * shade[..., None] + grain[..., None], 0, 1)).astype(
            np.uint8
        )


def _fractal(
    rng: np.random.Generator, rows: int, columns: int, slope: float, stretch: float
) -> Image:
    """Noise (rows, columns) with amplitude 1/f^slope, mean 0 and deviation 1, periodic; features
    are `stretch` times as wide."""
    spectrum = np.fft.rfft2(rng.normal(size=(rows, columns)))
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :]
    field = np.fft.irfft2(
        spectrum / (0.004 + np.hypot(fy, fx * stretch)) ** slope, s=(rows, columns)
    )
    return (field - field.mean()) / field.std()


def _dead_leaves(rng: np.random.Generator, rows: int, columns: int, count: int) -> Image:
    """Discs with power-law radii thrown over each other, each with its own green or brown and a
    light side."""
    image = np.full((rows, columns, 3), 0.12)
    radii = np.sort(1.2 * (1 - rng.random(count)) ** -0.55)[::-1].clip(max=14)
    for radius in radii:
        cy, cx = rng.random() * rows, rng.random() * columns
        top, left = int(cy - radius), int(cx - radius)
        ys = np.arange(max(0, top), min(rows, int(cy + radius) + 2))
        xs = np.arange(left, int(cx + radius) + 2)
        dy, dx = (ys - cy)[:, None] / radius, (xs - cx)[None, :] / radius
        inside = dy * dy + dx * dx < 1
        tone = (
            np.array([0.16, 0.30, 0.09]) * (0.55 + rng.random())
            + np.array([0.22, 0.07, 0.0]) * rng.random() ** 3
        )
        shaded = tone * (1 - 0.45 * dy - 0.25 * dx)[..., None]
        block = np.ix_(ys, xs % columns)
        image[block] = np.where(inside[..., None], shaded, image[block])
    return image


def _sample(canvas: Image, y: Image, x: Image) -> Image:
    """Canvas (rows, columns[, 3]) at real positions, linear; periodic along x, clamped along y."""
    rows, columns = canvas.shape[:2]
    y = np.clip(y, 0, rows - 1)
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - y0, x - x0
    if canvas.ndim == 3:
        fy, fx = fy[..., None], fx[..., None]
    y1, x0, x1 = np.minimum(y0 + 1, rows - 1), x0 % columns, (x0 + 1) % columns
    upper = canvas[y0, x0] * (1 - fx) + canvas[y0, x1] * fx
    lower = canvas[y1, x0] * (1 - fx) + canvas[y1, x1] * fx
    return upper * (1 - fy) + lower * fy


def _over(picture: Image, layer: Image, depth: Image) -> Image:
    """Layer over the picture where depth > 0, with a soft edge of one pixel."""
    cover = np.clip(depth + 0.5, 0, 1)[..., None]
    return picture * (1 - cover) + layer * cover


def _balloon(picture: Image, x: Image, y: Image) -> Image:
    """A striped balloon with its basket, centred at the origin of x and y."""
    radius = 17.0
    inside = radius - np.hypot(x, y * (1 - 0.18 * np.clip(y / radius, 0, 1)))
    bulge = np.clip(x / np.sqrt(np.maximum(radius**2 - y**2, 1)), -1, 1)
    stripe = (np.floor(4 * np.arcsin(bulge) / np.pi + 4) % 2)[..., None]
    colour = stripe * np.array([0.80, 0.16, 0.12]) + (1 - stripe) * np.array([0.93, 0.80, 0.35])
    light = np.clip(0.95 - 0.35 * x / radius - 0.3 * y / radius, 0.3, 1.2)[..., None]
    basket = np.minimum(3 - np.abs(x), 2.5 - np.abs(y - 25))
    return _over(
        _over(picture, colour * light, inside), np.zeros(3) + np.array([0.35, 0.22, 0.1]), basket
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the clip; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gvcodec.demo", description="write the clip")
    parser.add_argument("output", metavar="OUT", help="video to write, as demo.y4m")
    options = parser.parse_args(arguments)
    try:
        with open_writer(options.output, clip_format(), overwrite=True) as writer:
            for number, image in enumerate(frames()):
                writer.write(planes_from_rgb(image), number)
    except GvcodecError as error:
        print(f"gvcodec: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
