"""Pictures as tensors: 4:2:0 planes in 0…1, their windows and patches.

A picture is luma `[B, 1, H, W]` and chroma `[B, 2, H/2, W/2]`, where 1 is sample 255 of 8 bits
(1020 of the codec's 10). H and W are multiples of the window inside the network (`pad`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec.types import Planes

#: Sample 255 of 8 bits among 10-bit samples.
PEAK = 1020.0


class Picture(NamedTuple):
    """Luma `[B, 1, H, W]` and chroma `[B, 2, H/2, W/2]`, float."""

    y: Tensor
    uv: Tensor

    def __add__(self, other: object) -> Picture:
        assert isinstance(other, Picture)
        return Picture(self.y + other.y, self.uv + other.uv)

    def __sub__(self, other: Picture) -> Picture:
        return Picture(self.y - other.y, self.uv - other.uv)

    def scale_by(self, factor: Tensor | float) -> Picture:
        """`factor`: a number or `[B, 1, 1, 1]`."""
        return Picture(self.y * factor, self.uv * factor)


def grey(batch: int, height: int, width: int, like: Tensor) -> Picture:
    """The initial picture: mid grey."""
    y = like.new_full((batch, 1, height, width), 128 / 255)
    return Picture(y, like.new_full((batch, 2, height // 2, width // 2), 128 / 255))


def from_planes(frames: list[Planes], device: str | torch.device = "cpu") -> Picture:
    """Planes of one size, 10 bits. Odd sizes: chroma decides, luma is repeated at the edge."""
    y = torch.from_numpy(np.stack([f[0] for f in frames]).astype(np.float32) / PEAK)[:, None]
    uv = torch.from_numpy(
        np.stack([np.stack([f[1], f[2]]) for f in frames]).astype(np.float32) / PEAK
    )
    height, width = 2 * uv.shape[2], 2 * uv.shape[3]
    y = F.pad(y, (0, width - y.shape[3], 0, height - y.shape[2]), mode="replicate")
    return Picture(y.to(device), uv.to(device))


def pad(picture: Picture, window: int) -> Picture:
    """Pad to whole windows; the edge is repeated."""
    height, width = picture.y.shape[2:]
    down, right = -height % window, -width % window
    if not down and not right:
        return picture
    y = F.pad(picture.y, (0, right, 0, down), mode="replicate")
    return Picture(y, F.pad(picture.uv, (0, right // 2, 0, down // 2), mode="replicate"))


def crop(picture: Picture, height: int, width: int) -> Picture:
    return Picture(picture.y[:, :, :height, :width], picture.uv[:, :, : height // 2, : width // 2])


def pack(picture: Picture, step: int) -> Tensor:
    """Samples of `step`² squares of luma and their chroma as channels, `[B, 1.5·step², H/step,
    W/step]`; in memory they are the last axis, which takes a third of the time."""
    rows = [_rows(picture.y, step), _rows(picture.uv, step // 2)]
    return torch.cat(rows, -1).permute(0, 3, 1, 2)


def _rows(x: Tensor, step: int) -> Tensor:
    """`F.pixel_unshuffle` with channels as the last axis."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // step, step, w // step, step).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(b, h // step, w // step, c * step * step)


def unpack(x: Tensor, step: int) -> Picture:
    """The inverse of `pack`."""
    luma = step * step
    return Picture(F.pixel_shuffle(x[:, :luma], step), F.pixel_shuffle(x[:, luma:], step // 2))


def split(x: Tensor, side: int) -> Tensor:
    """A map `[B, C, h, w]` as windows `[B, W, side², C]`, row by row."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b, (h // side) * (w // side), side * side, c)


def join(x: Tensor, side: int, columns: int) -> Tensor:
    """The inverse of `split`; `columns` windows lie side by side."""
    b, n, _, c = x.shape
    x = x.view(b, n // columns, columns, side, side, c).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(b, c, (n // columns) * side, columns * side)
