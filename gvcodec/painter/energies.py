"""Energies of a picture's detail, by bands in patches: inputs of the token encoder, and the
comparison of painted detail with the detail of the source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.types import Plane

Floats = NDArray[np.float32]
#: Side of a patch.
PATCH = 16


def pool_squares(x: Floats, side: int) -> Floats:
    """Means of squares of `side` samples, without incomplete squares at the edges."""
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
    sides are multiples of 16. The same on every machine."""
    return _core.band_energies(np.ascontiguousarray(luma))


def pad_to_patches(plane: Plane) -> Plane:
    """Pad to whole patches, edges repeated."""
    below, right = (-n % PATCH for n in plane.shape)
    return np.pad(plane, ((0, below), (0, right)), "edge")
