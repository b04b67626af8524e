"""LPIPS-VGG and DISTS as one loss, which is most of the cost of training and fitting.

One pass through VGG16 with DISTS' pooling serves both distances, and the source's maps are computed
once and kept. DISTS is exact; the LPIPS weights act on maps pooled by L2 instead of maximum, so
that distance is not LPIPS to the digit but goes up and down with it. Samples are handled one by
one, since their maps stay in cache; on a GPU whole batches are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual

_STAGES = perceptual._VGG


@dataclass
class StageReference:
    """One stage of the source: map `(P, C)`, inverse length of each row `(P, 1)`, Σ w·b²/|b|² of
    each row `(P, 1)`, mean and mean square."""

    map: Tensor
    inverse: Tensor
    weighted: Tensor
    mean: Tensor
    square: Tensor


Reference = list[StageReference]


def _rows(x: Tensor) -> Tensor:
    """A channels-last map `(1, C, H, W)` as `(H·W, C)` without copying."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


class PerceptualLoss(nn.Module):
    """`forward(rgb, references)` → (LPIPS-like, DISTS), each `(N,)`; `rgb` `(N, 3, H, W)` in 0…1,
    one `Reference` a sample from `reference(rgb)`.

    `batched`: whole batches at a time, by default on a GPU; then `reference` returns the maps of
    the batch instead. `weights`: of another network of VGG16's form, by the names of its file
    (`perceptual.load_weights`)."""

    _lin: Tensor

    def __init__(
        self, batched: bool | None = None, weights: dict[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self._batched = batched
        weights = weights or perceptual.load_weights("vgg")
        self.dists = dists = perceptual.Dists(weights).eval()
        for index in (index for stage in _STAGES for index, _, _ in stage):
            weight = getattr(dists.features, f"w{index}")
            weight.data = weight.contiguous(memory_format=torch.channels_last)
        lin = [weights[f"lin{i}.weight"].flatten() for i in range(len(_STAGES))]
        self._sizes = [3, *map(len, lin)]
        self.register_buffer("_lin", torch.cat([torch.zeros(3), *lin]), persistent=False)

    def _of_stages(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Weights of the picture's and all stages' channels, stage by stage."""
        return weights.split(self._sizes)

    def _maps(self, sample: Tensor) -> Iterator[Tensor]:
        """The picture and the five stages, channels last."""
        return self.dists.maps(sample.contiguous(memory_format=torch.channels_last))

    def _of_batch(self, rgb: Tensor, references: list[Tensor]) -> tuple[Tensor, Tensor]:
        maps, distance = list(self.dists.maps(rgb)), rgb.new_zeros(len(rgb))
        lin = self._of_stages(self._lin)
        for x, y, weight in zip(maps[1:], references[1:], lin[1:], strict=True):
            one, other = (F.normalize(z.float(), dim=1, eps=1e-5) for z in (x, y))
            distance = distance + ((one - other).square() * weight[:, None, None]).sum(1).mean(
                (1, 2)
            )
        return distance, self.dists(maps, references)

    @property
    def batched(self) -> bool:
        return self._lin.is_cuda if self._batched is None else self._batched

    @torch.no_grad()
    def reference(self, rgb: Tensor) -> Any:
        """What is needed of each source picture in `(N, 3, H, W)`; about 8 MB for 128²."""
        if self.batched:
            return list(self.dists.maps(rgb))
        references = []
        for sample in rgb.split(1):
            stages = []
            for x, weight in zip(self._maps(sample), self._of_stages(self._lin), strict=True):
                b = _rows(x)
                square = b * b
                inverse = torch.rsqrt(square.sum(1, keepdim=True) + 1e-10)
                stages.append(
                    StageReference(
                        b,
                        inverse,
                        (square @ weight)[:, None] * inverse * inverse,
                        b.mean(0),
                        square.mean(0),
                    )
                )
            references.append(stages)
        return references

    def forward(self, rgb: Tensor, references: Any) -> tuple[Tensor, Tensor]:
        if self.batched:
            return self._of_batch(rgb, references)
        scores = [
            self._compare(sample, reference)
            for sample, reference in zip(rgb.split(1), references, strict=True)
        ]
        distance, texture = torch.stack(scores).unbind(1)
        return distance, texture

    def _compare(self, sample: Tensor, reference: Reference) -> Tensor:
        """One sample's (LPIPS-like, DISTS) `(2,)`."""
        distance, similarity = sample.new_zeros(()), sample.new_zeros(())
        weights = map(self._of_stages, (self._lin, self.dists.alpha, self.dists.beta))
        for number, (x, ref, lin, alpha, beta) in enumerate(
            zip(self._maps(sample), reference, *weights, strict=True)
        ):
            a = _rows(x)
            square, product = a * a, a * ref.map
            inverse = torch.rsqrt(square.sum(1, keepdim=True) + 1e-10)
            own = (square @ lin)[:, None] * inverse * inverse
            cross = (product @ lin)[:, None] * inverse * ref.inverse
            if number:
                distance = distance + (own + ref.weighted - 2 * cross).mean()
            mean = a.mean(0)
            variance, other = square.mean(0) - mean * mean, ref.square - ref.mean * ref.mean
            covariance = product.mean(0) - mean * ref.mean
            texture = (2 * mean * ref.mean + 1e-6) / (mean * mean + ref.mean * ref.mean + 1e-6)
            structure = (2 * covariance + 1e-6) / (variance + other + 1e-6)
            similarity = similarity + (alpha * texture + beta * structure).sum()
        return torch.stack([distance, 1 - similarity])
