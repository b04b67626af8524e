"""PSNR and MS-SSIM of one frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.tools import EvalError
from eval.video import Planes

#: PSNR of equal pictures, instead of infinity, so that means exist.
PSNR_CAP = 100.0
#: Side of MS-SSIM's window.
WINDOW = 11
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SCALES = len(_SCALE_WEIGHTS)


def psnr(a: NDArray[Any], b: NDArray[Any], peak: float) -> float:
    """Peak signal-to-noise ratio in dB, at most PSNR_CAP."""
    error = float(np.mean(np.square(a.astype(np.float64) - b.astype(np.float64))))
    if error == 0:
        return PSNR_CAP
    return min(10 * float(np.log10(peak * peak / error)), PSNR_CAP)


def psnr_planes(decoded: Planes, source: Planes, depth: int) -> tuple[float, float, float]:
    """PSNR of Y, U and V in dB with peak 255 (8 bit) or 1023 (10 bit)."""
    peak = (1 << depth) - 1
    y, u, v = (psnr(a, b, peak) for a, b in zip(decoded, source, strict=True))
    return y, u, v


def scales_of(height: int, width: int) -> int:
    """How many of its five scales MS-SSIM has at this size."""
    return max(1, min(SCALES, int(np.log2(min(height, width) / WINDOW)) + 1))


def ms_ssim(decoded: NDArray[np.float32], source: NDArray[np.float32]) -> float:
    """Multi-scale SSIM of two (3, H, W) pictures in [0, 1], mean of the channels (Wang, Simoncelli,
    Bovik 2003: Gaussian window of 11 with σ = 1.5, five scales). Pictures too small for five scales
    use as many as fit, weights renormalised. Raises EvalError for those that are smaller than the
    window."""
    import torch
    import torch.nn.functional as F

    taps = np.exp(-(np.arange(-5.0, 6.0) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blur(x: torch.Tensor) -> torch.Tensor:
        # Shifted sums: five times as fast as a convolution with a single channel.
        for axis in (2, 3):
            size = x.shape[axis] - 10
            total = x.narrow(axis, 5, size) * float(taps[5])
            for k in range(5):
                total.add_(
                    x.narrow(axis, k, size) + x.narrow(axis, 10 - k, size), alpha=float(taps[k])
                )
            x = total
        return x

    if min(source.shape[1:]) < WINDOW:
        height, width = source.shape[1:]
        raise EvalError(
            f"MS-SSIM needs pictures of {WINDOW} samples each way, not {width}×{height}"
        )
    x, y = (torch.from_numpy(np.ascontiguousarray(p))[:, None] for p in (decoded, source))
    scales = scales_of(*x.shape[2:])
    weights = np.array(_SCALE_WEIGHTS[:scales]) / sum(_SCALE_WEIGHTS[:scales])
    result = torch.ones(x.shape[0])
    for scale, weight in enumerate(weights):
        mean_x, mean_y = blur(x), blur(y)
        var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
        contrast = (2 * (blur(x * y) - mean_x * mean_y) + 0.03**2) / (var_x + var_y + 0.03**2)
        if scale == scales - 1:
            contrast = (
                contrast * (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
            )
        result = result * contrast.mean((1, 2, 3)).clamp(min=0) ** float(weight)
        # Odd sizes get a border of zeros, as in the implementation that published figures come from
        # (pytorch-msssim).
        x, y = (F.avg_pool2d(p, 2, padding=[s % 2 for s in p.shape[2:]]) for p in (x, y))
    return float(result.mean())
