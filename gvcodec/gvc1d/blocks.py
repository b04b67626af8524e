"""Windows and regions of pictures, and the cosine transform of regions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.config import TokenizerConfig


def lowest(count: int, above: float = -1.0) -> list[tuple[int, int]]:
    """The `count` lowest (vertical, horizontal) frequencies beyond the radius `above`."""
    most = (
        math.isqrt(int(above * above) + 2 * count) + 2
    )  # a quarter of a ring has π/4 of its square
    pairs = [(u, v) for u in range(most) for v in range(most) if math.hypot(u, v) > above]
    return sorted(pairs, key=lambda p: (p[0] ** 2 + p[1] ** 2, p))[:count]


def region_grid(tokens: int) -> tuple[int, int]:
    """Rows and columns of regions in a window."""
    half = tokens // 2
    rows = 1 << (half.bit_length() - 1) // 2
    return rows, half // rows


def in_full_precision(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method of tensors, as if there were no autocast: halves have steps of half a level where
    samples are far from grey."""

    @functools.wraps(function)
    def whole(self: nn.Module, *inputs: Any, **keywords: Any) -> Any:
        floats = (g.float() if isinstance(g, Tensor) else g for g in inputs)
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            return function(self, *floats, **keywords)

    return whole


def cosines(frequencies: int, samples: int) -> Tensor:
    """Rows of the orthonormal discrete cosine transform, `[frequencies, samples]`."""
    n = torch.arange(samples, dtype=torch.float64)
    k = torch.arange(frequencies, dtype=torch.float64)[:, None]
    rows = torch.cos(math.pi * k * (2 * n + 1) / (2 * samples)) * math.sqrt(2 / samples)
    rows[0] /= math.sqrt(2)
    return rows.float()


def windows(x: Tensor, side: int) -> Tensor:
    """`[B, C, H, W]` → `[B, windows, C, side, side]`."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // side, side, w // side, side).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(b, -1, c, side, side)


def plane(x: Tensor, columns: int) -> Tensor:
    """The inverse of `windows`."""
    b, n, c, h, w = x.shape
    x = x.view(b, n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(b, c, (n // columns) * h, columns * w)


def pick_coefficients(x: Tensor, at: list[tuple[int, int]]) -> Tensor:
    """Coefficients `[…, f, f]` at those places, `[…, count]`."""
    return x.flatten(-2)[..., [u * x.shape[-1] + v for u, v in at]]


def place(x: Tensor, at: list[tuple[int, int]], highest: int) -> Tensor:
    """The inverse of `take`; other places are 0."""
    flat = x.new_zeros(*x.shape[:-1], highest * highest)
    index = torch.tensor([u * highest + v for u, v in at], device=x.device)
    return flat.index_copy(-1, index, x).unflatten(-1, (highest, highest))


def token_regions(config: TokenizerConfig) -> Tensor:
    """`[tokens, side²]` bool: the patches of each token's region. The first half is a pyramid of
    1, 2, 4, … regions and once more the whole window; the second half is its last level."""
    side, half = config.side, config.tokens // 2
    levels = [(1, 1)]
    while levels[-1][0] * levels[-1][1] < half:
        rows, columns = levels[-1]
        levels.append((rows, 2 * columns) if rows == columns else (2 * rows, columns))
    masks = []
    for rows, columns in (*levels[:-1], (1, 1), region_grid(config.tokens)):
        r = torch.arange(side) * rows // side
        c = torch.arange(side) * columns // side
        at = (r[:, None] * columns + c).flatten()
        masks += [at == i for i in range(rows * columns)]
    return torch.stack(masks)
