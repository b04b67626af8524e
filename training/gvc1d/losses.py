"""Losses besides J: the appearance of decoded pictures, and the content of the memory.

Pictures are planes y [B, H, W], u and v [B, H/2, W/2] in 0..1. The perceptual distance is the small
network that ships with the product (LPIPS-like, trained on LPIPS of VGG16 and AlexNet), so anybody
can repeat a run. The discriminator judges patches and is trained with a hinge loss in each step.
Raises `WrongModelError` where the network is missing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual
from gvcodec.gvc1d.model import Config
from gvcodec.models import TOKEN_METRIC
from gvcodec.perceptual.vgg import PerceptualLoss

Planes = tuple[Tensor, ...]


def to_rgb(planes: Planes) -> Tensor:
    """[B, 3, H, W] of BT.709 planes, chroma repeated."""
    y, u, v = planes
    u, v = (c.repeat_interleave(2, 1).repeat_interleave(2, 2) - 0.5 for c in (u, v))
    red, blue = y + 1.5748 * v, y + 1.8556 * u
    return torch.stack([red, y - 0.1873 * u - 0.4681 * v, blue], 1)


class Discriminator(nn.Module):
    """Logits [B, 1, H/8, W/8] of RGB pictures: how much each patch looks like a source's."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        sizes = (3, width, 2 * width, 2 * width)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
            layers += [nn.utils.parametrizations.spectral_norm(convolution), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 3, padding=1))

    def forward(self, rgb: Tensor) -> Tensor:
        logits: Tensor = self.layers(rgb * 2 - 1)
        return logits


class Appearance:
    """Both terms of the loss; keeps and trains the discriminator."""

    def __init__(self, seed: int, device: torch.device) -> None:
        weights = perceptual.read_weights(TOKEN_METRIC.find())
        self._distance = PerceptualLoss(weights=weights).to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminator = Discriminator().to(device)
        self._optimizer = torch.optim.AdamW(
            self.discriminator.parameters(), 2e-4, betas=(0.5, 0.9), weight_decay=0.0
        )

    def loss(
        self, decoded: Planes, source: Planes, perceptual: float, adversarial: float
    ) -> Tensor:
        """The weighted sum, a scalar; the discriminator takes a step."""
        fake, real = to_rgb(decoded).clamp(0, 1), to_rgb(source).clamp(0, 1)
        total = fake.new_zeros(())
        if perceptual:
            distance, _ = self._distance(fake, self._distance.reference(real))
            total = total + perceptual * distance.mean()
        if adversarial:
            self._train_discriminator(fake.detach(), real)
            total = total - adversarial * self.discriminator(fake).mean()
        return total

    def _train_discriminator(self, fake: Tensor, real: Tensor) -> None:
        hinge = F.relu(1 - self.discriminator(real)).mean()
        hinge = hinge + F.relu(1 + self.discriminator(fake)).mean()
        self._optimizer.zero_grad(set_to_none=True)
        hinge.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        self._optimizer.load_state_dict(state["optimizer"])


class RecallProbe(nn.Module):
    """Reads the memory for the tokens of the scene before the current one, in training only.

    Scenes return, but nothing else asks the memory to keep one: without the probe it learns when
    cuts come, not the scenes. Frames that follow no other scene do not count.
    """

    def __init__(self, config: Config, seed: int) -> None:
        super().__init__()
        self._config, width = config, config.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            # Positions of the tokens of a frame of at most grid² windows.
            count = config.grid**2 * config.tokens
            self.position = nn.Parameter(0.3 * torch.randn(count, width))
            self.norm = nn.LayerNorm(width)
            self.attention = nn.MultiheadAttention(width, config.heads, batch_first=True)
            self.head = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(),
                nn.Linear(2 * width, 2 * config.channels),
            )  # fmt: skip
        self._optimizer = torch.optim.AdamW(self.parameters(), 1e-3, betas=(0.9, 0.98))

    def loss(self, memory: Tensor, tokens: Tensor, scenes: Tensor) -> Tensor:
        """memory [B, F, M, D] after each frame, tokens [B, F, W, T, C], scenes [B, F]: the squared
        error of both softsigns of the integers, a scalar."""
        frames = scenes.shape[1]
        earlier = torch.arange(frames, device=scenes.device)
        other = (scenes[:, None, :] != scenes[:, :, None]) & (earlier < earlier[:, None])
        last = torch.where(other, earlier, -1).amax(2)  # [B, F], -1: none
        clip, frame = torch.nonzero(last >= 0, as_tuple=True)
        if not len(clip):
            return memory.sum() * 0
        target = tokens[clip, last[clip, frame]].flatten(1, 2)  # [N, W * T, C]
        target = torch.cat([F.softsign(target), F.softsign(target / 8)], -1)
        query = self.position[: target.shape[1]].expand(len(clip), -1, -1)
        keys = self.norm(memory[clip, frame])  # [N, M, D]
        read = query + self.attention(query, keys, keys, need_weights=False)[0]
        return (self.head(read) - target).square().mean()

    def step(self) -> None:
        """Descend on the gradients that the last loss left."""
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        return {"probe": self.state_dict(), "optimizer": self._optimizer.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state["probe"])
        self._optimizer.load_state_dict(state["optimizer"])
