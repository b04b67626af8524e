"""Losses that need no network, for training and fitting the painter, on planes in 0…1. The
perceptual loss is in `vgg`.

VMAF and flicker appear in neither: they are kept for judging.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec.perceptual.bands import FilterBank
from gvcodec.util.tensors import warp


def eight_bits(plane: Tensor) -> Tensor:
    """What a viewer of 8-bit video gets: 10-bit samples in 0…1 rounded as the decoder rounds them.
    Gradients pass as if it did nothing.

    To LPIPS and DISTS the steps that are left in smooth areas are texture: unrounded, such areas
    are far from an 8-bit source."""
    rounded = torch.floor(plane.detach() * (1023 / 4) + 0.5).clamp(0, 255) * (4 / 1023)
    return plane + (rounded - plane).detach()


def band_energy(bank: FilterBank, luma: Tensor) -> Tensor:
    """log2 of the mean square of the nine luma bands in 16×16 blocks, `(B, 9, H/16, W/16)`, in
    steps of amplitude."""
    fine, coarse, _ = bank(F.pixel_unshuffle(luma, 2))
    power = torch.cat([fine.square().unflatten(1, (3, 4)).mean(2), coarse.square()], 1)
    return 0.5 * torch.log2(F.avg_pool2d(power, 8) * 255**2 + 0.05)


def pixel_loss(luma: Tensor, chroma: Tensor, source_luma: Tensor, source_chroma: Tensor) -> Tensor:
    """L1 of the planes and of their 4×4 means (colour and brightness must not drift), `(B,)`."""
    difference, tint = luma - source_luma, chroma - source_chroma
    plain = difference.abs().mean((1, 2, 3)) + 0.5 * tint.abs().mean((1, 2, 3))
    low = F.avg_pool2d(difference, 4).abs().mean((1, 2, 3)) + 0.5 * F.avg_pool2d(
        tint, 4
    ).abs().mean((1, 2, 3))
    return plain + low


def temporal_loss(
    luma: Tensor, before: Tensor, source: Tensor, source_before: Tensor, vectors: Tensor
) -> Tensor:
    """Motion-compensated frame difference of the rendered luma beyond the source's own, `(B,)`."""
    fetched, inside = warp(torch.cat([before, source_before], 1), vectors)
    ours, theirs = (luma - fetched[:, :1]).abs(), (source - fetched[:, 1:]).abs()
    excess = F.avg_pool2d(ours * inside, 8) - F.avg_pool2d(theirs * inside, 8)
    return F.relu(excess).mean((1, 2, 3))


def fidelity_guard(luma: Tensor, base_frame: Tensor, source: Tensor, allowed: float) -> Tensor:
    """Decibels of luma PSNR given up beyond `allowed`, `(B,)`; planes as good as 60 dB may be
    repainted freely."""
    ours, base = ((x - source).square().mean((1, 2, 3)) + 1e-6 for x in (luma, base_frame))
    return F.relu(10 * torch.log10(ours / base) - allowed)


def contrast_guard(luma: Tensor, base_frame: Tensor, source: Tensor) -> Tensor:
    """Error that shows, beyond the base frame's own, `(B,)`: in each of four scales of a pyramid
    the band's difference to the source over what masks it there, the source's contrast around."""
    total = luma.new_zeros(luma.shape[0])
    planes = [luma, base_frame, source]
    for _ in range(4):
        lows = [_binomial(plane) for plane in planes]
        ours, base, theirs = (plane - low for plane, low in zip(planes, lows, strict=True))
        contrast = F.avg_pool2d(F.pad(theirs.abs(), (3, 3, 3, 3), mode="replicate"), 7, 1)
        mask = 1 / (contrast + 4 / 255)
        seen, allowed = (_root_mean((band - theirs) * mask) for band in (ours, base))
        total = total + F.relu(seen - allowed)
        planes = [low[:, :, ::2, ::2] for low in lows]
    return total


def _root_mean(x: Tensor) -> Tensor:
    """Root of the mean of 16×16 squares, averaged, `(B,)`: a spoilt place is not made up for by
    good ones."""
    return torch.sqrt(F.avg_pool2d(x.square(), min(16, *x.shape[2:])) + 1e-6).mean((1, 2, 3))


def _binomial(x: Tensor) -> Tensor:
    row = x.new_tensor([1.0, 4, 6, 4, 1]) / 16
    x = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), row.view(1, 1, 1, 5))
    return F.conv2d(x, row.view(1, 1, 5, 1))
