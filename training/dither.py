"""Perceptual losses that noise cannot lower: both pictures get noise before they are compared.

LPIPS and DISTS reward half a level of white noise on smooth pictures, however little it resembles
the source. Stronger noise on both pictures, independent and the same on R, G and B, hides so faint
a texture (`gvcodec.perceptual.dither`). Pictures are (N, 3, H, W), RGB in 0…1.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from gvcodec.perceptual import Lpips
from gvcodec.perceptual.dither import dither
from gvcodec.perceptual.vgg import PerceptualLoss


class Dither:
    """`dither(rgb)` is a noisy copy, another one at each call; gradients pass through."""

    def __init__(self, sigma: float, seed: int = 0) -> None:
        """`sigma`: standard deviation of Gaussian noise, in 8-bit levels."""
        self.sigma, self.seed, self.copies = sigma, seed, 0

    def restart(self, seed: int) -> None:
        """The following copies depend on the seed alone."""
        self.seed, self.copies = seed, 0

    def __call__(self, rgb: Tensor) -> Tensor:
        self.copies += 1
        return dither(rgb, (self.seed, self.copies), self.sigma)


class DitheredLoss(PerceptualLoss):
    """`PerceptualLoss` of dithered pictures."""

    def __init__(self, dither: Dither, weights: dict[str, Tensor] | None = None) -> None:
        super().__init__(weights=weights)
        self.dither = dither

    def reference(self, rgb: Tensor) -> Any:
        return super().reference(self.dither(rgb))

    def forward(self, rgb: Tensor, references: Any) -> tuple[Tensor, Tensor]:
        return super().forward(self.dither(rgb), references)


class DitheredLpips(Lpips):
    """`Lpips` of dithered pictures."""

    def __init__(self, dither: Dither, network: Literal["alex", "vgg"]) -> None:
        super().__init__(network)
        self.dither = dither

    def forward(self, x: Tensor, y: Tensor | list[Tensor]) -> Tensor:
        """The second as a picture: given maps are not dithered."""
        return super().forward(self.dither(x), self.dither(y) if isinstance(y, Tensor) else y)
