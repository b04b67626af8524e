"""Regions of 64×64 luma samples that show base frames in a GOP whose other regions are painted:
text, captions, logos. Their bytes in a `fit` packet have one bit for each region, in rows, the
lowest bit of a byte first (docs/spec/fit.md, format 1.1). Raises `DamagedStreamError` for bytes
that do not fit the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import DamagedStreamError
from gvcodec.painter.token_coding import REGION, grid_of
from gvcodec.types import Planes

Regions = NDArray[np.bool_]


def pack_regions(regions: Regions) -> bytes:
    """(rows, columns) of a picture to bytes."""
    return np.packbits(regions.ravel(), bitorder="little").tobytes()


def unpack_regions(data: bytes, height: int, width: int) -> Regions:
    """Bytes to (rows, columns) of a picture. Raises `DamagedStreamError`."""
    rows, columns = grid_of(height, width)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if len(data) != -(-rows * columns // 8) or bits[rows * columns :].any():
        raise DamagedStreamError(
            "fitted weights: regions that are not painted do not fit", code="fit-payload"
        )
    return bits[: rows * columns].reshape(rows, columns).astype(np.bool_)


def show_base(painted: Planes, base_frame: Planes, regions: Regions) -> Planes:
    """Painted planes of 4:2:0 with the samples of the base frame in `regions` (rows, columns)."""
    planes = []
    for n, (plane, base) in enumerate(zip(painted, base_frame, strict=True)):
        side = REGION // 2 if n else REGION
        mask = regions.repeat(side, 0).repeat(side, 1)[: plane.shape[0], : plane.shape[1]]
        planes.append(np.where(mask, base, plane))
    y, u, v = planes
    return y, u, v
