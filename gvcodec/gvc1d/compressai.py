"""Base gvc1d under CompressAI's names, for single pictures.

    from gvcodec.gvc1d.compressai import register
    register()                                       # "gvc1d" in compressai.registry.MODELS
    model = GVC1DPictures()                          # the shipped weights
    packed = model.compress(rgb)                     # {"strings": [[bytes, …]], "shape": (H, W)}
    rgb = model.decompress(**packed)["x_hat"]

Needs torch; only `register` needs the package compressai (extra `compressai`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gvcodec.gvc1d.decoder import Gvc1dDecoder
from gvcodec.gvc1d.encoder import Gvc1dEncoder
from gvcodec.gvc1d.model_file import load_network
from gvcodec.gvc1d.pictures import pad, padded_size
from gvcodec.gvc1d.token_order import FIRST_FINER, planes_of
from gvcodec.models import GVC1D
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.colour import SMALL
from gvcodec.util.tensors import to_rgb


class GVC1DPictures(nn.Module):
    """A `CompressionModel` by shape: RGB `[N, 3, H, W]` in 0…1. `q`: as of `encode`, 0…63."""

    def __init__(self, path: Path | None = None, q: int = 40) -> None:
        super().__init__()
        self.path, self.q = path or GVC1D.find(), q
        self.network = load_network(self.path)

    @torch.no_grad()
    def forward(self, x: Tensor) -> dict[str, Any]:
        """`x_hat`, and `likelihoods` {"y": `[N, H, W]`}, whose product is that of all tokens."""
        q = max(0, self.q - FIRST_FINER)
        size = padded_size(_format(x.shape[2:]))
        whole = [pad(_planes(one), size) for one in x.split(1)]
        y, u, v = (
            torch.stack([torch.from_numpy(picture[k].astype(np.float32)) for picture in whole])
            for k in range(3)
        )
        source = y[:, None].to(x.device), torch.stack([u, v], 1).to(x.device)
        made = self.network(source, None, None, torch.full((len(x),), float(q)), planes_of(q))
        rgb = to_rgb(made.y / 1023, made.uv / 1023, SMALL)[..., : x.shape[2], : x.shape[3]]
        share = torch.exp2(-made.bits / (x.shape[2] * x.shape[3]))
        likelihoods = share[:, None, None].expand(-1, *x.shape[2:])
        return {"x_hat": rgb.clamp(0, 1), "likelihoods": {"y": likelihoods}}

    def compress(self, x: Tensor) -> dict[str, Any]:
        """Each picture's bytes, and their size."""
        strings = []
        for one in x.split(1):
            encoder = Gvc1dEncoder(_format(x.shape[2:]), self.q, threads=1, model=self.path)
            coded = encoder.send(_planes(one))
            strings.append(coded.packets[0].payload)
        return {"strings": [strings], "shape": tuple(x.shape[2:])}

    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, Any]:
        """Raises `DamagedStreamError`."""
        return {"x_hat": torch.cat([self._show(one, shape) for one in strings[0]])}

    def _show(self, payload: bytes, shape: tuple[int, int]) -> Tensor:
        decoder = Gvc1dDecoder(_format(shape), self.path)
        planes = decoder.send(payload, True)[0]
        y, u, v = (torch.from_numpy(p.astype(np.float32)) for p in planes)
        rgb = to_rgb(y[None, None] / 1023, torch.stack([u, v])[None] / 1023, SMALL)
        return rgb[:, :, : shape[0], : shape[1]].clamp(0, 1)


def _even(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    return nn.functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")


def _format(shape: tuple[int, ...]) -> VideoFormat:
    height, width = (side + side % 2 for side in shape)
    return VideoFormat(width, height, Fraction(1), Fraction(1), 10, Colour())


def _planes(x: Tensor) -> Planes:
    """Of one picture `[1, 3, H, W]`, in 10-bit levels."""
    even = _even(x)
    kr, kb = 0.299, 0.114  # BT.601 of limited range
    luma = kr * even[:, 0] + (1 - kr - kb) * even[:, 1] + kb * even[:, 2]
    u, v = (even[:, 2] - luma) / (2 * (1 - kb)), (even[:, 0] - luma) / (2 * (1 - kr))
    uv = nn.functional.avg_pool2d(torch.stack([u, v], 1), 2) * (224 * 4) + 512
    levels = luma * (219 * 4) + 64, uv[:, 0], uv[:, 1]
    found = [p[0].round().clamp(0, 1023).cpu().numpy().astype(np.uint16) for p in levels]
    return found[0], found[1], found[2]


def register() -> None:
    """Make "gvc1d" known to CompressAI. Raises `ImportError` without it."""
    from compressai.registry import register_model

    register_model("gvc1d")(GVC1DPictures)
