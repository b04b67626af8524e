"""Selects frames of a clip: a light ConvNet scores them, and the K best are drawn by
straight-through Gumbel-Softmax (the selector of VideoCompressa, arXiv 2511.18831). Imports torch.

    scores = selector(pictures)                       # [N, T] of (N, T, side, side, 3)
    chosen = draw(scores, count, temperature)         # [N, K, T], one 1 in each row
    kept = torch.einsum("nkt,nthwc->nkhwc", chosen, pictures)

Forward, rows of `chosen` are the frames of highest score plus Gumbel noise, in order of time;
backward, they are softmaxes at this temperature, which falls during training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from gvcodec.condense.clips import Clips
from gvcodec.condense.learning import WIDTHS, Pairs, convolutions

_REACH = 5
#: Temperature of the softmaxes, first and last.
WARM, COLD = 1.0, 0.2
_BATCH, _RATE = 16, 2e-3
#: Numbers of frames for which one selector is trained.
COUNTS = (1, 2, 4)


class Selector(nn.Module):
    """Three convolutions on each frame and on its difference to the last one, one over time, a
    score a frame: (N, T, H, W, 3) → (N, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = convolutions(6).append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten())
        self.time = nn.Conv1d(WIDTHS[-1], WIDTHS[-1], _REACH, padding=_REACH // 2)
        self.score = nn.Linear(2 * WIDTHS[-1], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures.float() / 64 - 2
        x = torch.cat([x, x - x.roll(1, 1)], 4)  # [N, T, H, W, 6]
        maps = self.body(x.flatten(0, 1).permute(0, 3, 1, 2)).view(*x.shape[:2], -1)  # [N, T, 32]
        around = self.time(maps.transpose(1, 2)).transpose(1, 2).relu()
        return self.score(torch.cat([maps, around], 2))[..., 0]


def draw(scores: Tensor, count: int, temperature: float, noise: Tensor | None = None) -> Tensor:
    """(N, count, T): frames drawn without replacement, see the module. `noise` (N, T): Gumbel
    noise, None = none."""
    logits = scores if noise is None else scores + noise
    rows, places = [], []
    for _ in range(min(count, scores.shape[1])):
        soft = torch.softmax(logits / temperature, 1)
        at = logits.argmax(1)
        hard = F.one_hot(at, scores.shape[1]).to(soft.dtype)
        rows.append(hard + soft - soft.detach())
        places.append(at)
        logits = logits.masked_fill(hard.bool(), -1e9)
    order = torch.stack(places, 1).argsort(1)  # [N, K]
    return torch.stack(rows, 1).gather(1, order[..., None].expand(-1, -1, scores.shape[1]))


def gumbel(shape: tuple[int, ...]) -> Tensor:
    """Noise with which the highest score has the probability of a softmax."""
    return -torch.empty(shape).exponential_().log()


def temperature_at(share: float) -> float:
    """Temperature after this share (0…1) of all steps."""
    return WARM * (COLD / WARM) ** share


def train_selector(clips: Clips, steps: int, seed: int) -> Selector:
    """A selector trained with a task network on the frames that it selects of all clips."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    selector, network = Selector(), Pairs(len(clips.classes), clips.pictures.shape[2])
    optimiser = torch.optim.AdamW([*selector.parameters(), *network.parameters()], _RATE)
    pictures, labels = torch.from_numpy(clips.pictures), torch.from_numpy(clips.labels)
    for step in tqdm(range(steps), "selector", leave=False, unit="step", disable=None):
        which = torch.from_numpy(rng.integers(0, len(pictures), _BATCH))
        batch, count = pictures[which].float(), int(rng.choice(COUNTS))
        scores = selector(batch)
        selection = draw(scores, count, temperature_at(step / steps), gumbel(tuple(scores.shape)))
        frames = show(torch.einsum("nkt,nthwc->nkhwc", selection, batch))
        loss = F.cross_entropy(network(frames), labels[which], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return selector.eval()


def show(frames: Tensor) -> Tensor:
    """Input of a network from selected frames: at least two, a single one twice."""
    return frames if frames.shape[1] > 1 else frames.repeat(1, 2, 1, 1, 1)


@torch.inference_mode()
def choose_places(selector: Selector, clips: Clips, count: int) -> NDArray[np.int64]:
    """Places (N, count) of the best frames of all clips, in order of time."""
    places = [
        selector(torch.from_numpy(clips.pictures[at : at + 64])).topk(count, 1).indices
        for at in range(0, len(clips), 64)
    ]
    return np.sort(torch.cat(places).numpy(), 1)
