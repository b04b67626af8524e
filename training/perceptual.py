"""Distils LPIPS of VGG16 and of AlexNet into the small network that leads fitting.

    python -m training perceptual --cache out/cache --out out/distil --minutes 60

The student has the form of VGG16 with far fewer channels; its one distance, LPIPS-like, learns the
sum of both teachers'. DISTS is held out: its weights do not change. Material
(`perceptual_pairs`) is painted with randomly moved weights. A run begins with the weights of
`--initial`, or else, layer by layer and in closed form, with VGG16's most informative channels
(pivoted Cholesky of covariances) and layers fitted to their responses, most to differences between
painted picture and source. Then gradient descent of all weights on the teachers' gradients and
distances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual
from gvcodec.models import GUIDE, save_weights
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.util.options import ExactParser
from training.card import write_card
from training.crops import Cache
from training.loop import Loop, Schedule, Work
from training.perceptual_layers import CHANNELS, Weights, fit_layers
from training.perceptual_pairs import Pairs, lpips_of_both, make_pairs

#: Columns of the pairs' distances.
TEACHERS = ("vgg", "alex")
_HEADS = 30  # times as fast the weights of the distances move as the layers do
_REACH = (8, 32)  # sides of the blocks whose gains gradients are compared by


def _local_gains(gradient: Tensor, picture: Tensor, side: int) -> Tensor:
    """Gradient by gains of three bands of luma in blocks: `(N, 3, H/side, W/side)`."""
    low = (picture * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    bands = []
    for reach in (3, 7, 15):
        lower = F.avg_pool2d(low, reach, 1, reach // 2, count_include_pad=False)
        bands.append(low - lower)
        low = lower
    return F.avg_pool2d(gradient.sum(1, keepdim=True) * torch.cat(bands, 1), side)


def _follow(
    weights: Weights, painted: Tensor, source: Tensor, learning: bool
) -> tuple[Tensor, Tensor]:
    """Distances `(N,)` of a student and the gradient of their sum by the painted pictures."""
    loss = PerceptualLoss(integer=False, is_batched=True, weights=weights)
    painted = painted.detach().requires_grad_(True)
    distances = loss(painted, list(loss.dists.maps(source)))[0]
    (gradient,) = torch.autograd.grad(distances.sum(), painted, create_graph=learning)
    return distances, gradient


def _angles(ours: Tensor, theirs: Tensor, painted: Tensor) -> Tensor:
    """1 - cosine of two gradients `(3, N)`: of pixels, and of the gains of bands in blocks."""
    pairs = [(ours, theirs)]
    pairs += [tuple(_local_gains(g, painted, side) for g in (ours, theirs)) for side in _REACH]  # type: ignore[misc]
    flat = [(a.flatten(1), b.flatten(1)) for a, b in pairs]
    return torch.stack([1 - F.cosine_similarity(a, b, eps=1e-12) for a, b in flat])


def _rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's, of two `(N,)` without ties."""
    ranks = torch.stack([x.argsort().argsort().float() for x in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])


def agreement(weights: Weights, pairs: Pairs, names: Sequence[str] = TEACHERS) -> dict[str, float]:
    """How a student's gradients and distances go with those of each teacher and of their sum: mean
    cosines of gradients (of pixels, and of the gains of bands in blocks), rank correlation of
    distances; ratio of the student's mean distance to that of the sum."""
    cosines: dict[str, list[Tensor]] = {}
    student_distances, targets = [], pairs.distances.float()
    for first in range(0, len(pairs), 4):
        painted, source, _, gradients = pairs.take(slice(first, first + 4))
        distances, ours = _follow(weights, painted, source, False)
        theirs = [*gradients.unbind(1), gradients.sum(1)]
        for name, gradient in zip((*names, "both"), theirs, strict=True):
            cosines.setdefault(name, []).append(1 - _angles(ours, gradient, painted))
        student_distances.append(distances.detach())
    of, report = torch.cat(student_distances), {}
    for name, distance in zip((*names, "both"), (*targets.unbind(1), targets.sum(1)), strict=True):
        means = torch.cat(cosines[name], 1).mean(1).tolist()
        for kind, mean in zip(("pixels", *(f"gains{s}" for s in _REACH)), means, strict=True):
            report[f"{name}_{kind}"] = mean
        report[f"{name}_rank"] = _rank_correlation(of, distance)
    report["ratio"] = float(of.mean() / targets.sum(1).mean())
    return {name: round(value, 3) for name, value in report.items()}


