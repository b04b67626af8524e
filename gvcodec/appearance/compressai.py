"""The appearance model in the shape that CompressAI's tools expect: `forward`, `update`, `compress`, `decompress`.

    model = AppearanceModel.load(path)           # a checkpoint with tokens
    out = model(x, loop)                         # {"x_hat", "likelihoods": {"tokens"}}
    coded = model.compress(x, loop)              # {"strings": [[bytes, …]], "shape": (rows, columns)}
    x_hat = model.decompress(coded["strings"], coded["shape"], loop)["x_hat"]

It is a conditional model of single pictures: `loop` is what the structure layer decoded of `x`, both RGB `(N, 3, H, W)` in 0…1 with sides that
are multiples of 16. Strings come from the integer coder, one a picture. Where package `compressai` is installed, `register` makes the
class known to it as "gvcodec-appearance".
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.appearance.checkpoint import load_checkpoint
from gvcodec.appearance.renderer import Renderer, analyse, condition
from gvcodec.appearance.texture import fresh
from gvcodec.appearance.token_coder import TokenCoder
from gvcodec.appearance.tokens import LIMIT, Tokens, quantise, window_grid
from gvcodec.errors import UsageError

_KR, _KB = 0.2126, 0.0722  # BT.709


def _to_planes(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Luma and 4:2:0 chroma, full range, in 0…1."""
    red, green, blue = rgb.unbind(1)
    y = _KR * red + (1 - _KR - _KB) * green + _KB * blue
    chroma = torch.stack([(blue - y) / (2 - 2 * _KB), (red - y) / (2 - 2 * _KR)], 1)
    return y[:, None], F.avg_pool2d(chroma, 2) + 0.5


def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    u, v = F.interpolate(chroma - 0.5, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    y = luma[:, 0]
    red, blue = y + (2 - 2 * _KR) * v, y + (2 - 2 * _KB) * u
    green = (y - _KR * red - _KB * blue) / (1 - _KR - _KB)
    return torch.stack([red, green, blue], 1)


class AppearanceModel(nn.Module):
    """A renderer with tokens. Raises `UsageError` for one without, and for pictures whose sides are not multiples of 16."""

    def __init__(self, renderer: Renderer, base: str = "av1", q: int = 50) -> None:
        super().__init__()
        if renderer.encoder is None:
            raise UsageError("the renderer knows no tokens")
        self.renderer = renderer
        self.register_buffer("condition", condition(base, Fraction(1), q), persistent=False)

    @classmethod
    def load(cls, path: Path, base: str = "av1", q: int = 50) -> AppearanceModel:
        """From a checkpoint file."""
        return cls(load_checkpoint(path), base, q)

    def forward(self, x: Tensor, loop: Tensor) -> dict[str, Any]:
        """`likelihoods["tokens"]` `(N, rows, columns, K, C)`: estimated probabilities; the coder adapts and needs none."""
        encoder = self.renderer.encoder
        assert encoder is not None
        exact = self._encoded(x, loop)
        noisy = exact + torch.rand_like(exact) - 0.5 if self.training else quantise(exact)
        likelihoods = torch.exp2(-encoder.bits(noisy))
        return {"x_hat": self._painted(quantise(exact), loop), "likelihoods": {"tokens": likelihoods}}

    def update(self, *_: Any, **__: Any) -> bool:
        """Nothing to prepare: the coder has no tables."""
        return False

    @torch.no_grad()
    def compress(self, x: Tensor, loop: Tensor) -> dict[str, Any]:
        values = quantise(self._encoded(x, loop)).long().cpu().numpy()
        return {"strings": [[self._coder(loop).pack(v) for v in values]], "shape": tuple(values.shape[1:3])}

    @torch.no_grad()
    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int], loop: Tensor) -> dict[str, Tensor]:
        """Raises `DamagedStreamError`."""
        if tuple(shape) != window_grid(*loop.shape[2:]) or len(strings[0]) != len(loop):
            raise UsageError("strings and loop frames do not belong together")
        values = torch.stack([torch.from_numpy(self._coder(loop).unpack(string)[0]) for string in strings[0]])
        return {"x_hat": self._painted(values.to(loop), loop).clamp(0, 1)}

    def _coder(self, loop: Tensor) -> TokenCoder:
        config = self.renderer.config
        return TokenCoder((*window_grid(*loop.shape[2:]), config.tokens, config.token_channels), LIMIT)

    def _encoded(self, x: Tensor, loop: Tensor) -> Tensor:
        if x.shape != loop.shape or any(side % 16 for side in x.shape[2:]):
            raise UsageError(f"pictures of {tuple(x.shape)} and {tuple(loop.shape)}: sides are multiples of 16")
        encoder = self.renderer.encoder
        assert encoder is not None
        result: Tensor = encoder(*(analyse(self.renderer.bank, *_to_planes(p)) for p in (x, loop)))
        return result

    def _painted(self, values: Tensor, loop: Tensor) -> Tensor:
        luma, chroma = _to_planes(loop)
        noise = fresh(*luma.shape[2:], 0, device=luma.device)
        tokens = Tokens(values, values.new_full(values.shape[:3], values.shape[3]))
        condition = self.condition.expand(len(loop), -1)
        painted, tint, _ = self.renderer.step(luma, chroma, None, noise, None, condition, tokens)
        return _to_rgb(painted, tint)


def register() -> bool:
    """Make the model known to `compressai.registry`; False where that package is not installed."""
    try:
        from compressai.registry import register_model
    except ImportError:
        return False
    register_model("gvcodec-appearance")(AppearanceModel)
    return True
