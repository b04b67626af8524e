"""Does added detail form a woven pattern? Energy of a plane by direction, and energy of horizontal
and vertical lines.

A plane is (H, W), any unit; its mean is taken off. Texture of nature has some direction of its own:
compare with the source.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SECTORS = 8
_LOW, _HIGH = (
    0.08,
    0.42,
)  # cycles a sample: above what is brightness, below where sampling has directions of its own
_RUN = 8


def by_direction(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean power of `SECTORS` directions of waves, the first around horizontal variation,
    counterclockwise."""
    h, w = plane.shape
    window = np.hanning(h)[:, None] * np.hanning(w)
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    v, u = np.meshgrid(np.fft.fftfreq(h), np.fft.fftfreq(w), indexing="ij")
    radius, angle = np.hypot(u, v), np.arctan2(v, u) % np.pi
    sector = np.rint(angle / np.pi * SECTORS).astype(int) % SECTORS
    inside = (radius > _LOW) & (radius < _HIGH)
    return np.array([power[inside & (sector == s)].mean() for s in range(SECTORS)])


def anisotropy(plane: NDArray[np.float64]) -> float:
    """Power along the axes over power along the diagonals: 1 for what has no direction, far above
    for a weave."""
    found = by_direction(plane)
    quarter = SECTORS // 4
    return float((found[0] + found[2 * quarter]) / (found[quarter] + found[3 * quarter]))


def lines(plane: NDArray[np.float64]) -> float:
    """Power of means along runs of samples in rows and columns over that of runs on diagonals,
    steps of a sample each."""
    x = plane - plane.mean()
    n = _RUN

    def runs(dy: int, dx: int) -> float:
        h, w = x.shape[0] - n * abs(dy), x.shape[1] - n * abs(dx)
        left = n if dx < 0 else 0
        total = sum(x[i * dy : i * dy + h, left + i * dx : left + i * dx + w] for i in range(n))
        return float(np.mean((total / n) ** 2))

    return (runs(0, 1) + runs(1, 0)) / (runs(1, 1) + runs(1, -1))
