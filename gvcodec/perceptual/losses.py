"""Losses that need no network, for training the painter, on planes in 0…1. The
perceptual loss is in `vgg`.

VMAF is held out: it is in none of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.util.tensors import warp


def _outer(vertical: Tensor, horizontal: Tensor) -> Tensor:
    return vertical[:, None] * horizontal[None, :]


def _interleave(kernel: Tensor) -> Tensor:
    """A `(5, 5)` filter at full resolution as a 3×3 convolution from and to four interleaved
    channels: `(4, 4, 3, 3)`."""
    weight = torch.zeros(4, 4, 3, 3)
    for out in range(4):
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                row, col = out // 2 + dy, out % 2 + dx
                weight[out, (row % 2) * 2 + col % 2, row // 2 + 1, col // 2 + 1] += kernel[
                    dy + 2, dx + 2
                ]
    return weight


def _decimation() -> Tensor:
    """[1 3 3 1]⊗[1 3 3 1] / 64 with decimation by two, as a convolution of the interleaved
    channels: `(1, 4, 3, 3)`."""
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    weight = torch.zeros(1, 4, 3, 3)
    for y in range(4):
        for x in range(4):
            row, col = y - 1, x - 1
            weight[0, (row % 2) * 2 + col % 2, row // 2 + 1, col // 2 + 1] += taps[y] * taps[x]
    return weight


class FilterBank(nn.Module):
    """Fixed filters. `fine`: bands 0–2 at full resolution, 4 interleaved channels each."""

    fine: Tensor
    coarse: Tensor

    def __init__(self) -> None:
        super().__init__()
        low = torch.tensor([1.0, 4, 6, 4, 1]) / 16
        high = -low
        high[2] += 1
        three = [_outer(low, high), _outer(high, low), _outer(high, high)]
        fine = torch.cat([_interleave(kernel) for kernel in three] + [_decimation()])
        coarse = torch.stack([*three, _outer(low, low)])[:, None]
        self.register_buffer("fine", fine, persistent=False)
        self.register_buffer("coarse", coarse, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Interleaved luma `(B, 4, h, w)` → fine bands `(B, 12, h, w)`, coarse bands `(B, 6, h,
        w)`, residual `(B, 1, h, w)`."""
        bands = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.fine)
        half = bands[:, 12:]
        second = F.conv2d(F.pad(half, (2, 2, 2, 2), mode="replicate"), self.coarse)
        third = F.conv2d(
            F.pad(second[:, 3:], (4, 4, 4, 4), mode="replicate"), self.coarse, dilation=2
        )
        return bands[:, :12], torch.cat([second[:, :3], third[:, :3]], 1), third[:, 3:]


def eight_bits(plane: Tensor) -> Tensor:
    """10-bit samples in 0…1 rounded to 8 bits, as decoders output them. Gradients pass unchanged.

    LPIPS and DISTS treat 8-bit steps in smooth areas as texture: unrounded, such areas are far from
    an 8-bit source."""
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


def fidelity_guard(luma: Tensor, base_frame: Tensor, source: Tensor, tolerance_db: float) -> Tensor:
    """Loss of luma PSNR beyond `tolerance_db`, `(B,)`; planes as good as 60 dB may be repainted
    freely."""
    ours, base = ((x - source).square().mean((1, 2, 3)) + 1e-6 for x in (luma, base_frame))
    return F.relu(10 * torch.log10(ours / base) - tolerance_db)


def contrast_guard(luma: Tensor, base_frame: Tensor, source: Tensor) -> Tensor:
    """Visible error beyond that of the base frame, `(B,)`: in each of four scales of a pyramid the
    band's difference to the source, divided by the masking contrast of the source around it."""
    total = luma.new_zeros(luma.shape[0])
    planes = [luma, base_frame, source]
    for _ in range(4):
        lows = [_binomial(plane) for plane in planes]
        ours, base, theirs = (plane - low for plane, low in zip(planes, lows, strict=True))
        contrast = F.avg_pool2d(F.pad(theirs.abs(), (3, 3, 3, 3), mode="replicate"), 7, 1)
        mask = 1 / (contrast + 4 / 255)
        painted_rms, tolerance_db = (_root_mean((band - theirs) * mask) for band in (ours, base))
        total = total + F.relu(painted_rms - tolerance_db)
        planes = [low[:, :, ::2, ::2] for low in lows]
    return total


def _root_mean(x: Tensor) -> Tensor:
    """Root of the mean of 16×16 squares, averaged, `(B,)`: good places do not compensate a bad
    one."""
    return torch.sqrt(F.avg_pool2d(x.square(), min(16, *x.shape[2:])) + 1e-6).mean((1, 2, 3))


def _binomial(x: Tensor) -> Tensor:
    row = x.new_tensor([1.0, 4, 6, 4, 1]) / 16
    x = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), row.view(1, 1, 1, 5))
    return F.conv2d(x, row.view(1, 1, 5, 1))
