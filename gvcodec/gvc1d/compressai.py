"""GVC1D's network under CompressAI's names, for single pictures: each is a keyframe.

    from gvcodec.gvc1d.compressai import register
    register()                                       # "gvc1d" in compressai.registry.MODELS
    model = GVC1DPictures()                          # the network of the miniature world
    packed = model.compress(rgb)                     # {"strings": [[bytes, …]], "shape": (H, W)}
    rgb = model.decompress(**packed)["x_hat"]

RGB is [N, 3, H, W] in 0..1, coded as 10-bit 4:2:0 of BT.601. `compress` and `decompress` run the
exact network (packets as in files), `forward` the same weights in torch with gradients.
Needs torch; only `register` needs the package compressai (extra `compressai`).
Raises `MediaError` for a weight file, `DamagedStreamError` for bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gvcodec.bases import Q_END, index_of
from gvcodec.errors import UsageError
from gvcodec.gvc1d import ops_exact, ops_torch
from gvcodec.gvc1d.base_codec import rate_of
from gvcodec.gvc1d.budgets import round_tokens
from gvcodec.gvc1d.frame_coder import BLACK, RANGE, RATE_STEPS, Frame, FrameCoder
from gvcodec.gvc1d.model import (
    LARGEST,
    RATES,
    SCALE_END,
    Codec,
    from_patches,
    grid_of,
    to_patches,
)
from gvcodec.gvc1d.weights import read_network
from gvcodec.models import GVC1D
from gvcodec.types import Planes
from gvcodec.util.colour import SMALL
from gvcodec.util.tensors import to_rgb

#: Largest 10-bit level.
_WHITE = 1023


class GVC1DPictures(nn.Module):
    """A `CompressionModel` by its methods. `path`: a weight file of any size. `q`: as of `encode`,
    0 (finest) to 67. `refine`: `compress` rounds by rate and distortion as `encode` does; without,
    its integers are those of `forward`."""

    def __init__(self, path: Path | None = None, q: float = 40, refine: bool = False) -> None:
        super().__init__()
        if not 0 <= q <= Q_END:
            raise UsageError(f"q is 0 to {Q_END}, not {q:g}")
        self.config, weights = read_network(path or GVC1D.find())
        self.rate, self.refine = rate_of(index_of("gvc1d", q)), refine
        # Names of parameters have no dots in torch.
        self.weights = nn.ParameterDict(
            {name.replace(".", "/"): torch.tensor(value) for name, value in weights.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Any]:
        """`x_hat` [N, 3, H, W], and `likelihoods` {"y": [N, W, T, C]} of the integers of W windows
        (the few bits of a packet's head are not counted)."""
        codec = Codec(self.config, self._named_weights(), ops_torch)
        grid = grid_of(x.shape[3], x.shape[2], self.config)
        mix = ops_torch.rate_mix(x.new_full((len(x),), self.rate / RATE_STEPS), RATES)
        state = codec.first_state(len(x), grid)
        patches = to_patches(*self._samples(x), self.config, ops_torch)
        values = codec.encode(patches, state, mix, grid).clamp(-LARGEST, LARGEST)
        tokens = values + (values.round() - values).detach()  # rounding passes gradients
        prediction = codec.predict(tokens, state, mix, grid)
        sent = x.new_ones(*tokens.shape[:3], 1)
        decoded, _ = codec.decode(tokens, sent, state, mix, grid)
        y, u, v = (
            (plane * RANGE + BLACK) / _WHITE
            for plane in from_patches(decoded, grid, self.config, ops_torch)
        )
        rgb = to_rgb(y[:, None], torch.stack([u, v], 1), SMALL)
        likelihoods = _likelihoods(tokens, prediction.mean, prediction.scale)
        return {"x_hat": _crop(rgb, x.shape), "likelihoods": {"y": likelihoods}}

    @torch.no_grad()
    def compress(self, x: Tensor) -> dict[str, Any]:
        """Each picture's packet, and their size (H, W)."""
        coder = self._coder(tuple(x.shape[2:]))
        strings = []
        for one in x.split(1):
            coder.restart()
            analysis = coder.analyse(_planes(one), self.rate)
            whole = np.full(coder.windows, self.config.tokens, np.int32)
            frame = Frame(self.rate, whole, np.rint(analysis.values).astype(np.int32))
            if self.refine:
                frame = round_tokens(coder, analysis, self.rate, whole)
            strings.append(coder.encode(frame)[0])
        return {"strings": [strings], "shape": tuple(x.shape[2:])}

    @torch.no_grad()
    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, Any]:
        """`x_hat` [N, 3, H, W]. Raises `DamagedStreamError`."""
        coder, pictures = self._coder(tuple(shape)), []
        for packet in strings[0]:
            coder.restart()
            _, planes = coder.decode(packet)
            y, u, v = (torch.from_numpy(plane.astype(np.float32)) / _WHITE for plane in planes)
            rgb = to_rgb(y[None, None], torch.stack([u, v])[None], SMALL)
            pictures.append(_crop(rgb, (1, 3, *shape)))
        return {"x_hat": torch.cat(pictures)}

    def update(self, *_: Any, force: bool = False, **__: Any) -> bool:
        """CompressAI's: tables are those of the format, so none is made again."""
        return False

    def aux_loss(self) -> Tensor:
        """CompressAI's: the entropy model has no quantiles that are learned apart."""
        return torch.zeros(())

    def _named_weights(self) -> dict[str, Tensor]:
        return {name.replace("/", "."): value for name, value in self.weights.items()}

    def _coder(self, shape: tuple[int, ...]) -> FrameCoder:
        """A coder of the exact network with the present weights, for pictures of (H, W)."""
        height, width = (side + side % 2 for side in shape)
        weights = {
            name: np.ascontiguousarray(value.detach().cpu().numpy(), np.float32)
            for name, value in self._named_weights().items()
        }
        return FrameCoder(self.config, weights, ops_exact, (width, height))

    def _samples(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Samples y [N, H', W'] and u, v [N, H'/2, W'/2] of RGB, edges repeated to whole
        windows."""
        window = self.config.window
        wide = []
        for plane, size in zip(_levels(x), (window, window // 2, window // 2), strict=True):
            height, width = plane.shape[1:]
            edges = (0, -width % size, 0, -height % size)
            samples = ((plane - BLACK) / RANGE)[:, None]
            wide.append(nn.functional.pad(samples, edges, mode="replicate")[:, 0])
        return wide[0], wide[1], wide[2]


def _levels(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """10-bit levels, not rounded, of RGB [N, 3, H, W]: y [N, H, W], u and v [N, H/2, W/2], of sides
    made even by repeating the edge."""
    height, width = x.shape[2:]
    even = nn.functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    kr, kb = 0.299, 0.114  # BT.601 of limited range
    luma = kr * even[:, 0] + (1 - kr - kb) * even[:, 1] + kb * even[:, 2]
    u, v = (even[:, 2] - luma) / (2 * (1 - kb)), (even[:, 0] - luma) / (2 * (1 - kr))
    uv = nn.functional.avg_pool2d(torch.stack([u, v], 1), 2) * (224 * 4) + 512
    return luma * (219 * 4) + 64, uv[:, 0], uv[:, 1]


def _planes(x: Tensor) -> Planes:
    """Planes of one picture [1, 3, H, W], 10 bits."""
    levels = [p[0].round().clamp(0, _WHITE).cpu().numpy().astype(np.uint16) for p in _levels(x)]
    return levels[0], levels[1], levels[2]


def _likelihoods(tokens: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Laplace mass of an interval of one around each integer; scale indices as in tables."""
    deviation = 64 * torch.exp2((scale.clamp(0, SCALE_END) - SCALE_END) / 6)
    away = (tokens - mean).abs()
    inner = torch.exp(-(away - 0.5).abs() / deviation)
    outer = torch.exp(-(away + 0.5) / deviation)
    mass = torch.where(away < 0.5, 1 - 0.5 * (inner + outer), 0.5 * (inner - outer))
    return mass.clamp(min=2.0**-24)


def _crop(rgb: Tensor, shape: tuple[int, ...]) -> Tensor:
    return rgb[:, :, : shape[2], : shape[3]].clamp(0, 1)


def register() -> None:
    """Make "gvc1d" known to CompressAI. Raises `ImportError` without it."""
    from compressai.registry import register_model

    register_model("gvc1d")(GVC1DPictures)
