"""NumPy oracle of the frames of base motion (`csrc/motion_tree/frame.*`, `compensation.*`): where cells lie in the
standard pictures, and the samples that motion compensation makes of that. Written for reading, cell
by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Planes

WINDOW, CELL, UNIT, BEYOND = 256, 4, 2, 16
INNER, LEAF = 30, 11
LUMA = ((0, 0, 64, 0, 0, 0), (2, -9, 58, 17, -4, 0), (2, -9, 39, 39, -9, 2), (0, -4, 17, 58, -9, 2))
CHROMA = ((0, 64, 0, 0), (-4, 62, 6, 0), (-5, 55, 15, -1), (-5, 46, 25, -2), (-4, 36, 36, -4))
CHROMA += ((-2, 25, 46, -5), (-1, 15, 55, -5), (0, 6, 62, -4))
Integers = NDArray[np.int64]


@dataclass
class Frame:
    """`pictures`: the standard ones, A and B or None; of each cell (rows, columns) `comes` says from
    which it comes (bits 1 and 2), `place` (2, rows, columns, 2) where it lies there, (dx, dy) in
    quarter luma samples; `planes` are its samples."""

    pictures: list[Planes | None]
    comes: Integers
    place: Integers
    planes: Planes

    @staticmethod
    def still(planes: Planes, picture: int) -> Frame:
        height, width = planes[0].shape
        cells = -(-height // CELL), -(-width // CELL)
        pictures: list[Planes | None] = [None, None]
        pictures[picture] = planes
        comes = np.full(cells, 1 << picture)
        return Frame(pictures, comes, np.zeros((2, *cells, 2), int), planes)


def scaled(v: Integers, near: int, far: int) -> Integers:
    """A vector over `near` frames as one over `far`, whole steps, halves away from zero."""
    product = v // UNIT * far * np.sign(near)
    size = (2 * abs(product) + abs(near)) // (2 * abs(near))
    return np.sign(product) * size * UNIT


def regions() -> list[tuple[int, int, int, int]]:
    """Top, left, height, width of nodes 0…127, 0 like 1."""
    found = [(0, 0, WINDOW, WINDOW)] * 2
    for node in range(2, 128):
        top, left, h, w = found[node // 2]
        if w >= h:
            found.append((top, left + node % 2 * (w // 2), h, w // 2))
        else:
            found.append((top + node % 2 * (h // 2), left, h // 2, w))
    return found


def motion(values: Integers, near: int, far: int) -> list[tuple[int, Integers]]:
    """(source, vector) of the 64 quarters of a window."""
    nodes = [np.zeros(2, int)]
    for k in range(1, 16):
        around = nodes[k // 2] if k > 1 else np.zeros(2, int)
        nodes.append(around + UNIT * values[2 * (k - 1) : 2 * k])
    found = []
    for k in range(16, 32):
        leaf = values[INNER + (k - 16) * LEAF :][:LEAF]
        source = int(leaf[0]) if far else 0
        around = scaled(nodes[k // 2], near, far) if source == 2 else nodes[k // 2]
        for q in range(4):
            found.append((source, around + UNIT * (leaf[1:3] + leaf[3 + 2 * q : 5 + 2 * q])))
    return found


def follow(
    near: Frame, far: Frame | None, times: tuple[int, int], values: Integers, levels: Integers
) -> Frame:
    """The frame of `values` (N, 206)."""
    height, width = near.planes[0].shape
    comes, place = near.comes.copy(), near.place.copy()
    rows, columns = comes.shape
    across = -(-width // WINDOW)
    for window in np.flatnonzero(levels):
        vectors = motion(values[window].astype(int), *times)
        top, left = (int(x) * WINDOW // CELL for x in divmod(int(window), across))
        for (y, x, h, w), (source, v) in zip(regions()[64:], vectors, strict=True):
            uses = [] if source == 2 else [(near, v)]
            if source:
                uses.append((far, v if source == 2 else scaled(v, *times)))
            for r in range(top + y // CELL, min(top + (y + h) // CELL, rows)):
                for c in range(left + x // CELL, min(left + (x + w) // CELL, columns)):
                    comes[r, c], place[:, r, c] = moved(uses, r, c, width, height)
    pictures = [
        near.pictures[p] if near.pictures[p] is not None else far and far.pictures[p]
        for p in range(2)
    ]
    return Frame(pictures, comes, place, compensated(pictures, comes, place, width, height))


def moved(uses, row: int, column: int, width: int, height: int):  # type: ignore[no-untyped-def]
    """Where a cell comes from, by the reference frames it uses."""
    found, place = 0, np.zeros((2, 2), int)
    for frame, v in uses:
        rows, columns = frame.comes.shape
        r = min(max((16 * row + 8 + v[1]) >> 4, 0), rows - 1)
        c = min(max((16 * column + 8 + v[0]) >> 4, 0), columns - 1)
        for p in range(2):
            if not frame.comes[r, c] >> p & 1 or found >> p & 1:
                continue
            first = 16 * np.array([column, row])
            at = frame.place[p, r, c] + v
            place[p] = at.clip(
                -4 * BEYOND - first, 4 * (np.array([width, height]) + BEYOND) - first
            )
            found |= 1 << p
    return found, place


def compensated(pictures, comes, place, width: int, height: int) -> Planes:  # type: ignore[no-untyped-def]
    out = []
    for plane in range(3):
        shape = ((height + 1) // 2, (width + 1) // 2) if plane else (height, width)
        out.append(_plane(pictures, comes, place, plane, shape))
    return tuple(out)  # type: ignore[return-value]


def _plane(pictures, comes, place, plane: int, shape: tuple[int, int]):  # type: ignore[no-untyped-def]
    """Each sample by the cells around it, shares of eighths (luma) or quarters (chroma) an axis."""
    side, bits = (2, 3) if plane else (4, 2)
    rows, columns = comes.shape
    total = np.zeros((rows * side, columns * side), np.int64)
    one = 2 * side
    shares = [abs(2 * at + 1 - side) for at in range(side)]  # of the neighbour
    for y in range(rows * side):
        for x in range(columns * side):
            near_y = y // side + (1 if y % side >= side // 2 else -1)
            near_x = x // side + (1 if x % side >= side // 2 else -1)
            for r, high in ((y // side, one - shares[y % side]), (near_y, shares[y % side])):
                for c, wide in ((x // side, one - shares[x % side]), (near_x, shares[x % side])):
                    cell = min(max(r, 0), rows - 1), min(max(c, 0), columns - 1)
                    found = [
                        _fetched(pictures[p][plane], x, y, place[p][cell], bits)
                        for p in range(2)
                        if comes[cell] >> p & 1
                    ]
                    value = found[0] if len(found) == 1 else (found[0] + found[1] + 1) >> 1
                    total[y, x] += high * wide * value
    shift = 4 + (4 if plane else 6)
    whole = ((total + (1 << (shift - 1))) >> shift).clip(0, 1023)
    return whole[: shape[0], : shape[1]].astype(np.uint16)


def _fetched(samples, x: int, y: int, place, bits: int) -> int:  # type: ignore[no-untyped-def]
    """16 times the sample at a place, edges repeated."""
    table = LUMA if bits == 2 else CHROMA
    mask, before = (1 << bits) - 1, len(table[0]) // 2 - 1
    across, down = table[place[0] & mask], table[place[1] & mask]
    left, top = x + (int(place[0]) >> bits) - before, y + (int(place[1]) >> bits) - before
    columns = np.arange(left, left + len(across)).clip(0, samples.shape[1] - 1)
    lines = np.arange(top, top + len(down)).clip(0, samples.shape[0] - 1)
    mid = (samples[np.ix_(lines, columns)].astype(int) @ np.array(across)) >> 2
    return int(mid @ np.array(down)) >> 6
