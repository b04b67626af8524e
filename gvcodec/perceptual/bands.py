"""Nine sub-bands of luma by fixed filters: three scales × horizontal, vertical, diagonal."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        w)`, what is left `(B, 1, h, w)`."""
        bands = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.fine)
        half = bands[:, 12:]
        second = F.conv2d(F.pad(half, (2, 2, 2, 2), mode="replicate"), self.coarse)
        third = F.conv2d(
            F.pad(second[:, 3:], (4, 4, 4, 4), mode="replicate"), self.coarse, dilation=2
        )
        return bands[:, :12], torch.cat([second[:, :3], third[:, :3]], 1), third[:, 3:]
