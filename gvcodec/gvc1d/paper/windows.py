"""A picture as patches of its windows, and back.

A window is coded at a quarter of its size (`sizes`), in 8-bit levels less 128. It has 64 patches
`[P, V]` by rows, each of 8² luma values, then 4² of U and 4² of V.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec.gvc1d.paper.sizes import PATCH, SIDE, VALUES


def to_patches(y: Tensor, uv: Tensor) -> Tensor:
    """`[W, P, V]` of luma `[W, 64, 64]` and chroma `[W, 2, 32, 32]`."""
    luma = F.pixel_unshuffle(y[:, None], PATCH)  # [W, 64, 8, 8]
    chroma = F.pixel_unshuffle(uv, PATCH // 2)  # [W, 32, 8, 8]
    return torch.cat([luma, chroma], 1).flatten(2).mT


def from_patches(patches: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `to_patches`."""
    planes = patches.mT.unflatten(2, (SIDE // PATCH, SIDE // PATCH))  # [W, V, 8, 8]
    luma, chroma = planes.split((PATCH**2, VALUES - PATCH**2), 1)
    return F.pixel_shuffle(luma, PATCH)[:, 0], F.pixel_shuffle(chroma, PATCH // 2)
