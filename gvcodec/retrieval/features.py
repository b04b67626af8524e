"""Patch tokens of pictures: what the maps of the small perceptual network are like in 4 × 4
regions. Importing this module imports torch."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.painter.perceptual import Features, read_weights

_GRID = 4
#: Stages whose maps count: the first sees edges only, the last has eight channels.
_FIRST, _STOP = 1, 4
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BATCH = 16


class PatchTokens:
    """Called with RGB (N, H, W, 3) uint8, gives (N, 16, features) float32: mean and deviation of
    every channel, region by region."""

    def __init__(self, network: Path) -> None:
        self._features = Features("vgg", read_weights(network), blur_pool=True).eval()
        self._mean, self._deviation = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _DEVIATION)
        )

    @torch.inference_mode()
    def __call__(self, rgb: NDArray[np.uint8]) -> Tensor:
        return torch.cat(
            [self._of(torch.from_numpy(np.ascontiguousarray(part))) for part in _batches(rgb)]
        )

    def _of(self, rgb: Tensor) -> Tensor:
        x = (rgb.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._deviation
        found = []
        for stage in islice(
            self._features(x.contiguous(memory_format=torch.channels_last)), _FIRST, _STOP
        ):
            mean = F.adaptive_avg_pool2d(stage, _GRID)
            square = F.adaptive_avg_pool2d(stage.square(), _GRID)
            found += [mean, (square - mean.square()).clamp(min=0).sqrt()]
        return torch.cat(found, 1).flatten(2).transpose(1, 2)


def _batches(rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [rgb[at : at + _BATCH] for at in range(0, len(rgb), _BATCH)]
