"""Which frames of a video say most for their bytes: a small network, straight-through Gumbel top-K
(VideoCompressa).

Three convolutions on pictures of 64 × 64, one over time, a score a frame. `select` takes the best
K; in training `drawn` draws K frames with a gradient. Trained by `gvcodec.train.keyframes` with a
classifier and the bytes of the frames. Importing this module imports torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gvcodec.errors import WrongModelError
from gvcodec.models import shipped_folders

CHECKPOINT = "keyframes-1.safetensors"
SIDE = 64
_WIDTHS, _REACH = (16, 32, 32), 5


class Chooser(nn.Module):
    """`forward(pictures)`: (N, T, 64, 64, 3) uint8 → features (N, T, 32) and scores (N, T)."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before, after in zip((3, *_WIDTHS), _WIDTHS, strict=False):
            blocks += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.ReLU()]
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1))
        self.time = nn.Conv1d(_WIDTHS[-1], _WIDTHS[-1], _REACH, padding=_REACH // 2)
        self.score = nn.Linear(2 * _WIDTHS[-1], 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        n, t = pictures.shape[:2]
        x = pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 64 - 2
        features = self.body(x).view(n, t, -1)
        around = self.time(features.transpose(1, 2)).transpose(1, 2).relu()
        return features, self.score(torch.cat([features, around], 2))[..., 0]


def drawn(scores: Tensor, count: int, temperature: float) -> Tensor:
    """(N, T) weights of 0 and 1, `count` ones in a row, drawn without replacement by Gumbel noise;
    gradients are those of softmaxes."""
    noise = -torch.log(-torch.log(torch.rand_like(scores).clamp(1e-9, 1 - 1e-7)))
    left = (scores + noise) / temperature
    soft = torch.zeros_like(scores)
    hard = torch.zeros_like(scores)
    for _ in range(min(count, scores.shape[1])):
        part = left.softmax(1)
        best = part.argmax(1, keepdim=True)
        soft = soft + part
        hard.scatter_(1, best, 1.0)
        left = left.masked_fill(hard.bool(), -1e9)
    return hard + soft - soft.detach()


def select(scores: NDArray[np.floating], count: int) -> list[int]:
    """Places of the `count` best frames in order, no two nearer than a quarter of an even spacing
    while others are left."""
    apart = max(1, len(scores) // (4 * count))
    left = np.array(scores, np.float64)
    chosen: list[int] = []
    while len(chosen) < min(count, len(scores)):
        if not np.isfinite(left).any():
            left = np.array(scores, np.float64)
            left[chosen] = -np.inf
            apart = 1
        at = int(np.argmax(left))
        chosen.append(at)
        left[max(0, at - apart + 1) : at + apart] = -np.inf
    return sorted(chosen)


@torch.inference_mode()
def scores_of(chooser: Chooser, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Scores of the frames (T, 64, 64, 3) of one video."""
    return chooser(torch.from_numpy(pictures)[None])[1][0].double().numpy()


def load(path: Path | None = None) -> Chooser:
    """The shipped network, or that of a file. Raises `WrongModelError`."""
    found = path or next(
        (f / CHECKPOINT for f in shipped_folders() if (f / CHECKPOINT).is_file()), None
    )
    if found is None:
        raise WrongModelError(
            f"{CHECKPOINT} is not at hand; looked in {', '.join(map(str, shipped_folders()))}"
        )
    chooser = Chooser()
    try:
        chooser.load_state_dict({name: tensor.float() for name, tensor in load_file(found).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WrongModelError(
            f"{found}: not a checkpoint of the keyframe network ({str(error).splitlines()[0]})"
        ) from None
    return chooser.eval()
