"""Planes as input tensors of networks, and the device that these run on."""

from __future__ import annotations

import textwrap

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
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
        raise UsageError(f"no device {name} here: {textwrap.shorten(str(error), 80)}") from None
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


def rgb_tensor(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as (1, 3, H, W) in 0…1."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None] / 255


def as_tensor(image: NDArray[np.uint8] | NDArray[np.uint16], device: torch.device) -> Tensor:
    """A picture on the device."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device)
