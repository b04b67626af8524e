"""What restored crops cost: looks by two networks in turn, pixels, guards, and the price of bits.

Every crop counts relative to what crops of its rate cost on average, so that all rates weigh the
same. Bits are priced in the same unit: `slopes` say, for each class of CRFs, how much the relative
loss of AV1's own pictures falls with each relative increase of their bytes, -d ln(loss) / d
ln(bytes), so at the full price a bit of a token has to buy as much as a bit of AV1.

The gradient by pixels is brought to a share of the one by looks, by their norms: at equal weights
they are a hundredfold apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gvcodec.errors import MediaError
from gvcodec.painter import perceptual
from gvcodec.painter.perceptual.losses import (
    SMALL,
    contrast_guard,
    eight_bits,
    fidelity_guard,
    pixel_loss,
    to_rgb,
)
from gvcodec.painter.perceptual.vgg import PerceptualLoss
from gvcodec.training.latent.material import Crops, Pair

#: Loss of PSNR against the AV1 picture, in dB, that costs nothing by itself.
_ALLOWED = 0.3
#: CRFs from which on rates are of the classes that share what they usually cost.
_CLASSES = (0, 32, 36, 40, 44, 48, 52, 56, 60, 64)
#: Least slope of a class: few pairs may say anything.
_LEAST_SLOPE = 0.1
#: Share of an average that a new value makes up.
_NEW = 0.02


def open_leaders() -> list[PerceptualLoss]:
    """VGG16 where its weights are found, then the small network. Raises `MediaError`."""
    found = []
    for leader in ("vgg", "small"):
        leading = perceptual.leading_weights(leader)
        if leading is not None and leading[0] == leader:
            found.append(PerceptualLoss(weights=leading[1]))
    if not found:
        raise MediaError("no weights of the perceptual losses found")
    return found


def to_display_rgb(pair: Pair) -> Tensor:
    """RGB `(B, 3, H, W)` of what a viewer of 8-bit video gets."""
    return to_rgb(eight_bits(pair[0]), eight_bits(pair[1]), SMALL)


def looks(leader: PerceptualLoss, pair: Pair, crops: Crops) -> Tensor:
    """LPIPS-like distance and DISTS, `(2, B)`."""
    reference = leader.reference(to_rgb(*crops.source, SMALL))
    return torch.stack(leader(to_display_rgb(pair), reference))


class Objective:
    """See the module. `leaders`: of looks, the first takes two steps of three; `share`: of the
    gradient by pixels; `guard`, `contrast`: weights of the guards."""

    def __init__(
        self,
        leaders: Sequence[PerceptualLoss],
        share: float = 0.3,
        guard: float = 0.1,
        contrast: float = 0.07,
    ) -> None:
        self.leaders = list(leaders)
        self._share, self._guard, self._contrast = share, guard, contrast
        self.usual_loss = torch.full((len(self.leaders), len(_CLASSES)), 0.3)
        self.usual_bits = torch.full((len(_CLASSES),), 4000.0)
        self.norms = torch.ones(2)
        self.slopes = torch.zeros(len(_CLASSES))
        self._seen = 0

    def state(self) -> dict[str, Any]:
        """Averages, to go on with."""
        return {
            "usual_loss": self.usual_loss,
            "usual_bits": self.usual_bits,
            "norms": self.norms,
            "slopes": self.slopes,
            "seen": self._seen,
        }

    def take(self, state: dict[str, Any]) -> None:
        """What `state` gave."""
        self.usual_loss, self.usual_bits = state["usual_loss"], state["usual_bits"]
        self.norms, self.slopes, self._seen = state["norms"], state["slopes"], state["seen"]

    @torch.no_grad()
    def measure_slopes(self, pairs: Sequence[tuple[Crops, Crops]]) -> None:
        """`slopes` out of pictures with two CRFs, and what crops usually cost. A class without
        pairs has the slope of all."""
        falls, rises = torch.zeros_like(self.slopes), torch.zeros_like(self.slopes)
        for coarse, fine in pairs:
            losses = [float(looks(self.leaders[0], c.painted, c).sum()) for c in (coarse, fine)]
            kind = self._kinds(coarse)
            falls[kind] += math.log((losses[0] + 0.01) / (losses[1] + 0.01))
            rises[kind] += math.log(float(fine.bits) / float(coarse.bits))
            for crops, loss in zip((coarse, fine), losses, strict=True):
                kind = self._kinds(crops)
                self.usual_loss[:, kind] += 0.1 * (loss - self.usual_loss[:, kind])
                self.usual_bits[kind] += 0.1 * (crops.bits - self.usual_bits[kind])
        every = falls.sum() / rises.sum().clamp(min=1e-6)
        slopes = torch.where(rises > 0, falls / rises.clamp(min=1e-6), every)
        self.slopes = slopes.clamp(min=_LEAST_SLOPE)

    def _kinds(self, crops: Crops) -> Tensor:
        return torch.bucketize(crops.q, torch.tensor(_CLASSES).float(), right=True) - 1

    def price(self, crops: Crops) -> Tensor:
        """Of a bit of each crop, `(B,)`, in relative loss."""
        kinds = self._kinds(crops)
        return self.slopes[kinds] / self.usual_bits[kinds]

    def __call__(self, pair: Pair, crops: Crops, step: int) -> tuple[Tensor, dict[str, float]]:
        """A scalar whose gradient is that of the loss, and what the loss is made of: means of the
        crops, relative but for `pixel` and the guards."""
        number = len(self.leaders) - 1 if step % 3 == 2 else 0
        leaves = tuple(part.detach().requires_grad_(True) for part in pair)
        luma, chroma = leaves
        seen = looks(self.leaders[number], (luma, chroma), crops)
        kinds = self._kinds(crops)
        self._follow(number, kinds, seen.detach().sum(0), crops.bits)
        usual = self.usual_loss[number][kinds]
        guard = fidelity_guard(luma, crops.base[0], crops.source[0], _ALLOWED)
        contrast = contrast_guard(luma, crops.base[0], crops.source[0])
        led = (seen / usual).sum(0) + (self._guard * guard + self._contrast * contrast) / usual
        by_looks = torch.autograd.grad(led.mean(), leaves)
        pixel = pixel_loss(luma, chroma, *crops.source)
        by_pixels = torch.autograd.grad((pixel / usual).mean(), leaves)
        weight = self._balance(by_looks, by_pixels)
        total = sum(
            (part * (a + weight * b)).sum()
            for part, a, b in zip(pair, by_looks, by_pixels, strict=True)
        )
        assert isinstance(total, Tensor)
        parts = {"lpips": seen[0] / usual, "dists": seen[1] / usual, "pixel": pixel}
        parts |= {"guard": guard, "contrast": contrast}
        means = {name: float(value.detach().mean()) for name, value in parts.items()}
        return total, means | {"pixel_weight": weight}

    def _balance(self, by_looks: Sequence[Tensor], by_pixels: Sequence[Tensor]) -> float:
        """What the gradient by pixels is multiplied by."""
        norms = torch.stack(
            [
                torch.cat([part.flatten() for part in parts]).norm()
                for parts in (by_looks, by_pixels)
            ]
        )
        self._seen += 1
        self.norms += max(_NEW, 1 / self._seen) * (norms - self.norms)
        return float(self._share * self.norms[0] / self.norms[1].clamp(min=1e-12))

    def _follow(self, number: int, kinds: Tensor, losses: Tensor, bits: Tensor) -> None:
        """Move what crops usually cost, and how many bits they have."""
        for kind, loss, spent in zip(kinds.tolist(), losses, bits, strict=True):
            row = self.usual_loss[number]
            row[kind] += _NEW * (loss - row[kind])
            self.usual_bits[kind] += _NEW * (spent - self.usual_bits[kind])
