"""Material of `perceptual`: painted pictures and sources with the teacher's distances."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gvcodec.models import PAINTER
from gvcodec.painter.network import PainterNetwork
from gvcodec.painter.objective import crop_rgb, paint_run, to_display_rgb
from gvcodec.painter.payload import GROUPS
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.util.tensors import SMALL
from training.crops import Cache

_LOOP_FRAMES = 0.15  # part of the material that is not painted
_SPREAD = (0.01, 0.15)  # standard deviations of moved weights, drawn log-uniformly
GRADIENT_UNIT = 1e-3  # of stored gradients


@dataclass
class Pairs:
    """fp16: painted and source RGB `(N, 3, H, W)` in 0…1, the teacher's distances (LPIPS-like,
    DISTS) `(N, 2)`, the gradient of their sum by the painted picture in `GRADIENT_UNIT`."""

    painted: Tensor
    source: Tensor
    distances: Tensor
    gradient: Tensor

    def __len__(self) -> int:
        return len(self.painted)

    def take(self, numbers: Sequence[int] | slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Some of them as fp32, gradients in true size."""
        painted, source, distances, gradient = (x[numbers].float() for x in vars(self).values())
        return painted, source, distances, gradient * GRADIENT_UNIT


def make_pairs(
    caches: Sequence[Cache], teacher: PerceptualLoss, count: int, seed: int = 0
) -> Pairs:
    """Random crops of the caches in turn, painted with randomly moved fitted weights."""
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    names = {name for group in GROUPS for name in group}
    painter = PainterNetwork.load(PAINTER.find())
    origin = {n: p.clone() for n, p in painter.named_parameters() if n in names}
    rows: list[tuple[Tensor, ...]] = []
    for number in range(count):
        batch = caches[number % len(caches)].batch(1, 192)
        spread = math.exp(rng.uniform(*map(math.log, _SPREAD)))
        for name, parameter in painter.named_parameters():
            if name in names:
                # What is added to the picture itself is on another scale than what steers it.
                scale = spread * (0.1 if name.startswith("leave") else 1.0)
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(origin[name] + scale * noise)
        with torch.no_grad():
            planes = (batch.base[0][:, -1], batch.base[1][:, -1])
            if rng.random() >= _LOOP_FRAMES:
                planes, _ = paint_run(painter, batch, rng.randrange(1000))
            painted = to_display_rgb(planes, SMALL, 8).half().float()
            last = batch.source[0][:, -1], batch.source[1][:, -1]
            source = crop_rgb(last, SMALL).half().float()
        painted.requires_grad_(True)
        distances = torch.stack(teacher(painted, teacher.reference(source)), 1)
        (gradient,) = torch.autograd.grad(distances.sum(), painted)
        parts = painted, source, distances, gradient / GRADIENT_UNIT
        rows.append(tuple(x.detach().half() for x in parts))
    return Pairs(*(torch.cat(column) for column in zip(*rows, strict=True)))
