"""GVC1D's form of a codec: no structure layer at all. A picture comes from 1-D tokens, the picture painted before it and a memory alone.

An ablation (`base` none): it shows what tokens carry when nothing else does. Local and global layers, reader and 1-D memory are those of
`tokens`, the trunk is the renderer's. So that they have something to begin with, tokens start as a transform: the lowest cosines of how the low-passed source
differs from the picture before, coarse ones first. What networks add on either side begins as nothing; besides, the decoder predicts where each 8×8 block of the
picture before has moved to, how much of it stays, and what is drawn over it. A GOP begins with mid grey. The closed loop is in float: it is bounded by keyframes, not exact between machines.

`memory` of the configuration: "none", "1d" (a few vectors a window, gated cross-attention) or "2d" (a vector for each 8×8 block, gated convolutions).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.appearance.checkpoint import read_module, save_weights
from gvcodec.appearance.renderer import CONDITION, Block, FilterBank, RendererConfig, analyse
from gvcodec.appearance.tokens import (
    CELLS,
    TokenEncoder,
    TokenReader,
    Tokens,
    from_windows,
    quantise,
    to_windows,
    wave,
)

MEMORIES = ("none", "1d", "2d")
_VECTORS = 8  # of 1-D memory a window
_GREY = 0.5
_KEEP = 2.0  # bias of what stays of the picture before
_UNIT = 0.014  # change of the low-passed picture, root mean square over a window, that a value of 1 stands for at first
_COARSEST, _FINER = 16, 2.0  # so many values keep it, or they would reach the limit; the others are that much finer
_CHROMA = 5.0  # squared frequencies of chroma count so many times as luma's, in the order of cosines

Picture = tuple[Tensor, Tensor]  # luma (B, 1, H, W) and chroma (B, 2, H/2, W/2) in 0…1


@dataclass(frozen=True)
class TokensOnlyConfig:
    """Sizes; stored in the checkpoint. The defaults are those of GVC1D for the tokens: 32 of 16 channels a window. `encoder_reads`: not only the
    decoder reads the (1-D) memory."""

    memory: str = "1d"
    encoder_reads: bool = False
    tokens: int = 32
    token_channels: int = 16
    token_width: int = 96
    channels: int = 64
    depth: int = 6
    drawing: int = 12

    def of_renderer(self) -> RendererConfig:
        return RendererConfig(
            channels=self.channels,
            depth=self.depth,
            tokens=self.tokens,
            token_channels=self.token_channels,
            token_width=self.token_width,
            memory=_VECTORS if self.memory == "1d" else 0,
        )


def transform(count: int) -> Tensor:
    """The `count` lowest cosines of a window's low-passed planes, orthonormal: `(count, CELLS² · 3)`, components last."""
    order = sorted(
        ((component, u, v) for component in range(3) for u in range(CELLS) for v in range(CELLS)),
        key=lambda key: ((key[1] ** 2 + key[2] ** 2 + 1) * (_CHROMA if key[0] else 1), key),
    )[:count]
    basis = torch.zeros(count, CELLS * CELLS, 3)
    for row, (component, u, v) in enumerate(order):
        cosine = wave(CELLS, u, v)
        basis[row, :, component] = cosine / cosine.norm()
    return basis.flatten(1)


