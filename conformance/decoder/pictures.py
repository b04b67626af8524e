"""Pictures of reals, maps of squares, cosine transforms (Latent tokens: Frames)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

Array = np.ndarray
Picture = list[Array]  # luma, U, V of whole windows, 0…1


def maps(picture: Picture, n: int) -> Array:
    """S_n: maps of n × n squares of luma, then of U and V."""
    found = []
    for plane, side in zip(picture, (n, n // 2, n // 2), strict=True):
        h, w = (size // side for size in plane.shape)
        parts = plane.reshape(h, side, w, side).transpose(1, 3, 0, 2)
        found.append(parts.reshape(side * side, h, w))
    return np.concatenate(found)


def from_maps(x: Array, n: int) -> Picture:
    h, w = x.shape[1:]
    found, at = [], 0
    for side in (n, n // 2, n // 2):
        part = x[at : at + side * side].reshape(side, side, h, w)
        found.append(part.transpose(2, 0, 3, 1).reshape(h * side, w * side))
        at += side * side
    return found


def each(function: Callable[..., Array], *pictures: list) -> Picture:
    return [function(*planes) for planes in zip(*pictures, strict=True)]


def spread(x: Array, side: int) -> Array:
    """Each place of a map as a square."""
    return x.repeat(side, -2).repeat(side, -1)


def smooth(x: Array, shape: tuple[int, ...]) -> Array:
    """A map of places as a plane, by bilinear interpolation."""
    for axis, size in enumerate(shape):
        places = x.shape[axis]
        at = ((np.arange(size) + 0.5) * places / size - 0.5).clip(0, places - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = (low + 1).clip(None, places - 1)
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def of_windows(x: Array, grid: tuple[int, int]) -> Array:
    """A map [..., rows, columns] as [windows, places of each, ...]."""
    side = x.shape[-2] // grid[0]
    x = x.reshape(-1, grid[0], side, grid[1], side).transpose(1, 3, 2, 4, 0)
    return x.reshape(grid[0] * grid[1], side * side, -1)


def to_map(x: Array, grid: tuple[int, int]) -> Array:
    """[windows, places, n] as maps [n, rows, columns]."""
    side = int(x.shape[1] ** 0.5)
    x = x.reshape(*grid, side, side, -1).transpose(4, 0, 2, 1, 3)
    return x.reshape(-1, grid[0] * side, grid[1] * side)


@cache
def cosines(size: int) -> Array:
    """Rows are the orthonormal cosines of a size."""
    k, n = np.arange(size)[:, None], np.arange(size)
    rows = np.cos(np.pi * (n + 0.5) * k / size) * np.sqrt(2 / size)
    rows[0] /= np.sqrt(2)
    return rows


def inverse(coefficients: Array, size: int) -> Array:
    """[..., rows, columns] lowest coefficients as samples."""
    rows, columns = coefficients.shape[-2:]
    return cosines(size)[:rows].T @ coefficients @ cosines(size)[:columns]


def forward(x: Array, count: int) -> Array:
    """The lowest count × count coefficients of [..., size, size]."""
    c = cosines(x.shape[-1])[:count]
    return c @ x @ c.T


def tiles(plane: Array, side: int) -> Array:
    """[rows, columns, side, side]"""
    h, w = (size // side for size in plane.shape)
    return plane.reshape(h, side, w, side).swapaxes(1, 2)


def untiled(x: Array) -> Array:
    h, w, side, _ = x.shape
    return x.swapaxes(1, 2).reshape(h * side, w * side)


def regions(x: Array, grid: tuple[int, int]) -> Array:
    """[windows, 16 regions, ...] as [rows, columns, ...] of regions of the picture."""
    x = x.reshape(*grid, 4, 4, *x.shape[2:])
    return x.swapaxes(1, 2).reshape(4 * grid[0], 4 * grid[1], *x.shape[4:])
