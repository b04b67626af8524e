"""The direct path: fixed cosine patterns that tokens code even in an untrained network.

Tokens that reach the picture through features alone die: zeroed, shuffled or whole, the picture is
the same after five minutes of training. So each integer also has a pattern:

* the first half of a window's tokens: the lowest patterns of the window's discrete cosine
  transform, luma and chroma, from coarse to fine, so that a prefix of tokens is a smooth picture;
* the second half, each for a region of the window of its own (4 × 4 of them with 32 tokens): the
  luma patterns of the region that follow in frequency. Their last `UNUSED_COUNT` integers were for
  pictures of a base and of a memory; of a picture by itself they are 0.

`analyse` projects a difference to grey on them, `synthesise` is its transpose; in front of either a
learned linear map, in the beginning the identity, mixes the integers of a window.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.blocks import (
    cosines,
    in_full_precision,
    lowest,
    pick_coefficients,
    place,
    plane,
    region_grid,
    windows,
)
from gvcodec.gvc1d.config import TokenizerConfig
from gvcodec.gvc1d.picture import Picture

#: Integers of each token of the second half after its patterns.
UNUSED_COUNT = 4


class DirectPath(nn.Module):
    """See the module. Differences are in 8-bit levels inside, coefficients are orthonormal."""

    rows: Tensor
    chroma_rows: Tensor
    patterns: Tensor
    usual: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.window, self.tokens, self.channels = config.window, config.tokens, config.channels
        half, chroma = self.tokens // 2, config.channels * 3 // 16
        self.luma_count = (self.channels - 2 * chroma) * half
        self.chroma_count = chroma * half
        self.luma_at, self.chroma_at = lowest(self.luma_count), lowest(self.chroma_count)
        self.highest = 1 + max(max(p) for p in self.luma_at)
        self.chroma_highest = 1 + max(max(p) for p in self.chroma_at)
        self.grid = region_grid(self.tokens)
        fixed = {
            "rows": cosines(self.highest, self.window),
            "chroma_rows": cosines(self.chroma_highest, self.window // 2),
            "patterns": self._region_patterns(),
            "usual": self._usual_sizes(),
        }
        for name, values in fixed.items():
            self.register_buffer(name, values, persistent=False)
        size = self.tokens * self.channels
        self.analysis = nn.Parameter(torch.zeros(size, size))
        self.synthesis = nn.Parameter(torch.zeros(size, size))
        #: Gain from measurements to tokens; the second row was for pictures of a base.
        self.gate = nn.Parameter(
            torch.tensor([1.0, 0.5])[:, None, None].repeat(1, self.tokens, self.channels)
        )

    def _region_patterns(self) -> Tensor:
        """Patterns of a region beyond the window's own, `[count, rows, columns]`."""
        height, width = self.window // self.grid[0], self.window // self.grid[1]
        highest = max(math.hypot(*p) for p in self.luma_at)
        places = lowest(self.channels - UNUSED_COUNT, highest * min(height, width) / self.window)
        most = 1 + max(max(p) for p in places)
        down, along = cosines(most, height), cosines(most, width)
        return torch.stack([down[u][:, None] * along[v] for u, v in places])

    @in_full_precision
    def analyse(self, difference: Picture) -> Tensor:
        """Coefficients `[B, W, tokens, channels]` of a difference to grey."""
        y = windows(difference.y, self.window) * 255  # [B, W, 1, n, n]
        uv = windows(difference.uv, self.window // 2) * 255  # [B, W, 2, n/2, n/2]
        low = self.rows @ y[:, :, 0] @ self.rows.T
        low_uv = self.chroma_rows @ uv @ self.chroma_rows.T
        half = self.tokens // 2
        luma = pick_coefficients(low, self.luma_at).unflatten(-1, (half, -1))
        chroma = [
            pick_coefficients(low_uv[:, :, i], self.chroma_at).unflatten(-1, (half, -1))
            for i in (0, 1)
        ]
        first = torch.cat([luma, *chroma], -1)
        # Region patterns are not orthogonal to window patterns, so they code the residual.
        low = self.rows.T @ place(luma.flatten(2), self.luma_at, self.highest) @ self.rows
        regions = self._regions(y - low[:, :, None])  # [B, W, half, rows, columns]
        second = torch.einsum("bwkij,cij->bwkc", regions, self.patterns)
        unused = second.new_zeros(*second.shape[:3], UNUSED_COUNT)
        mixed = torch.cat([first, torch.cat([second, unused], -1)], 2)
        return self._mix(mixed, self.analysis) * self.gate[0]

    @in_full_precision
    def synthesise(self, coefficients: Tensor, columns: int) -> Picture:
        """The difference that coefficients `[B, W, tokens, channels]` stand for; `columns` windows
        lie side by side."""
        mixed = self._mix(coefficients, self.synthesis)
        half = self.tokens // 2
        first, second = mixed[:, :, :half], mixed[:, :, half:]
        chroma = (self.channels - self.luma_count // half) // 2
        luma, u, v = (
            t.flatten(2) for t in first.split([self.channels - 2 * chroma, chroma, chroma], -1)
        )
        low = place(luma, self.luma_at, self.highest)  # [B, W, f, f]
        low_uv = torch.stack([place(t, self.chroma_at, self.chroma_highest) for t in (u, v)], 2)
        y = self.rows.T @ low @ self.rows
        uv = self.chroma_rows.T @ low_uv @ self.chroma_rows
        fine = torch.einsum("bwkc,cij->bwkij", second[..., :-UNUSED_COUNT], self.patterns)
        y = y + self._whole(fine)
        return Picture(plane(y[:, :, None], columns), plane(uv, columns)).scale_by(1 / 255)

    def _mix(self, coefficients: Tensor, matrix: Tensor) -> Tensor:
        """Multiply in units of usual sizes: a mean is ten thousand times a gain, and every entry of
        a matrix learns at the same pace."""
        flat = coefficients.flatten(2)
        return (flat + (flat / self.usual) @ matrix * self.usual).view_as(coefficients)

    def _usual_sizes(self) -> Tensor:
        """Deviation of each coefficient in pictures, roughly, `[tokens · channels]`."""
        half, scale = self.tokens // 2, self.window / 256

        def sizes(at: list[tuple[int, int]], first: float) -> Tensor:
            radius = torch.tensor([math.hypot(*p) for p in at])
            return (scale * first / (1 + radius) ** 1.4).view(half, -1)

        chroma = sizes(self.chroma_at, 1500.0)
        first = torch.cat([sizes(self.luma_at, 10000.0), chroma, chroma], 1)
        second = torch.full((half, self.channels), 100.0)
        second[:, -UNUSED_COUNT:] = 30.0
        return torch.cat([first, second]).flatten()

    def _regions(self, y: Tensor) -> Tensor:
        b, w, _, n, _ = y.shape
        rows, columns = self.grid
        y = y.reshape(b, w, rows, n // rows, columns, n // columns)
        return y.transpose(3, 4).reshape(b, w, rows * columns, n // rows, n // columns)

    def _whole(self, regions: Tensor) -> Tensor:
        b, w, _, h, c = regions.shape
        rows, columns = self.grid
        y = regions.view(b, w, rows, columns, h, c).transpose(3, 4)
        return y.reshape(b, w, rows * h, columns * c)
