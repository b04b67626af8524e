#!/usr/bin/env python3
"""Writes the clip of demo.sh, 48 frames of 320×192, the same every time: `scripts/demo_clip.py
demo.y4m`.

A camera pans over clouds, mountains, a wood (the "dead leaves" model of natural images: discs with
power-law radii that occlude each other) and a meadow; nearer shapes move faster.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gvcodec.planes import CENTRE, planes_from_rgb, rgb_matrix
from gvcodec.sink.writer import open_writer
from gvcodec.types import Colour, VideoFormat

WIDTH, HEIGHT, FRAMES, RATE = 320, 192, 48, Fraction(24)
_CANVAS = 1024
Image = NDArray[np.float64]


def frames(count: int = FRAMES, step: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Every `step`th of `count` pictures (192, 320, 3), RGB."""
    rng = np.random.default_rng(20)
    clouds, ridge, line = (_fractal(rng, rows, s) for rows, s in ((128, 1.9), (1, 1.6), (1, 1.1)))
    relief = _fractal(rng, 128, 1.8)
    light = (np.roll(relief, 2, 1) - np.roll(relief, -1, 1))[..., None]
    mountains = 0.45 + 0.13 * light + np.array([-0.02, 0.03, 0.12])
    wood = _dead_leaves(rng, 96, 6000)
    grass = np.array([0.30, 0.42, 0.14]) + 0.09 * _fractal(rng, 128, 1.0)[..., None]
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    for number in range(0, count, step):
        cloud = (0.55 * _sample(clouds, 0.7 * y, x + 0.4 * number) + 0.25).clip(0, 1)[..., None]
        sky = np.array([0.5, 0.7, 0.95]) + 0.2 * (y / HEIGHT)[..., None]
        picture = sky * (1 - cloud) + cloud * np.array([0.97, 0.96, 0.94])
        far, near = x + 0.8 * number, x + 1.9 * number
        top = 70 + 17 * _sample(ridge, 0 * y, far)
        picture = _over(picture, _sample(mountains, y, far), y - top)
        top = 100 + 7 * _sample(line, 0 * y, near)
        picture = _over(picture, _sample(wood, (y - top + 4).clip(0, 95), near), y - top)
        depth = (y - 122).clip(0) / (HEIGHT - 122)
        place = (x - WIDTH / 2) / (0.35 + 1.6 * depth) + 200 + 2.6 * number
        ground = _sample(grass, 127 * np.sqrt(depth), place) * (0.85 + 0.3 * depth[..., None])
        picture = _over(picture, ground, y - 122 - 1.5 * np.sin(near / 31))
        picture += rng.normal(0, 0.006, picture.shape[:2])[..., None]
        yield np.round(255 * picture.clip(0, 1)).astype(np.uint8)


def _fractal(rng: np.random.Generator, rows: int, slope: float) -> Image:
    """Noise (rows, _CANVAS) with amplitude 1/f^slope, mean 0 and deviation 1, periodic."""
    spectrum = np.fft.rfft2(rng.normal(size=(rows, _CANVAS)))
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(_CANVAS)[None, :]
    field = np.fft.irfft2(spectrum / (0.004 + np.hypot(fy, fx)) ** slope, s=(rows, _CANVAS))
    return (field - field.mean()) / field.std()


def _dead_leaves(rng: np.random.Generator, rows: int, count: int) -> Image:
    """Discs thrown over each other, each with its own green or brown and a light side."""
    image = np.full((rows, _CANVAS, 3), 0.12)
    for radius in np.sort(1.2 * (1 - rng.random(count)) ** -0.55)[::-1].clip(max=14):
        cy, cx = rng.random() * rows, rng.random() * _CANVAS
        ys = np.arange(max(0, int(cy - radius)), min(rows, int(cy + radius) + 2))
        xs = np.arange(int(cx - radius), int(cx + radius) + 2)
        dy, dx = (ys - cy)[:, None] / radius, (xs - cx)[None, :] / radius
        tone = np.array([0.16, 0.30, 0.09]) * (0.55 + rng.random())
        tone += np.array([0.22, 0.07, 0.0]) * rng.random() ** 3
        shaded = tone * (1 - 0.45 * dy - 0.25 * dx)[..., None]
        block = np.ix_(ys, xs % _CANVAS)
        image[block] = np.where((dy * dy + dx * dx < 1)[..., None], shaded, image[block])
    return image


def _sample(canvas: Image, y: Image, x: Image) -> Image:
    """Canvas (rows, columns[, 3]) at real positions, linear; periodic along x, clamped along y."""
    rows, columns = canvas.shape[:2]
    y = y.clip(0, rows - 1)
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = (part.reshape(*part.shape, *[1] * (canvas.ndim - 2)) for part in (y - y0, x - x0))
    y1, x0, x1 = (y0 + 1).clip(max=rows - 1), x0 % columns, (x0 + 1) % columns
    upper = canvas[y0, x0] * (1 - fx) + canvas[y0, x1] * fx
    return upper * (1 - fy) + (canvas[y1, x0] * (1 - fx) + canvas[y1, x1] * fx) * fy


def _over(picture: Image, layer: Image, depth: Image) -> Image:
    """Layer over the picture where depth > 0, with a soft edge of one pixel."""
    cover = (depth + 0.5).clip(0, 1)[..., None]
    return picture * (1 - cover) + layer * cover


def main() -> None:
    colour = Colour(matrix=rgb_matrix(HEIGHT), chroma_location=CENTRE)
    form = VideoFormat(WIDTH, HEIGHT, RATE, 1 / RATE, 8, colour)
    with open_writer(sys.argv[1], form, overwrite=True) as writer:
        for number, image in enumerate(frames()):
            writer.write(planes_from_rgb(image), number)


if __name__ == "__main__":
    main()
