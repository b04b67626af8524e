"""Material of `perceptual`: painted pictures and sources with the teachers' distances."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gvcodec import perceptual
from gvcodec.models import PAINTER
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.torch_twin.objective import crop_rgb, paint_run, to_display_rgb
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.util.colour import SMALL
from training.crops import Cache

_LOOP_FRAMES = 0.15  # part of the material that is not painted
_SIDE = 160  # of the crops that are painted; losses see the middle
_SPREAD = (0.01, 0.15)  # standard deviations of moved weights, drawn log-uniformly
GRADIENT_UNIT = 1e-3  # of stored gradients


#: Tensors of the painter that are moved.
_MOVED = {"head.bias", "style.bias", "head.weight"}
#: A distance of pictures and sources, both RGB `(N, 3, H, W)` in 0…1, `(N,)`.
Distance = Callable[[Tensor, Tensor], Tensor]


def lpips_of_both() -> list[Distance]:
    """The teachers: LPIPS on VGG16, in its form for training (`perceptual.vgg`), and on AlexNet.
    Raises `MissingWeightsError`."""
    vgg, alex = PerceptualLoss(), perceptual.lpips("alex")
    return [lambda painted, source: vgg(painted, vgg.reference(source))[0], alex]


@dataclass
class Pairs:
    """fp16: painted and source RGB `(N, 3, H, W)` in 0…1, distances by K teachers `(N, K)`, their
    gradients by the painted picture `(N, K, 3, H, W)` in `GRADIENT_UNIT`."""

    painted: Tensor
    source: Tensor
    distances: Tensor
    gradients: Tensor

    def __len__(self) -> int:
        return len(self.painted)

    def take(self, numbers: Sequence[int] | slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Some of them as fp32, gradients in true size."""
        painted, source, distances, gradients = (x[numbers].float() for x in vars(self).values())
        return painted, source, distances, gradients * GRADIENT_UNIT


def judge_pair(
    teachers: Sequence[Distance], painted: Tensor, source: Tensor
) -> tuple[Tensor, Tensor]:
    """Distances `(N, K)` and their gradients by `painted` `(N, K, 3, H, W)`."""
    painted = painted.detach().requires_grad_(True)
    distances = [teacher(painted, source) for teacher in teachers]
    gradients = [torch.autograd.grad(d.sum(), painted)[0] for d in distances]
    return torch.stack(distances, 1).detach(), torch.stack(gradients, 1)


def make_pairs(
    caches: Sequence[Cache], teachers: Sequence[Distance], count: int, seed: int = 0
) -> Pairs:
    """Random crops of the caches in turn, painted with randomly moved weights, except for
    those that a teacher finds equal to their source: a black frame has no gradient to follow."""
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    painter = PainterNetwork.load(PAINTER.find())
    origin = {n: p.clone() for n, p in painter.named_parameters() if n in _MOVED}
    rows: list[tuple[Tensor, ...]] = []
    while len(rows) < count:
        batch = caches[len(rows) % len(caches)].batch(1, _SIDE)
        spread = math.exp(rng.uniform(*map(math.log, _SPREAD)))
        for name, parameter in painter.named_parameters():
            if name in _MOVED:
                # Changes of the picture itself are on another scale than those of its tokens.
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
        distances, gradients = judge_pair(teachers, painted, source)
        parts = painted, source, distances, gradients / GRADIENT_UNIT
        row = tuple(x.detach().half() for x in parts)
        if float(row[3].abs().amax((2, 3, 4)).min()) > 0:
            rows.append(row)
    return Pairs(*(torch.cat(column) for column in zip(*rows, strict=True)))
