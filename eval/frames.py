"""Frames of clips as planes of 10 bits, and distances between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np

from eval.colour import Picture, to_rgb
from eval.metrics import network, sample
from eval.video import Clip
from gvcodec.media.planes import to_eight_bits
from gvcodec.types import Planes

Metric = Callable[[list[Planes], list[Planes]], float]


def ten_bits(clip: Clip) -> list[Planes]:
    """Its frames with 10 bits."""
    shift = 10 - clip.raw.depth
    return [tuple(p.astype(np.uint16) << shift for p in planes) for planes in clip.raw]  # type: ignore[misc]


def psnr_y(source: Sequence[Planes], shown: Sequence[Planes]) -> float:
    """Mean over the frames, dB."""
    errors = [
        float(np.mean((a[0].astype(np.float64) - b[0]) ** 2))
        for a, b in zip(source, shown, strict=True)
    ]
    return fmean(10 * np.log10(1023**2 / max(error, 1e-3)) for error in errors)


def distance(clip: Clip, name: str, every: int) -> Metric:
    """LPIPS or DISTS of 10-bit frames, rounded to what the clip has, mean over one frame in
    `every`. Raises EvalError where its weights are missing."""
    import torch

    module = network(name, "cpu")

    def tensor(planes: Planes) -> torch.Tensor:
        return torch.from_numpy(picture(clip, planes))[None]

    def measure(source: list[Planes], shown: list[Planes]) -> float:
        with torch.no_grad():
            return fmean(
                float(module(tensor(shown[i]), tensor(source[i])))
                for i in sample(len(source), every)
            )

    return measure


def picture(clip: Clip, planes: Planes) -> Picture:
    """(3, H, W) in [0, 1] of a 10-bit frame, rounded to what the clip has."""
    if clip.raw.depth == 8:
        planes = tuple(map(to_eight_bits, planes))  # type: ignore[assignment]
    return to_rgb(planes, clip.matrix, clip.full_range, clip.raw.depth)
