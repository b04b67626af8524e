"""Planes of integers as what networks take, and back."""

from __future__ import annotations

import textwrap

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec.errors import UsageError
from gvcodec.painter.model import PEAK
from gvcodec.types import Planes

_ALIGN = 16


def open_device(name: str) -> torch.device:
    """The device of this name. Raises `UsageError` where it is not there."""
    try:
        device = torch.device(name)
        torch.ones(1, device=device).add(1).item()
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"no device {name} to paint on: {textwrap.shorten(str(error), 80)}"
        ) from None
    return device


def to_tensors(planes: Planes) -> tuple[Tensor, Tensor]:
    """10-bit planes to luma `(1, 1, H, W)` and chroma `(1, 2, H/2, W/2)` in 0…1, padded to
    multiples of 16 by repeating edges."""
    luma = torch.from_numpy(planes[0].astype(np.float32)).mul_(1 / PEAK)[None, None]
    chroma = torch.from_numpy(np.stack(planes[1:]).astype(np.float32)).mul_(1 / PEAK)[None]
    height, width = -(-luma.shape[2] // _ALIGN) * _ALIGN, -(-luma.shape[3] // _ALIGN) * _ALIGN
    luma = F.pad(luma, (0, width - luma.shape[3], 0, height - luma.shape[2]), mode="replicate")
    chroma = F.pad(
        chroma,
        (0, width // 2 - chroma.shape[3], 0, height // 2 - chroma.shape[2]),
        mode="replicate",
    )
    return luma, chroma


def to_codes(luma: Tensor, chroma: Tensor, like: Planes) -> tuple[Tensor, ...]:
    """The inverse, of what a network gives: rounded to 10 bits (int16) and cut to the sizes of
    `like`, where it is."""
    codes = ((x * PEAK).round().clamp(0, PEAK).to(torch.int16) for x in (luma[0, 0], *chroma[0]))
    return tuple(c[: p.shape[0], : p.shape[1]] for c, p in zip(codes, like, strict=True))


def to_planes(luma: Tensor, chroma: Tensor, like: Planes) -> Planes:
    """The same as arrays."""
    y, u, v = (c.cpu().numpy().astype(np.uint16) for c in to_codes(luma, chroma, like))
    return y, u, v