class GridReader(TokenReader):
    """Reads tokens as ever; its memory is a map at 1/8 resolution, `(B, channels, h, w)`, which convolutions read and rewrite."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__(replace(config, memory=0))
        d = config.channels
        self.show = nn.Conv2d(d, d, 1)
        self.rewrite, self.blend_map = nn.Conv2d(2 * d, d, 3, padding=1), nn.Conv2d(2 * d, d, 1)

    def forward(self, x: Tensor, tokens: Tokens | None, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x, _ = super().forward(x, tokens, None)
        before = torch.zeros_like(x) if memory is None else memory
        both = torch.cat([x, before], 1)
        gate = torch.sigmoid(self.blend_map(both) - 1)
        return x + self.show(before), torch.lerp(before, self.rewrite(both), gate)


class TokensOnly(nn.Module):
    """See the module."""

    def __init__(self, config: TokensOnlyConfig = TokensOnlyConfig()) -> None:
        super().__init__()
        if config.memory not in MEMORIES:
            raise ValueError(f"no memory {config.memory!r}")
        if config.encoder_reads and config.memory != "1d":
            raise ValueError("the encoder reads 1-D memory only")
        self.config = config
        sizes, c = config.of_renderer(), config.channels
        self.bank = FilterBank()
        self.stem, self.stem2 = nn.Conv2d(12, 24, 3, 2, 1), nn.Conv2d(24, c - 16, 3, 2, 1)
        self.statistics = nn.Conv2d(18, 16, 1)
        self.blocks = nn.ModuleList([Block(c) for _ in range(config.depth)])
        self.encoder = TokenEncoder(sizes)
        self.reader = (GridReader if config.memory == "2d" else TokenReader)(sizes)
        self.recall = nn.Linear(c, config.token_width) if config.encoder_reads else None
        nn.init.xavier_uniform_(self.reader.read.out.weight)
        nn.init.xavier_uniform_(self.encoder.out.weight, 0.02)
        self.register_buffer("basis", transform(config.tokens * config.token_channels), persistent=False)
        #: Log of how much finer than `_UNIT` each value is.
        self.fineness = nn.Parameter(
            math.log(_FINER) * (torch.arange(config.tokens * config.token_channels) >= _COARSEST)
        )
        self.move = nn.Conv2d(c, 3, 1)
        self.draw = nn.Conv2d(c, 16 * config.drawing, 1)
        self.middle = nn.Conv2d(config.drawing, config.drawing, 3, padding=1)
        self.leave = nn.Conv2d(config.drawing, 6, 3, padding=1)
        for zero in (self.move, self.leave):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def encode(self, source: Picture, before: Picture | None, memory: Tensor | None) -> Tensor:
        """Tokens before rounding, `(B, rows, columns, K, C)`; `before`: the picture painted last, `memory`: as it was left, both None at a keyframe."""
        wanted, past = (analyse(self.bank, *p) for p in (source, before or grey_like(source[0])))
        recalled = None if self.recall is None or memory is None else self.recall(self.reader.around(memory))
        learned: Tensor = self.encoder(wanted, past, recalled)
        windows, _ = to_windows(wanted.level - past.level, CELLS)
        plain = windows.flatten(3) @ self.get_buffer("basis").T * (self.fineness.exp() / (_UNIT * CELLS))
        return learned + plain.reshape(learned.shape)

    def _synthesis(self, tokens: Tokens, height: int, width: int) -> Tensor:
        """What the transform says of the tokens: low-passed planes `(B, 3, height, width)`."""
        windows = (tokens.values.flatten(3) * (_UNIT * CELLS / self.fineness.exp())) @ self.get_buffer("basis")
        return from_windows(windows.unflatten(3, (-1, 3)), CELLS, height, width)

    def forward(
        self, before: Picture | None, tokens: Tokens, memory: Tensor | None, like: Tensor
    ) -> tuple[Picture, Tensor | None]:
        """The next picture, not clipped, and the memory. `like`: luma of the wanted size."""
        past = grey_like(like) if before is None else before
        picture = analyse(self.bank, *past)
        known = torch.full_like(picture.level[:, :1], float(before is not None))
        coarse = self._synthesis(tokens, *picture.level.shape[2:])
        x = torch.cat(
            [
                self.stem2(F.silu(self.stem(picture.signal))),
                self.statistics(torch.cat([picture.energy, picture.level, known, 4 * coarse], 1)),
            ],
            1,
        )
        no_base = x.new_zeros(len(x), CONDITION)
        for number, block in enumerate(self.blocks):
            if number == 1:
                x, memory = self.reader(x, tokens, memory)
            x = block(x, no_base)
        drawn = F.silu(F.pixel_shuffle(self.draw(F.silu(x)), 4))
        drawn = self.leave(F.silu(self.middle(drawn)))
        coarse = F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)
        luma = F.interpolate(coarse[:, :1], scale_factor=2, mode="bilinear", align_corners=False)
        tint = coarse[:, 1:] + drawn[:, 4:]
        luma = luma + F.pixel_shuffle(
            F.conv2d(F.pad(drawn[:, :4], (1, 1, 1, 1), mode="replicate"), self.bank.get_buffer("soft")), 2
        )
        if before is None:
            return (past[0] + luma, past[1] + tint), memory
        steering = F.interpolate(self.move(x), scale_factor=4, mode="bilinear", align_corners=False)
        keep = torch.sigmoid(steering[:, 2:] + _KEEP)
        flow = 8 * steering[:, :2]  # in luma samples, at half resolution
        moved = _warped(past[0], flow.repeat_interleave(2, 2).repeat_interleave(2, 3)), _warped(past[1], flow / 2)
        full = keep.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return (_GREY + full * (moved[0] - _GREY) + luma, _GREY + keep * (moved[1] - _GREY) + tint), memory


def grey_like(luma: Tensor) -> Picture:
    """Mid grey of the size of `luma`."""
    b, _, h, w = luma.shape
    return luma.new_full((b, 1, h, w), _GREY), luma.new_full((b, 2, h // 2, w // 2), _GREY)


def _warped(x: Tensor, flow: Tensor) -> Tensor:
    """`x` `(B, C, H, W)` fetched at positions moved by `flow` `(B, 2, H, W)` (right, down), in samples; edges repeat."""
    h, w = x.shape[2:]
    right = torch.arange(w, device=x.device) + flow[:, 0]
    down = torch.arange(h, device=x.device)[:, None] + flow[:, 1]
    grid = torch.stack([(2 * right + 1) / w - 1, (2 * down + 1) / h - 1], 3)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def take(values: Tensor, counts: Tensor) -> Tokens:
    """The first `counts` `(B, rows, columns)` tokens of each window, rounded."""
    sent = torch.arange(values.shape[3], device=values.device) < counts[..., None]
    return Tokens(quantise(values) * sent[..., None], counts)


def save_tokens_only(model: TokensOnly, path: Path) -> None:
    """Write weights (fp16) and configuration."""
    save_weights(model.state_dict(), path, {"tokens_only": json.dumps(asdict(model.config))})


def load_tokens_only(path: Path) -> TokensOnly:
    """In evaluation mode. Raises `MediaError`."""

    def made(sizes: dict[str, Any]) -> TokensOnly:
        return TokensOnly(TokensOnlyConfig(**sizes))

    return read_module(path, "tokens_only", made, "a model of tokens alone")
