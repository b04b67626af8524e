"""Losses for training and tuning the renderer, on planes in 0…1 and RGB crops of 128 pixels.

`PerceptualLoss` needs the VGG16 weights that `gvcodec.perceptual.find_weights` looks for. LPIPS-Alex, VMAF and flicker never appear here:
they are kept for judging.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual
from gvcodec.appearance.motion import warp
from gvcodec.appearance.renderer import FilterBank
from gvcodec.types import Colour

_KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def to_rgb(luma: Tensor, chroma: Tensor, colour: Colour = Colour()) -> Tensor:
    """Planes `(B, 1, H, W)` and `(B, 2, H/2, W/2)` to RGB `(B, 3, H, W)`; an unspecified matrix counts as BT.709 from 720 rows on."""
    default = 1 if luma.shape[2] >= 720 else 6
    kr, kb = _KR_KB.get(colour.matrix, _KR_KB[default])
    u, v = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False).sub(512 / 1023).unbind(1)
    y = luma[:, 0]
    if not colour.full_range:
        y, u, v = (y - 64 / 1023) * (1023 / 876), u * (1023 / 896), v * (1023 / 896)
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return torch.stack([red, green, blue], 1)


class PerceptualLoss(nn.Module):
    """LPIPS-VGG and DISTS from one pass through VGG16 instead of two.

    The pass is DISTS' (L2 pooling), so DISTS is exact; the LPIPS weights are applied to these maps, which is not LPIPS to the
    digit (that pools by maximum) but goes up and down with it. Half the cost of the two metrics one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.dists = perceptual.dists().to(memory_format=torch.channels_last)
        self.lin = [getattr(perceptual.lpips("vgg"), f"lin{i}") for i in range(5)]

    def maps(self, rgb: Tensor) -> list[Tensor]:
        """The input and the five stages, channels last."""
        x = ((rgb - self.dists.mean) / self.dists.std).contiguous(memory_format=torch.channels_last)
        return [rgb, *self.dists.features(x)]

    def forward(self, rendered: Tensor, reference: list[Tensor]) -> tuple[Tensor, Tensor]:
        """RGB `(N, 3, H, W)` against the maps of the source → (LPIPS-like, DISTS), each `(N,)`."""
        texture, structure = [], []
        distance = rendered.new_zeros(rendered.shape[0])
        for stage, (a, b) in enumerate(zip(self.maps(rendered), reference, strict=True)):
            b = b.float()
            if stage:
                unit_a, unit_b = (m * torch.rsqrt(m.square().sum(1, keepdim=True) + 1e-10) for m in (a, b))
                distance = distance + F.conv2d((unit_a - unit_b).square(), self.lin[stage - 1]).mean((1, 2, 3))
            mean_a, mean_b = a.mean((2, 3)), b.mean((2, 3))
            variance_a, variance_b = a.square().mean((2, 3)) - mean_a.square(), b.square().mean((2, 3)) - mean_b.square()
            covariance = (a * b).mean((2, 3)) - mean_a * mean_b
            texture.append((2 * mean_a * mean_b + 1e-6) / (mean_a.square() + mean_b.square() + 1e-6))
            structure.append((2 * covariance + 1e-6) / (variance_a + variance_b + 1e-6))
        score = torch.cat(texture, 1) @ self.dists.alpha + torch.cat(structure, 1) @ self.dists.beta
        return distance, 1 - score


def band_energy(bank: FilterBank, luma: Tensor) -> Tensor:
    """log2 of the mean square of the nine luma bands in 16×16 blocks, `(B, 9, H/16, W/16)`, in steps of amplitude."""
    fine, coarse, _ = bank(F.pixel_unshuffle(luma, 2))
    power = torch.cat([fine.square().unflatten(1, (3, 4)).mean(2), coarse.square()], 1)
    return 0.5 * torch.log2(F.avg_pool2d(power, 8) * 255**2 + 0.05)


def pixel_loss(luma: Tensor, chroma: Tensor, source_luma: Tensor, source_chroma: Tensor) -> Tensor:
    """L1 of the planes and of their 4×4 means (colour and brightness must not drift), `(B,)`."""
    difference, tint = luma - source_luma, chroma - source_chroma
    plain = difference.abs().mean((1, 2, 3)) + 0.5 * tint.abs().mean((1, 2, 3))
    low = F.avg_pool2d(difference, 4).abs().mean((1, 2, 3)) + 0.5 * F.avg_pool2d(tint, 4).abs().mean((1, 2, 3))
    return plain + low


def temporal_loss(luma: Tensor, before: Tensor, source: Tensor, source_before: Tensor, vectors: Tensor) -> Tensor:
    """Motion-compensated frame difference of the rendered luma beyond the source's own, `(B,)`."""
    fetched, inside = warp(torch.cat([before, source_before], 1), vectors)
    ours, theirs = (luma - fetched[:, :1]).abs(), (source - fetched[:, 1:]).abs()
    excess = F.avg_pool2d(ours * inside, 8) - F.avg_pool2d(theirs * inside, 8)
    return F.relu(excess).mean((1, 2, 3))
