"""What a run is watched by: the figures of fatal alarms, and the validation on held-out crops.

Rows of the validation: `painter` (the painted AV1 picture), `zero` (the restorer with tokens of
zeros), `tokens`, `shuffled` (each crop with the tokens of another), and `control`: what the metric
of the painted picture would be had AV1 spent the tokens' bits, from a finer AV1 picture of each
crop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gvcodec.errors import UsageError
from gvcodec.painter import perceptual
from gvcodec.painter.perceptual.losses import SMALL, to_rgb
from gvcodec.painter.perceptual.vgg import PerceptualLoss
from gvcodec.training.alarms import MOST_DEAD, MOST_PEAK, SAME, Alarm
from gvcodec.training.latent.material import HELD_OUT, Crops, Material, Pair
from gvcodec.training.latent.model import Block, LatentNetwork
from gvcodec.training.latent.objective import looks, to_display_rgb
from gvcodec.util.psnr import db

#: Least spread of tokens, in steps of the quantiser, and of the features that they become.
_LEAST_SPREAD = 0.02
#: Least share of integers that are not zero, and of those that differ from the other crop's.
_LEAST_USED = 0.003
#: Minutes after which tokens have to do something, and by how much the loss has to rise without
#: them and with another crop's.
PATIENCE_MINUTES, LEAST_GAIN = 10.0, 0.003


@dataclass(frozen=True)
class Figures:
    """`places`, `clips`: spread of tokens between places of a crop and between crops, in steps of
    the quantiser; `feature_places`, `feature_clips`: of what they become. `peak`: root mean square
    of the trunk's largest channel over the median's. `dead`: share of hidden units that are never
    positive. `used`, `changed`: shares of integers that are not zero, and that differ from another
    crop's. `zeroing`, `shuffling`: by how much the loss rises, relative. `gain`: by how much the
    tokens lower the painted picture's. `free`: loss of the painted pictures, which no training
    changes."""

    places: float
    clips: float
    feature_places: float
    feature_clips: float
    peak: float
    dead: float
    used: float
    changed: float
    zeroing: float
    shuffling: float
    gain: float
    free: float

    def check(self, minutes: float, first_free: float) -> None:
        """Raises `Alarm` with the figure that is out of bounds."""
        if not self.peak <= MOST_PEAK:
            raise Alarm(f"one channel of the trunk is {self.peak:.3g} times the median")
        if not self.dead <= MOST_DEAD:
            raise Alarm(f"{100 * self.dead:.0f} % of the units are dead")
        if not abs(self.free - first_free) <= SAME * abs(first_free):
            raise Alarm(f"painted pictures cost {self.free:.4f}, not {first_free:.4f} as before")
        for name in ("places", "clips", "feature_places", "feature_clips"):
            if not getattr(self, name) >= _LEAST_SPREAD:
                raise Alarm(f"tokens hardly differ: {name} {getattr(self, name):.3g}")
        for name in ("used", "changed"):
            if not getattr(self, name) >= _LEAST_USED:
                raise Alarm(f"integers are hardly {name}: {100 * getattr(self, name):.2g} %")
        if minutes < PATIENCE_MINUTES:
            return
        for name in ("zeroing", "shuffling", "gain"):
            if not getattr(self, name) >= LEAST_GAIN:
                raise Alarm(f"tokens do nothing: {name} {100 * getattr(self, name):.2g} %")


def gather(crops: Sequence[Crops]) -> Crops:
    """One batch of several."""

    def joined(pairs: Sequence[Pair]) -> Pair:
        return torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])

    return Crops(
        joined([c.source for c in crops]),
        joined([c.base for c in crops]),
        joined([c.painted for c in crops]),
        torch.cat([c.q for c in crops]),
        torch.cat([c.bits for c in crops]),
    )


def others(z: Tensor) -> Tensor:
    """The tokens of another crop, about half a batch away: neighbours may be of one clip, and in a
    batch of two CRFs the crop just half a batch away is the same one."""
    return z.roll(len(z) // 2 | 1, 0)


def _spread(x: Tensor) -> tuple[float, float]:
    """Mean standard deviation of channels between places and between crops."""
    return float(x.std((2, 3)).mean()), float(x.mean((2, 3)).std(0).mean())


def watch(network: LatentNetwork, crops: Crops, leader: PerceptualLoss) -> Figures:
    """Figures of a batch of crops of different clips at one CRF or several."""
    with torch.no_grad():
        z = network.encode(crops).round()
        restorer = network.restorer
        features = restorer.reader.features(z, restorer.enter(crops))
        hidden: list[Tensor] = []
        blocks = [b for b in restorer.blocks if isinstance(b, Block)]
        hooks = [
            b.first.register_forward_hook(lambda module, given, out: hidden.append(out))
            for b in blocks
        ]
        trunk = restorer.trunk(crops, z)
        for hook in hooks:
            hook.remove()
        size = trunk.square().mean((0, 2, 3)).sqrt()
        alive = torch.cat([h.amax((0, 2, 3)) > 0 for h in hidden])
        rows = (crops.painted, *(network.restore(crops, t) for t in (z, 0 * z, others(z))))
        free, tokens, zero, shuffled = (
            float(looks(leader, row, crops).sum(0).mean()) for row in rows
        )
    places, clips = _spread(z)
    feature_places, feature_clips = _spread(features)
    return Figures(
        places,
        clips,
        feature_places,
        feature_clips,
        peak=float(size.max() / size.median().clamp(min=1e-6)),
        dead=1 - float(alive.float().mean()),
        used=float((z != 0).float().mean()),
        changed=float((z != others(z)).float().mean()),
        zeroing=zero / tokens - 1,
        shuffling=shuffled / tokens - 1,
        gain=1 - tokens / free,
        free=free,
    )


class Validation:
    """Metrics of held-out crops of `size`², `count` in all, as many at each coarser CRF of
    `HELD_OUT`. Raises `UsageError` where there are none. Without the metrics' weights `metrics` is
    empty."""

    def __init__(self, material: Material, count: int, size: int) -> None:
        self.crops: dict[int, tuple[Crops, Crops]] = {}
        for q in HELD_OUT[::2]:
            pairs = material.twice(2 * count // len(HELD_OUT), size, (q,))
            if pairs:
                coarse, fine = zip(*pairs, strict=True)
                self.crops[q] = gather(coarse), gather(fine)
        if not self.crops:
            raise UsageError("no held-out picture is there with two CRFs")
        self.metrics: dict[str, nn.Module] = {}
        if perceptual.find_weights():
            self.metrics = {"alex": perceptual.lpips("alex"), "vgg": perceptual.lpips("vgg")}
            self.metrics |= {"dists": perceptual.dists()}
        self._free: dict[int, tuple[dict[str, float], dict[str, float]]] = {}

    def few(self, count: int) -> Crops:
        """Some of the crops, of all CRFs and from all over the sources."""
        every = gather([coarse for coarse, _ in self.crops.values()])
        picked = torch.linspace(0, len(every) - 1, min(count, len(every))).round().long()
        pairs = (every.source, every.base, every.painted)
        parts = [(luma[picked], chroma[picked]) for luma, chroma in pairs]
        return Crops(parts[0], parts[1], parts[2], every.q[picked], every.bits[picked])

    def judge(self, pair: Pair, crops: Crops) -> dict[str, float]:
        """Mean metrics of pictures, PSNR of luma in dB (mean of the crops') among them."""
        ours = to_display_rgb(pair).clamp(0, 1)
        wanted = to_rgb(*crops.source, SMALL).clamp(0, 1)
        found = {}
        for name, metric in self.metrics.items():
            ones = [float(metric(a[None], b[None])) for a, b in zip(ours, wanted, strict=True)]
            found[name] = sum(ones) / len(ones)
        errors = (pair[0].clamp(0, 1) - crops.source[0]).square().mean((1, 2, 3)).clamp(min=1e-7)
        return found | {"psnr": sum(db(float(e), 1.0) for e in errors) / len(errors)}

    @torch.no_grad()
    def run(self, network: LatentNetwork) -> dict[str, Any]:
        """Rows by name, "q62 tokens" and so on, each a dict of metrics."""
        report: dict[str, Any] = {}
        for q, (crops, finer) in self.crops.items():
            if q not in self._free:
                self._free[q] = tuple(self.judge(c.painted, c) for c in (crops, finer))  # type: ignore[assignment]
            painted, fine = self._free[q]
            z = network.encode(crops).round()
            bits = {
                name: float(model(z, crops.q).sum((1, 2, 3)).mean())
                for name, model in (
                    ("factorised", network.factorised),
                    ("context", network.context),
                )
            }
            report[f"q{q} painter"] = painted | {"bits": float(crops.bits.mean())}
            for name, tokens in (("zero", 0 * z), ("tokens", z), ("shuffled", others(z))):
                report[f"q{q} {name}"] = self.judge(network.restore(crops, tokens), crops)
            report[f"q{q} tokens"] |= bits
            spent = float(crops.bits.mean())
            rise = math.log(float(finer.bits.mean()) / spent)
            more = math.log1p(min(bits.values()) / spent) / rise
            report[f"q{q} control"] = {
                name: painted[name] * (fine[name] / painted[name]) ** more
                for name in ("alex", "vgg", "dists")
            } | {"psnr": painted["psnr"] + more * (fine["psnr"] - painted["psnr"])}
        return {
            row: {name: round(value, 4) for name, value in found.items()}
            for row, found in report.items()
        }

    @torch.no_grad()
    def sheet(self, network: LatentNetwork) -> Tensor:
        """RGB bytes `(H, W, 3)`: rows of source | AV1 | painted | restored."""
        rows = []
        for crops, _ in self.crops.values():
            restored = network.restore(crops, network.encode(crops).round())
            columns = [
                to_display_rgb(p) for p in (crops.source, crops.base, crops.painted, restored)
            ]
            rows += list(torch.cat(columns, 3)[:: max(1, len(crops) // 5)])
        return (torch.cat(rows, 1).clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