class _Student(nn.Module):
    """Free weights, except for those of DISTS, which is not learned. Those of the distance are
    squares of the trained numbers: they stay positive."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.fixed = {n: t for n, t in weights.items() if n in ("alpha", "beta")}
        self.names = [n for n in weights if n not in self.fixed]
        self.squared = {n for n in self.names if n.startswith("lin")}
        self.free = nn.ParameterList(
            weights[n].clamp(min=0).sqrt() if n in self.squared else weights[n].clone()
            for n in self.names
        )

    def weights(self) -> Weights:
        pairs = zip(self.names, self.free, strict=True)
        return {n: t.square() if n in self.squared else t for n, t in pairs} | self.fixed


class _Refining(Work):
    """All weights on the teacher's gradients and distances; `held`: pairs to validate by."""

    def __init__(self, student: Weights, pairs: Pairs, batch: int, **rest: Any) -> None:
        self.model = self._student = _Student(student)
        self._pairs, self._batch, self._order = pairs, batch, list[int]()
        self._held, self._out, self._facts = rest["held"], rest["out"], rest["facts"]
        self._rng = np.random.default_rng(0)

    def groups(self) -> list[dict[str, Any]]:
        """Rates are relative to the size of each tensor."""
        student, groups = self._student, []
        for name, tensor in zip(student.names, student.free, strict=True):
            size = max(1e-4, float(tensor.detach().square().mean().sqrt()))
            scale = size * (_HEADS if name in student.squared else 1)
            groups.append({"params": [tensor], "scale": scale})
        return groups

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if len(self._order) < self._batch:
            self._order = self._rng.permutation(len(self._pairs)).tolist()
        numbers = [self._order.pop() for _ in range(self._batch)]
        painted, source, by_teachers, gradients = self._pairs.take(numbers)
        targets, gradient = by_teachers.sum(1), gradients.sum(1)
        distances, ours = _follow(self._student.weights(), painted, source, True)
        angles = _angles(ours, gradient, painted).sum(0)
        length = torch.log(ours.flatten(1).norm(dim=1) / gradient.flatten(1).norm(dim=1)).abs()
        values = ((distances - targets) / (targets + 0.02)).square().clamp(max=3)
        total = (angles + 0.2 * length + 0.3 * values).mean()
        return total, {"total": float(total.detach())}

    def validate(self, average: nn.Module) -> dict[str, float]:
        return agreement(_weights_of(average), self._held) if self._held else {}

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        assert self._out is not None
        path = self._out / GUIDE.name
        save_weights(_weights_of(average), path)
        write_card(path, average, steps, minutes, **self._facts)

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self._rng = np.random.default_rng(steps)


def _weights_of(student: nn.Module) -> Weights:
    assert isinstance(student, _Student)
    return {n: t.detach() for n, t in student.weights().items()}


def refine(
    student: Weights,
    pairs: Pairs,
    minutes: float,
    rate: float = 0.0005,
    batch: int = 4,
    steps: int = 0,
    held: Pairs | None = None,
    out: Path | None = None,
    **facts: Any,
) -> tuple[Weights, int]:
    """Gradient descent on all weights; `rate`: largest step, relative to the size of each tensor;
    `steps`: instead of minutes; `held`: validates once a minute; `out`: folder of state, weights
    and card with `facts`. Returns the averaged weights, and how many steps there were."""
    schedule = Schedule(
        rate, minutes, steps, 50, 0.02, clip=3.0, betas=(0.9, 0.99), decay=0.0, validate_minutes=1
    )
    loop = Loop(_Refining(student, pairs, batch, held=held, out=out, facts=facts), schedule, out)
    loop.run(math.inf if steps else minutes, steps)
    return _weights_of(loop.average), loop.steps


def main(words: Sequence[str] | None = None) -> None:
    parser = ExactParser(prog="perceptual", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--cache", type=Path, nargs="+", required=True, help="folders of training material")
    add("--out", type=Path, required=True, help="folder for material and weights")
    add("--pairs", type=int, default=3000, help="pairs of pictures to learn from (3000)")
    add("--fitted", type=int, default=600, help="pairs for the closed form (600: 6 GB of memory)")
    add("--minutes", type=float, default=60.0, help="minutes of gradient descent (60)")
    add("--initial", type=Path, help="weights to begin with, instead of the closed form")
    options = parser.parse_args(words)
    if options.initial and not options.initial.is_file():
        parser.error(f"{options.initial}: no such file")
    if not perceptual.find_weights():
        parser.error(
            "no weights of VGG16 and AlexNet to learn from (python -m eval weights makes them)"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    parts = {}
    for name, held_out, count in (("held", True, 120), ("pairs", False, options.pairs)):
        path = options.out / f"{name}.pt"
        if not path.is_file():
            caches = [Cache(folder, held_out=held_out) for folder in options.cache]
            pairs = make_pairs(caches, lpips_of_both(), count, seed=int(held_out))
            torch.save(vars(pairs), path)
        parts[name] = Pairs(**torch.load(path, weights_only=True))
    first = options.initial or options.out / "fitted.safetensors"
    if not first.is_file():
        some = Pairs(*(x[: options.fitted] for x in vars(parts["pairs"]).values()))
        save_weights(fit_layers(perceptual.load_weights("vgg"), some), first)
    digests = [Cache(folder, held_out=False).digest() for folder in options.cache]
    start = {"initial": first.name} if options.initial else {"fitted": options.fitted}
    facts = {"channels": CHANNELS, **start, "caches_sha256": digests}
    facts |= {"pairs_learned": len(parts["pairs"]), "held": parts["held"], "out": options.out}
    refine(perceptual.read_weights(first), parts["pairs"], options.minutes, **facts)
