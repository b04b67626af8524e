"""Energies of a picture's detail, by bands in patches: what the encoder of tokens sees of it, and
by what painted detail is compared with that of the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Plane

Floats = NDArray[np.float32]
#: Side of a patch.
PATCH = 16
#: Bands are cut here, in quarter codes.
BAND = 1023.0
_SMOOTH = (1, 4, 6, 4, 1)


def _filter(x: Floats, taps: Sequence[int], axis: int, step: int = 1) -> Floats:
    """Edges repeated, centred, taps `step` samples apart."""
    reach = len(taps) // 2 * step
    pads = [(reach, reach) if n == axis else (0, 0) for n in range(2)]
    padded, size = np.pad(x, pads, "edge"), x.shape[axis]
    result = np.zeros_like(x)
    for place, tap in enumerate(taps):
        part = slice(place * step, place * step + size)
        shifted = padded[part] if axis == 0 else padded[:, part]
        if tap:
            result += shifted if tap == 1 else np.float32(tap) * shifted
    return result


def _bands(x: Floats, step: int = 1, fine: bool = False) -> tuple[Floats, Floats]:
    """N, P, Q (3, H, W) and low (H, W) of docs/spec/painter.md, not rounded."""
    scale = 4.0 if fine else 16.0
    down, along = (_filter(x, _SMOOTH, axis, step) / scale for axis in (0, 1))
    low = (_filter(down, _SMOOTH, 1, step) / 16).astype(np.float32)
    diagonal = -_filter(_filter(x, (-1, 0, 1), 0, step), (-1, 0, 1), 1, step)
    quarter = 4 * x if fine else x
    bands = np.stack([quarter - low, down - along, diagonal if fine else diagonal / 4])
    return np.clip(bands, -BAND, BAND).astype(np.float32), low


def _decimate(x: Floats) -> Floats:
    """[1 3 3 1] both ways, at half size, in quarter codes."""
    for axis, divisor in ((0, 2.0), (1, 8.0)):
        pads = [(1, 1) if n == axis else (0, 0) for n in range(2)]
        padded, size = np.pad(x, pads, "edge"), x.shape[axis]
        places = [slice(place, place + size - 1, 2) for place in range(4)]
        parts = [padded[part] if axis == 0 else padded[:, part] for part in places]
        x = (parts[0] + 3 * parts[1] + 3 * parts[2] + parts[3]) / divisor
    return x


def pool_squares(x: Floats, side: int) -> Floats:
    """Means of squares of `side` samples; what sticks out is left out."""
    height, width = (n // side * side for n in x.shape[-2:])
    return mean_squares(x[..., :height, :width], side)


def mean_squares(x: Floats, side: int) -> Floats:
    """Over squares, of planes of whole ones."""
    height, width = x.shape[-2:]
    split = x.reshape(*x.shape[:-2], height // side, side, width // side, side)
    means: Floats = split.mean(-1).mean(-2)
    return means


def energies(luma: Plane) -> Floats:
    """log2 of the energies of N, P, Q in three scales of patches, (9, H / 16, W / 16), in 1/8;
    sides are multiples of 16."""
    codes = luma.astype(np.float32)
    fine, _ = _bands(codes, fine=True)
    second, low = _bands(_decimate(codes))
    third, _ = _bands(low, 2)
    parts = [(fine, PATCH), (second, PATCH // 2), (third, PATCH // 2)]
    patch_energies = np.concatenate([pool_squares(np.square(bands), side) for bands, side in parts])
    logs: Floats = np.log2(patch_energies + 4) / 8
    return logs


def pad_to_patches(plane: Plane) -> Plane:
    """To whole patches, edges repeated."""
    below, right = (-n % PATCH for n in plane.shape)
    return np.pad(plane, ((0, below), (0, right)), "edge")
