"""Planes and pictures in torch, for networks and losses: from integers, as RGB, moved by
whole-pixel motion compensation; and the device that networks run on."""

from __future__ import annotations

import textwrap

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.errors import UsageError
from gvcodec.types import BLOCK, Colour, Planes
from gvcodec.util.colour import red_green_blue


def to_rgb(luma: Tensor, chroma: Tensor, colour: Colour) -> Tensor:
    """Planes `(B, 1, H, W)` and `(B, 2, H/2, W/2)` to RGB `(B, 3, H, W)`. `colour`: see
    `colour.known_colour`."""
    large = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    u, v = large.unbind(1)
    return torch.stack(red_green_blue(luma[:, 0], u, v, colour), 1)


def source_samples(
    vectors: Tensor, height: int, width: int, step: int = 1
) -> tuple[Tensor, Tensor]:
    """Where the samples of a plane at 1/`step` resolution come from: indices into its `height` x
    `width` samples `(B, height, width)` int64, at the edge where a vector points beyond it, and a
    bool map `(B, height, width)`: False there. `vectors` `(B, 2, h, w)`: luma samples, down and
    along, of each block."""
    side = BLOCK // step
    offsets = vectors.long()
    if step > 1:
        offsets = torch.div(offsets + step // 2, step, rounding_mode="floor")
    # Rows of a block share its first vector, columns its second: (B, h, side, w, 1) and
    # (B, h, 1, w, side).
    b, _, h, w = offsets.shape
    down = torch.arange(h * side, device=offsets.device).view(h, side, 1, 1)
    along = torch.arange(w * side, device=offsets.device).view(w, side)
    rows = offsets[:, 0, :, None, :, None] + down
    cols = offsets[:, 1, :, None, :, None] + along
    index = rows.clamp(0, height - 1) * width + cols.clamp(0, width - 1)
    inside = ((rows >= 0) & (rows < height)) & ((cols >= 0) & (cols < width))
    whole = b, h * side, w * side
    return index.view(whole)[:, :height, :width], inside.view(whole)[:, :height, :width]


def warp(x: Tensor, vectors: Tensor, step: int = 1) -> tuple[Tensor, Tensor]:
    """Fetch `(B, C, H, W)` at the vectors' places (whole pixels, edges repeated); `step` 2 for
    half-resolution planes.

    Returns the fetched planes and a bool map `(B, 1, H, W)`: False if the place lies outside the
    picture, so that a wrong vector is never fatal."""
    b, c, h, w = x.shape
    index, inside = source_samples(vectors, h, w, step)
    index = index.reshape(b, 1, h * w).expand(b, c, -1)
    return x.reshape(b, c, h * w).gather(2, index).view_as(x), inside[:, None]


_ALIGN = 16


def open_device(name: str) -> torch.device:
    """The device of this name. Raises `UsageError` where it is not there."""
    try:
        device = torch.device(name)
        torch.ones(1, device=device).add(1).item()
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"no device {textwrap.shorten(name, 40)} here: {textwrap.shorten(str(error), 80)}",
            code="device",
        ) from None
    return device


def to_tensors(planes: Planes) -> tuple[Tensor, Tensor]:
    """10-bit planes to luma `(1, 1, H, W)` and chroma `(1, 2, H/2, W/2)` in 0…1, padded to
    multiples of 16 by repeating edges."""
    luma = torch.from_numpy(planes[0].astype(np.float32)).mul_(1 / 1023)[None, None]
    chroma = torch.from_numpy(np.stack(planes[1:]).astype(np.float32)).mul_(1 / 1023)[None]
    height, width = -(-luma.shape[2] // _ALIGN) * _ALIGN, -(-luma.shape[3] // _ALIGN) * _ALIGN
    luma = F.pad(luma, (0, width - luma.shape[3], 0, height - luma.shape[2]), mode="replicate")
    right, below = width // 2 - chroma.shape[3], height // 2 - chroma.shape[2]
    return luma, F.pad(chroma, (0, right, 0, below), mode="replicate")


def rgb_tensor(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as (1, 3, H, W) in 0…1."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None] / 255


def as_tensor(image: NDArray[np.uint8] | NDArray[np.uint16], device: torch.device) -> Tensor:
    """A picture on the device."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device)
