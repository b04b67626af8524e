"""Distances between frames of 10 bits."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from gvcodec.types import Planes


def psnr_y(source: Sequence[Planes], shown: Sequence[Planes]) -> float:
    """Mean over the frames, dB."""
    errors = [
        float(np.mean((a[0].astype(np.float64) - b[0]) ** 2))
        for a, b in zip(source, shown, strict=True)
    ]
    return fmean(10 * np.log10(1023**2 / max(error, 1e-3)) for error in errors)
