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

    def detach(self) -> Picture:
        return Picture(self.y.detach(), self.uv.detach())

    def __add__(self, other: object) -> Picture:
        assert isinstance(other, Picture)
        return Picture(self.y + other.y, self.uv + other.uv)

    def __sub__(self, other: Picture) -> Picture:
        return Picture(self.y - other.y, self.uv - other.uv)

    def scaled(self, by: Tensor | float) -> Picture:
        """`by`: a number or `[B, 1, 1, 1]`."""
        return Picture(self.y * by, self.uv * by)


def grey(batch: int, height: int, width: int, like: Tensor) -> Picture:
    """What is known of a picture before anything is: mid grey."""
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


def to_planes(picture: Picture, height: int, width: int, bit_depth: int = 8) -> list[Planes]:
    """Planes of `height` × `width` luma samples; 8-bit sources get 8-bit samples, shifted."""
    unit = 4 if bit_depth == 8 else 1
    top = 255 * 4 if bit_depth == 8 else 1023
    y, uv = (
        torch.floor(plane.detach().float() * (PEAK / unit) + 0.5).mul(unit).clamp(0, top)
        for plane in picture
    )
    luma = y[:, 0, :height, :width].cpu().numpy().astype(np.uint16)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    chroma = uv[:, :, :rows, :columns].cpu().numpy().astype(np.uint16)
    return [(a, c[0], c[1]) for a, c in zip(luma, chroma, strict=True)]


def from_rgb(rgb: Tensor) -> Picture:
    """RGB `[B, 3, H, W]` in 0…1 as BT.601 planes of limited range, as `to_rgb` reads them."""
    kr, kb = 0.299, 0.114
    luma = kr * rgb[:, 0] + (1 - kr - kb) * rgb[:, 1] + kb * rgb[:, 2]
    u, v = (rgb[:, 2] - luma) / (2 * (1 - kb)), (rgb[:, 0] - luma) / (2 * (1 - kr))
    y = (luma * 219 + 16) / 255
    uv = F.avg_pool2d(torch.stack([u, v], 1), 2) * (224 / 255) + 128 / 255
    return Picture(y[:, None], uv)


def pad(picture: Picture, window: int) -> Picture:
    """To whole windows; the edge is repeated."""
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
