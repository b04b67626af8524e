"""Judges pictures that tokens steer, by a small network distilled from LPIPS on VGG16 and on
AlexNet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec import perceptual
from gvcodec.models import TOKEN_JUDGE
from gvcodec.painter.token_trial import Window
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.tensors import known_colour, open_device, to_rgb, to_tensors


def open_network(device: torch.device) -> PerceptualLoss:
    """The network. Raises `WrongModelError` where it is missing."""
    weights = perceptual.read_weights(TOKEN_JUDGE.find())
    return PerceptualLoss(weights=weights, batched=False).to(device)


class PerceptualJudge:
    """`token_trial.Judge` by that network. Raises `WrongModelError` where it is missing,
    `UsageError` for a device that is not there."""

    def __init__(self, fmt: VideoFormat, device: str = "cpu") -> None:
        self.place = open_device(device)
        self.network = open_network(self.place)
        self._colour = known_colour(fmt.colour, fmt.height)
        self._bit_depth = fmt.bit_depth

    @torch.no_grad()
    def distances(
        self, source: Planes, painted: Sequence[Planes], windows: Sequence[Window]
    ) -> NDArray[np.float64]:
        """Of each painted picture by window, (pictures, windows), as they are given out; one window
        at a time, whose maps take about 20 MB."""
        original = to_tensors(source)
        shown = [to_tensors(self._given_out(planes)) for planes in painted]
        found = np.zeros((len(painted), len(windows)))
        for place, window in enumerate(windows):
            reference = self.network.reference(self._cut(original, window))
            for number, planes in enumerate(shown):
                distance, _ = self.network(self._cut(planes, window), reference)
                found[number, place] = float(distance)
        return found

    def _given_out(self, planes: Planes) -> Planes:
        if self._bit_depth != 8:
            return planes
        y, u, v = (np.minimum((plane + 2) >> 2, 255) << 2 for plane in planes)
        return y, u, v

    def _cut(self, planes: tuple[Tensor, Tensor], window: Window) -> Tensor:
        """RGB of a window, (1, 3, H, W)."""
        top, left, height, width = window
        luma = planes[0][:, :, top : top + height, left : left + width]
        half = (slice(n // 2, (n + side) // 2) for n, side in ((top, height), (left, width)))
        chroma = planes[1][:, :, *half]
        return to_rgb(luma.to(self.place), chroma.to(self.place), self._colour)
