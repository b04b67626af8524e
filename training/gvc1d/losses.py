"""Distortion of a run: pixels and steadiness of every frame, a perceptual distance of some crops of
random frames of each run (its price is the distance, not the network)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gvcodec import perceptual
from gvcodec.gvc1d.picture import PEAK, Picture
from gvcodec.perceptual.losses import (
    eight_bits,
    fidelity_guard,
    pixel_loss,
    temporal_loss,
)
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.util.tensors import SMALL, to_rgb
from training.gvc1d.run import Coded, Frame

#: Side of the crop that perceptual distances see.
LOOK = 128
#: Decibels of luma that restoring a base may lose for nothing.
_ALLOWED = 0.3


@dataclass(frozen=True)
class Weights:
    """Of the parts; `looks`: crops of each run that the perceptual distance sees."""

    pixel: float
    temporal: float
    perceptual: float
    looks: int = 1


class Distortion:
    """`distortion(frames, coded, rng, lead)` `[B]`."""

    def __init__(self, weights: Weights, device: torch.device) -> None:
        self.weights, self.device = weights, device
        self.leads: dict[str, PerceptualLoss] = {}
        for name in ("vgg", "small"):
            found = perceptual.guide_network(name)
            if found is not None and weights.perceptual:
                self.leads[name] = PerceptualLoss(weights=found[1]).to(device)

    def __call__(
        self, frames: list[Frame], coded: list[Coded], rng: np.random.Generator, lead: str
    ) -> Tensor:
        w = self.weights
        total = frames[0].source.y.new_zeros(len(frames[0].source.y))
        for t, (frame, made) in enumerate(zip(frames, coded, strict=True)):
            picture, source = made.picture, frame.source
            part = w.pixel * pixel_loss(*picture, *source)
            if frame.shown is not None:
                part = part + 0.1 * fidelity_guard(picture.y, frame.shown.y, source.y, _ALLOWED)
            if t and w.temporal:
                before, vectors = coded[t - 1].picture.y.detach(), frame.motion
                if vectors is None:
                    vectors = _no_motion(source.y)
                pairs = picture.y, before, source.y, frames[t - 1].source.y
                part = part + w.temporal * temporal_loss(*pairs, vectors)
            total = total + part / len(frames)
        if lead in self.leads:
            total = total + w.perceptual * self._look(frames, coded, rng, lead)
        return total

    def _look(
        self, frames: list[Frame], coded: list[Coded], rng: np.random.Generator, lead: str
    ) -> Tensor:
        count = len(frames[0].source.y)
        ours, theirs = [], []
        for i in (i for i in range(count) for _ in range(self.weights.looks)):
            t = int(rng.integers(len(frames)))
            height, width = frames[t].source.y.shape[2:]
            top = int(rng.integers(max(0, height - LOOK) // 16 + 1)) * 16
            left = int(rng.integers(max(0, width - LOOK) // 16 + 1)) * 16
            ours.append(cut_rgb(coded[t].picture, i, top, left))
            theirs.append(cut_rgb(frames[t].source, i, top, left))
        loss = self.leads[lead]
        lpips, dists = loss(torch.cat(ours), loss.reference(torch.cat(theirs)))
        return (lpips + dists).view(count, -1).mean(1)


def cut_rgb(picture: Picture, sample: int, top: int, left: int) -> Tensor:
    """A crop of one sample as viewers see it, `[1, 3, LOOK, LOOK]`."""
    h, w = min(LOOK, picture.y.shape[2] - top), min(LOOK, picture.y.shape[3] - left)
    y = picture.y[sample : sample + 1, :, top : top + h, left : left + w]
    uv = picture.uv[sample : sample + 1, :, top // 2 : (top + h) // 2, left // 2 : (left + w) // 2]
    # The losses' planes have sample 1023 at 1.
    scale = PEAK / 1023
    return to_rgb(eight_bits(y * scale), eight_bits(uv * scale), SMALL)


def _no_motion(y: Tensor) -> Tensor:
    b, _, h, w = y.shape
    return torch.zeros(b, 2, h // 16, w // 16, dtype=torch.int16, device=y.device)
