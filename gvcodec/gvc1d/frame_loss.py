"""Loss of a frame, window by window, for decisions about tokens: what fitting lowers (LPIPS and
DISTS of the small perceptual network, pixels)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gvcodec import perceptual
from gvcodec.errors import MediaError
from gvcodec.gvc1d.blocks import windows
from gvcodec.gvc1d.picture import PEAK, Picture
from gvcodec.models import GUIDE
from gvcodec.perceptual.losses import eight_bits, pixel_loss
from gvcodec.perceptual.vgg import PerceptualLoss, Reference
from gvcodec.types import VideoFormat
from gvcodec.util.tensors import known_colour, to_rgb

#: Weight of pixels, as in fitting (`gvcodec.painter.objective`).
_PIXEL = 4.0


class Source(NamedTuple):
    """Windows of a source: luma `[W, 1, n, n]`, chroma `[W, 2, n/2, n/2]`, and what the network
    says of them."""

    picture: Picture
    maps: list[Reference]


class FrameLoss:
    """`loss(picture, loss.source(source))` `[W]`, of pictures of whole windows `[1, …]`. Gradients
    flow to `picture`. Raises `MediaError` where the network is missing."""

    def __init__(self, fmt: VideoFormat, window: int, device: str = "cpu") -> None:
        found = perceptual.guide_network("small")
        if found is None:
            raise MediaError(f"{GUIDE.name}: no perceptual network here")
        self._network = PerceptualLoss(weights=found[1], batched=False).to(device)
        self._colour, self._depth = known_colour(fmt.colour, fmt.height), fmt.bit_depth
        self._window = window

    @torch.no_grad()
    def source(self, picture: Picture) -> Source:
        """What pictures are compared with."""
        parts = self._windows(picture)
        return Source(parts, self._network.reference(self._rgb(parts)))

    def __call__(self, picture: Picture, source: Source) -> Tensor:
        """Of each window."""
        parts = self._windows(picture)
        lpips, dists = self._network(self._rgb(parts), source.maps)
        pixels = pixel_loss(*parts, *source.picture)
        total: Tensor = lpips + dists + _PIXEL * pixels
        return total

    def _windows(self, picture: Picture) -> Picture:
        return Picture(*(windows(p, self._window >> i)[0] for i, p in enumerate(picture)))

    def _rgb(self, parts: Picture) -> Tensor:
        planes = [plane * (PEAK / 1023) for plane in parts]
        if self._depth == 8:
            planes = [eight_bits(plane) for plane in planes]
        return to_rgb(planes[0], planes[1], self._colour)
