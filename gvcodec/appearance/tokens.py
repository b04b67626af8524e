"""1-D tokens and memory of the renderer: a window of 256×256 luma pixels is told by a few integers what its loop frame cannot tell.

`TokenEncoder` (encoder side) looks at source and loop frame: local layers let K queries of a window read its patches of 16×16, a global
layer lets the queries of all windows and coarse means of all windows read each other. What comes out, `(B, rows, columns, K, C)`, is
rounded to integers; tokens are nested, so any number of the first ones may be sent. `TokenReader` (renderer side) mirrors it: the renderer's
trunk reads the sent tokens of its window and the memory of its own and the eight neighbouring windows. The memory is a fixed number of
vectors a window that the reader itself rewrites, gated, after every frame, and forgets at keyframes.

Both begin without effect: the last layer of the reader is zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from gvcodec.appearance.renderer import Analysis, RendererConfig

WINDOW = 256
CELLS = WINDOW // 8  # positions of the trunk along a window's side
PATCHES = WINDOW // 16
LIMIT = 31  # magnitude of a token's values
_HEADS = 4
_STEP = 1 / 4  # what a token's value of 1 stands for
_GAIN = 4.0  # brings what the encoder gives to the order of a step


@dataclass
class Tokens:
    """Tokens of one frame: `values` `(B, rows, columns, K, C)`, whole numbers as float, and `count` `(B, rows, columns)`: how many were sent."""

    values: Tensor
    count: Tensor


def window_grid(height: int, width: int) -> tuple[int, int]:
    """Windows (rows, columns) that cover a picture; the last ones may be cut."""
    return -(-height // WINDOW), -(-width // WINDOW)


def to_windows(x: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """`(B, C, h, w)` to `(B, rows, columns, side², C)`, zeros beyond the picture, and a bool mask `(rows, columns, side²)` of what is inside."""
    h, w = x.shape[2:]
    rows, columns = -(-h // side), -(-w // side)
    pad = (0, columns * side - w, 0, rows * side - h)

    def cut(y: Tensor) -> Tensor:
        y = F.pad(y, pad).unflatten(3, (columns, side)).unflatten(2, (rows, side))
        return y.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)

    return cut(x), cut(x.new_ones(1, 1, h, w))[0, ..., 0] > 0


def from_windows(x: Tensor, side: int, height: int, width: int) -> Tensor:
    """The inverse of `to_windows`: `(B, C, height, width)`."""
    y = x.unflatten(3, (side, side)).permute(0, 5, 1, 3, 2, 4)
    return y.flatten(4, 5).flatten(2, 3)[:, :, :height, :width]


def wave(side: int, u: int, v: int) -> Tensor:
    """A two-dimensional cosine of frequencies `u` (down) and `v` (right) on `side`² positions."""
    grid = (torch.arange(side) + 0.5) * math.pi / side
    return torch.outer(torch.cos(u * grid), torch.cos(v * grid)).flatten()


def cosines(side: int, count: int) -> Tensor:
    """The `count` lowest two-dimensional cosines but the constant on `side`² positions: `(side², count)`. A place that begins as these can be told
    from others at once, near ones least."""
    pairs = sorted(((u, v) for u in range(side) for v in range(side)), key=lambda p: (p[0] ** 2 + p[1] ** 2, p))[1:]
    return torch.stack([wave(side, u, v) for u, v in pairs[:count]], 1)


class Attention(nn.Module):
    """Queries read a set: `(N, Q, d)` and `(N, S, d)` → `(N, Q, d)`, the inputs normalised; `mask` `(N, S)` bool, False = not there."""

    def __init__(self, width: int, zero: bool = False) -> None:
        super().__init__()
        self.norm_query, self.norm_set = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, queries: Tensor, content: Tensor, mask: Tensor | None = None) -> Tensor:
        q = self.query(self.norm_query(queries)).unflatten(2, (_HEADS, -1)).transpose(1, 2)
        key, value = self.key_value(self.norm_set(content)).unflatten(2, (2, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        allowed = None if mask is None else mask[:, None, None, :]
        read = F.scaled_dot_product_attention(q, key, value, attn_mask=allowed)
        return self.out(read.transpose(1, 2).flatten(2))


class _Layer(nn.Module):
    """Attention and a two-layer perceptron, each added to the queries."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.norm = Attention(width), nn.LayerNorm(width)
        self.expand, self.project = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, queries: Tensor, content: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Without `content` the queries read each other."""
        queries = queries + self.attention(queries, queries if content is None else content, mask)
        return queries + self.project(F.silu(self.expand(self.norm(queries))))


class TokenEncoder(nn.Module):
    """Source and loop frame to tokens before rounding, and what they cost while training."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        d = config.token_width
        self.stem = nn.Conv2d(24, 32, 3, 2, 1)
        self.stem2 = nn.Conv2d(32, d, 3, 2, 1)
        self.statistics = nn.Conv2d(25, d, 1)
        self.patch = nn.Conv2d(d, d, 2, 2)
        self.place = nn.Parameter(cosines(PATCHES, d))
        self.queries = nn.Parameter(0.5 * torch.randn(config.tokens, d))
        self.local = nn.ModuleList([_Layer(d) for _ in range(2)])
        self.overall = _Layer(d)
        self.pooled = nn.Linear(d, d)
        self.norm, self.out = nn.LayerNorm(d), nn.Linear(d, config.token_channels)
        #: log of the scale of each value's Laplace distribution: the rate that training sees.
        self.spread = nn.Parameter(torch.zeros(config.tokens, config.token_channels))

    def forward(self, source: Analysis, loop: Analysis, recalled: Tensor | None = None) -> Tensor:
        """`(B, rows, columns, K, C)`, real numbers, to be rounded. `recalled` `(B, rows, columns, S, token_width)`: what queries read besides patches."""
        x = self.stem2(F.silu(self.stem(torch.cat([source.signal - loop.signal, loop.signal], 1))))
        x = x + self.statistics(torch.cat([source.energy, loop.energy, source.level - loop.level], 1))
        patches, inside = to_windows(self.patch(F.silu(x)), PATCHES)
        b, rows, columns, _, d = patches.shape
        content = (patches + self.place).flatten(0, 2)
        mask = inside.expand(b, -1, -1, -1).flatten(0, 2)
        readable, there = content, mask
        if recalled is not None:
            readable = torch.cat([content, recalled.flatten(0, 2)], 1)
            there = F.pad(mask, (0, recalled.shape[3]), value=True)
        queries = self.queries.expand(len(content), -1, -1)
        queries = self.local[0](queries, readable, there)
        mean = (content * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        everywhere = torch.cat(
            [queries.reshape(b, -1, d), self.pooled(mean).reshape(b, -1, d)], 1
        )  # queries and means of all windows
        queries = self.overall(queries.reshape(b, -1, d), everywhere).reshape(len(content), -1, d)
        queries = self.local[1](queries, readable, there)
        return (_GAIN * self.out(self.norm(queries))).reshape(b, rows, columns, len(self.queries), -1)

    def bits(self, values: Tensor) -> Tensor:
        """Estimated bits of each value, for training only: a Laplace distribution integrated over a step of 1."""
        scale = self.spread.exp() + 0.05
        size = values.abs()
        inner = -torch.expm1(-0.5 / scale)
        outer = 0.5 * torch.exp(-(size - 0.5).clamp(min=0) / scale) * -torch.expm1(-1 / scale)
        return -torch.log2(torch.where(size < 0.5, inner, outer) + 1e-9)


def quantise(values: Tensor) -> Tensor:
    """Whole numbers within the limit; gradients pass through."""
    rounded = values.detach().round().clamp(-LIMIT, LIMIT)
    return values + (rounded - values).detach()


class TokenReader(nn.Module):
    """Lets the trunk read tokens and memory, and writes the memory."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        d = config.channels
        self.embed = nn.Linear(config.token_channels, d)
        self.index = nn.Parameter(0.3 * torch.randn(config.tokens, d))
        self.nothing = nn.Parameter(0.02 * torch.randn(1, d))  # what is read where nothing was sent
        self.place = nn.Parameter(cosines(CELLS, d))
        self.read = Attention(d, zero=True)
        self.memory = config.memory
        if config.memory:
            self.start = nn.Parameter(0.02 * torch.randn(config.memory, d))
            self.direction = nn.Parameter(0.02 * torch.randn(9, 1, d))
            self.write = Attention(d)
            self.blend = nn.Linear(2 * d, d)

    def around(self, memory: Tensor) -> Tensor:
        """Memory `(B, rows, columns, m, d)` of every window and its eight neighbours, told apart by where they lie: `(B, rows, columns, 9m, d)`."""
        near = F.pad(memory.permute(0, 3, 4, 1, 2).flatten(1, 2), (1, 1, 1, 1), mode="replicate")
        rows, columns = memory.shape[1:3]
        shifted = [near[:, :, y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        found = torch.stack(shifted, 1).unflatten(2, (self.memory, -1)).permute(0, 4, 5, 1, 2, 3)
        return (found + self.direction).flatten(3, 4)

    def context(
        self, tokens: Tokens | None, memory: Tensor | None, shape: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """What every window can read, `(B, rows, columns, S, d)`, and which of it is there. `shape`: (B, rows, columns)."""
        parts = [self.nothing.expand(*shape, 1, -1)]
        there = [self.nothing.new_ones(*shape, 1, dtype=torch.bool)]
        if tokens is not None:
            parts.append(self.embed(tokens.values * _STEP) + self.index)
            there.append(torch.arange(len(self.index), device=tokens.count.device) < tokens.count[..., None])
        if memory is not None:
            parts.append(self.around(memory))
            there.append(there[0].expand(*shape, 9 * self.memory))
        return torch.cat(parts, 3), torch.cat(there, 3)

    def forward(self, x: Tensor, tokens: Tokens | None, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Trunk `(B, channels, h, w)` plus what it read, and the memory `(B, rows, columns, m, d)` for the next frame."""
        h, w = x.shape[2:]
        windows, inside = to_windows(x, CELLS)
        shape = (windows.shape[0], windows.shape[1], windows.shape[2])
        content, there = self.context(tokens, memory, shape)
        content, there = content.flatten(0, 2), there.flatten(0, 2)
        cells = windows.flatten(0, 2)
        read = self.read(cells + self.place, content, there)
        x = x + from_windows(read.reshape(windows.shape), CELLS, h, w)
        if not self.memory:
            return x, None
        before = self.start.expand(*shape, -1, -1) if memory is None else memory
        before = before.flatten(0, 2)
        seen = torch.cat([cells, content[:, 1 : 1 + (len(self.index) if tokens is not None else 0)]], 1)
        mask = torch.cat(
            [inside.expand(shape[0], -1, -1, -1).flatten(0, 2), there[:, 1 : 1 + seen.shape[1] - cells.shape[1]]], 1
        )
        new = self.write(before, seen, mask)
        gate = torch.sigmoid(self.blend(torch.cat([before, new], 2)) - 1)
        return x, torch.lerp(before, new, gate).reshape(*shape, self.memory, -1)
