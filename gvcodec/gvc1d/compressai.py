"""GVC1D under CompressAI's names, for single pictures.

    from gvcodec.gvc1d.compressai import register
    register()                                       # "gvc1d" in compressai.registry.MODELS
    model = GVC1DPictures()                          # the shipped weights
    packed = model.compress(rgb)                     # {"strings": [[bytes, …]], "shape": (H, W)}
    rgb = model.decompress(**packed)["x_hat"]

Needs torch; only `register` needs the package compressai.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.checkpoint import load_model
from gvcodec.gvc1d.files import choose_pair, read_entropy
from gvcodec.gvc1d.picture import Picture, crop, from_rgb, pad
from gvcodec.gvc1d.run import Frame
from gvcodec.util.tensors import SMALL, to_rgb


class GVC1DPictures(nn.Module):
    """A `CompressionModel` by shape: RGB `[N, 3, H, W]` in 0…1. `rate`: 0 = fine … 7."""

    def __init__(self, path: Path | None = None, rate: int = 3) -> None:
        super().__init__()
        pair = choose_pair(str(path) if path else "")
        self.model, self.entropy, self.rate = load_model(pair), read_entropy(pair), rate

    def forward(self, x: Tensor) -> dict[str, Any]:
        """`x_hat`, and `likelihoods` {"y": `[N, W]`}: of each window's tokens together."""
        passes = [Frame(self._picture(x), None, None)] * self.model.config.phases
        coded, _ = self.model(passes, self.rate)
        bits = torch.stack([one.bits for one in coded]).sum(0)
        return {
            "x_hat": self._rgb(coded[-1].picture, x.shape[2:]),
            "likelihoods": {"y": torch.exp2(-bits)},
        }

    def compress(self, x: Tensor) -> dict[str, Any]:
        """Each picture's bytes, and their size."""
        strings = []
        for one in x.split(1):
            frame = Frame(self._picture(one), None, None)
            strings += self.model.compress([frame], self.rate, self.entropy)
        return {"strings": [strings], "shape": tuple(x.shape[2:])}

    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, Any]:
        """Raises `DamagedStreamError`."""
        window = self.model.config.window
        size = shape[0] + -shape[0] % window, shape[1] + -shape[1] % window
        made = [self.model.decompress([s], size, self.entropy)[0] for s in strings[0]]
        return {"x_hat": torch.cat([self._rgb(picture, shape) for picture in made])}

    def _picture(self, x: Tensor) -> Picture:
        height, width = x.shape[2:]
        even = nn.functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        return pad(from_rgb(even), self.model.config.window)

    def _rgb(self, picture: Picture, shape: tuple[int, ...]) -> Tensor:
        height, width = shape
        even = crop(picture, height + height % 2, width + width % 2)
        # `to_rgb` has sample 1023 at 1.
        rgb = to_rgb(even.y * (1020 / 1023), even.uv * (1020 / 1023), SMALL)
        return rgb[:, :, :height, :width].clamp(0, 1)


def register() -> None:
    """Make "gvc1d" known to CompressAI. Raises `ImportError` without it."""
    from compressai.registry import register_model

    register_model("gvc1d")(GVC1DPictures)
