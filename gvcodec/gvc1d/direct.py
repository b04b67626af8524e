"""The direct path: fixed cosine patterns that tokens code even in an untrained network.

Tokens that reach the picture through features alone die: zeroed, shuffled or whole, the picture is
the same after five minutes of training. So each integer also has a pattern of its own:

* the first half of a window's tokens: the lowest patterns of the window's discrete cosine
  transform, luma and chroma, from coarse to fine, so that a prefix of tokens is a smooth picture;
* the second half, each for a region of the window of its own (4 × 4 of them with 32 tokens): the
  cosine patterns of the region that follow in frequency, of luma or in every fourth phase of the
  two chroma planes; then three gains: of two octaves of the context's luma detail and of its
  chroma's; and last how much the memory knows (`gvcodec.gvc1d.scenes`). From frame to frame the
  patterns go on to finer ones, phase by phase, and begin anew: what stays in the picture becomes
  sharper for as long.

`analyse` projects a difference to the context on them, `synthesise` is its transpose; in front of
either a learned linear map, in the beginning the identity, mixes the integers of a window.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.blocks import (
    CHROMA_EVERY,
    cosines,
    field_of,
    in_full_precision,
    is_chroma,
    lowest,
    place,
    plane,
    region_grid,
    take,
    windows,
    windows_of,
)
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.picture import Picture

#: Numbers of each token of the second half after its patterns: three gains of detail, and what the
#: memory is asked for, which is no part of this path.
GAINS = 4
#: Change of the detail gain by one unit of its coefficient.
_GAIN_UNIT = 1 / 320


class DirectPath(nn.Module):
    """See the module. Differences are in 8-bit levels inside, coefficients are orthonormal."""

    rows: Tensor
    chroma_rows: Tensor
    patterns: Tensor
    chroma_patterns: Tensor
    usual: Tensor

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.window, self.tokens, self.channels = config.window, config.tokens, config.channels
        self.phases = config.phases
        half, chroma = self.tokens // 2, config.channels * 3 // 16
        self.luma_count = (self.channels - 2 * chroma) * half
        self.chroma_count = chroma * half
        self.luma_at, self.chroma_at = lowest(self.luma_count), lowest(self.chroma_count)
        self.highest = 1 + max(max(p) for p in self.luma_at)
        self.chroma_highest = 1 + max(max(p) for p in self.chroma_at)
        self.grid = region_grid(self.tokens)
        self.register_buffer("rows", cosines(self.highest, self.window), persistent=False)
        self.register_buffer(
            "chroma_rows", cosines(self.chroma_highest, self.window // 2), persistent=False
        )
        count, chroma_phases = self.channels - GAINS, self.phases // CHROMA_EVERY
        patterns = self._region_patterns(
            self.window, self.luma_at, self.phases - chroma_phases, count
        )
        self.register_buffer("patterns", patterns, persistent=False)
        patterns = self._region_patterns(
            self.window // 2, self.chroma_at, max(1, chroma_phases), count // 2
        )
        self.register_buffer("chroma_patterns", patterns, persistent=False)
        self.register_buffer("usual", self._usual_sizes(), persistent=False)
        size = self.tokens * self.channels
        self.analysis = nn.Parameter(torch.zeros(size, size))
        self.synthesis = nn.Parameter(torch.zeros(size, size))
        #: How much of what is measured becomes tokens, without a base and with one, which has
        #: coded most of it already.
        self.gate = nn.Parameter(
            torch.tensor([1.0, 0.5])[:, None, None].repeat(1, self.tokens, self.channels)
        )

    def _region_patterns(
        self, window: int, at: list[tuple[int, int]], phases: int, count: int
    ) -> Tensor:
        """Patterns of a region beyond the window's own `at`, `[phases, count, rows, columns]`."""
        height, width = window // self.grid[0], window // self.grid[1]
        above = max(math.hypot(*p) for p in at) * min(height, width) / window
        places = lowest(phases * count, above)
        most = 1 + max(max(p) for p in places)
        down, along = cosines(most, height), cosines(most, width)
        patterns = torch.stack([down[u][:, None] * along[v] for u, v in places])
        return patterns.unflatten(0, (phases, count))

    @in_full_precision
    def analyse(
        self, difference: Picture, context: Picture, phase: int = 0, base: bool = False
    ) -> Tensor:
        """Coefficients `[B, W, tokens, channels]` of a difference to the context; `base`: which is
        a base frame."""
        y = windows(difference.y, self.window) * 255  # [B, W, 1, n, n]
        uv = windows(difference.uv, self.window // 2) * 255  # [B, W, 2, n/2, n/2]
        low = self.rows @ y[:, :, 0] @ self.rows.T
        low_uv = self.chroma_rows @ uv @ self.chroma_rows.T
        half = self.tokens // 2
        luma = take(low, self.luma_at).unflatten(-1, (half, -1))
        chroma = [take(low_uv[:, :, i], self.chroma_at).unflatten(-1, (half, -1)) for i in (0, 1)]
        first = torch.cat([luma, *chroma], -1)
        # Region patterns are not orthogonal to window patterns, so they code the residual.
        if is_chroma(phase):
            smooth = [place(c.flatten(2), self.chroma_at, self.chroma_highest) for c in chroma]
            low_uv = self.chroma_rows.T @ torch.stack(smooth, 2) @ self.chroma_rows
            patterns = self.chroma_patterns[phase // CHROMA_EVERY]
            parts = (self._regions(p[:, :, None]) for p in (uv - low_uv).unbind(2))
            second = torch.cat([torch.einsum("bwkij,cij->bwkc", p, patterns) for p in parts], -1)
        else:
            low = self.rows.T @ place(luma.flatten(2), self.luma_at, self.highest) @ self.rows
            regions = self._regions(y - low[:, :, None])  # [B, W, half, rows, columns]
            patterns = self.patterns[phase - phase // CHROMA_EVERY]
            second = torch.einsum("bwkij,cij->bwkc", regions, patterns)
        found = torch.cat([first, torch.cat([second, self._gains(difference, context)], -1)], 2)
        return self._mix(found, self.analysis) * self.gate[int(base)]

    @in_full_precision
    def synthesise(self, coefficients: Tensor, context: Picture, phase: int = 0) -> Picture:
        """The difference that coefficients `[B, W, tokens, channels]` stand for."""
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
        fine = second[..., :-GAINS]
        if is_chroma(phase):
            patterns = self.chroma_patterns[phase // CHROMA_EVERY]
            planes = (torch.einsum("bwkc,cij->bwkij", p, patterns) for p in fine.chunk(2, -1))
            uv = uv + torch.stack([self._whole(p) for p in planes], 2)
        else:
            patterns = self.patterns[phase - phase // CHROMA_EVERY]
            y = y + self._whole(torch.einsum("bwkc,cij->bwkij", fine, patterns))
        height, width = context.y.shape[2:]
        columns = width // self.window
        made = Picture(plane(y[:, :, None], columns), plane(uv, columns)).scaled(1 / 255)
        return made + self._detail(second[..., -GAINS:], context, (height, width))

    def _mix(self, coefficients: Tensor, matrix: Tensor) -> Tensor:
        """In units of their usual sizes: a mean is ten thousand times a gain, and every entry of a
        matrix learns at the same pace."""
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
        second[:, -GAINS:] = 30.0
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

    def _bands(self, context: Picture) -> Picture:
        """Two octaves of luma detail `[B, 2, H, W]`, detail of chroma `[B, 2, H/2, W/2]`."""
        first = self._blur(context.y, 1)
        second = self._blur(first, 2)
        luma = torch.cat([context.y - first, first - second], 1)
        return Picture(luma, context.uv - self._blur(context.uv, 2))

    @staticmethod
    def _blur(x: Tensor, dilation: int) -> Tensor:
        """Binomial weights 1 4 6 4 1 in rows and columns, as sums of pairs: a convolution of one
        channel takes ten times as long."""
        x = F.pad(x, (2 * dilation,) * 4, mode="replicate")
        for axis in (2, 3):
            for _ in range(4):
                count = x.shape[axis] - dilation
                x = x.narrow(axis, 0, count) + x.narrow(axis, dilation, count)
        return x / 256

    def _gains(self, difference: Picture, context: Picture) -> Tensor:
        """The gains that fit a difference best in each region and 0, `[B, W, half, GAINS]`."""
        rows, columns = self.window // self.grid[0], self.window // self.grid[1]
        gains = []
        for band, wanted, part in zip(self._bands(context), difference, (1, 2), strict=True):
            size = rows // part, columns // part
            power, product = F.avg_pool2d(band.square(), size), F.avg_pool2d(band * wanted, size)
            if part == 2:
                power, product = power.mean(1, keepdim=True), product.mean(1, keepdim=True)
            gains.append(product / (power + (1 / 255) ** 2))
        gains.append(torch.zeros_like(gains[1]))
        found = windows_of(torch.cat(gains, 1), self.grid)
        return found.clamp(-1, 1) / _GAIN_UNIT

    def _detail(self, gains: Tensor, context: Picture, size: tuple[int, int]) -> Picture:
        """Detail of the context times its gains, which pass smoothly from region to region."""
        field = field_of(gains[..., :-1], self.grid, size[1] // self.window) * _GAIN_UNIT
        half = size[0] // 2, size[1] // 2
        luma, chroma = (
            F.interpolate(part, to, mode="bilinear", align_corners=False)
            for part, to in zip(field.split((2, 1), 1), (size, half), strict=True)
        )
        bands = self._bands(context)
        return Picture((bands.y * luma).sum(1, keepdim=True), bands.uv * chroma)
