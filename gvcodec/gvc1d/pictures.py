"""Frames as whole windows of 256×256 luma samples, and back."""

from __future__ import annotations

import numpy as np

from gvcodec.types import Plane, Planes, VideoFormat, chroma_shape

WINDOW, _REGION = 256, 16


def padded_size(fmt: VideoFormat) -> tuple[int, int]:
    """Height and width in whole windows."""
    return fmt.height + -fmt.height % WINDOW, fmt.width + -fmt.width % WINDOW


def pad(planes: Planes, size: tuple[int, int]) -> Planes:
    """To whole windows. The edge goes on up to the end of its region; regions beyond are flat, so
    that they take few bits."""
    y, u, v = planes
    half = chroma_shape(*size)
    return (_pad(y, size, _REGION), _pad(u, half, _REGION // 2), _pad(v, half, _REGION // 2))


def crop(planes: Planes, fmt: VideoFormat) -> Planes:
    h, w = chroma_shape(fmt.height, fmt.width)
    y, u, v = planes
    return (
        np.ascontiguousarray(y[: fmt.height, : fmt.width]),
        np.ascontiguousarray(u[:h, :w]),
        np.ascontiguousarray(v[:h, :w]),
    )


def _pad(plane: Plane, size: tuple[int, int], region: int) -> Plane:
    h, w = plane.shape
    near = -h % region, -w % region
    whole = np.pad(plane, ((0, near[0]), (0, near[1])), mode="edge")
    rows, columns = size[0] - whole.shape[0], size[1] - whole.shape[1]
    if columns:
        edge = whole[:, -region:].reshape(-1, region * region).mean(1)
        beyond = edge.round().astype(plane.dtype).repeat(region)[:, None]
        whole = np.concatenate([whole, beyond.repeat(columns, 1)], 1)
    if rows:
        edge = whole[-region:].reshape(region, -1, region).mean((0, 2))
        beyond = edge.round().astype(plane.dtype).repeat(region)[None]
        whole = np.concatenate([whole, beyond.repeat(rows, 0)])
    return np.ascontiguousarray(whole)
