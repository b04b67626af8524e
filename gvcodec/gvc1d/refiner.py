"""The transformers of base gvc1d. Where no painter is named, the Restorer makes the shown picture,
after the integer loop; the Analyst moves values before they are rounded, in training: files round
by rate and distortion instead (`rounding`).

                                         last restored picture, moved
              prediction ───┬───────────────────────┐  │  1-D memory: M vectors a window
                            ▼                       ▼  ▼  ▼
    source ─► Analyst ───► tokens ─► integer loop ─► Restorer ─► shown picture
             local, global  [B, W, N]  frame, exact  local, global │
                                                                   └─► memory of the next frame

Both see a window as 256 patches (its regions, by their coefficients) and M vectors (the Analyst's
are constant); local layers mix these within a window, global layers the vectors of all windows.
Every frame rewrites the memory. Paper: GVC1D (CVPR 2026, arXiv 2603.15302): local and global
attention, buffer, 1-D memory.

Shapes: pictures in 10-bit levels, coefficients `[B, 384, h, w]` (`gvcodec.gvc1d.transform`), h and
w multiples of 16; memory `[B, W, M, D]`; vectors `[B, h, w, 2]` (dx, dy) in quarter samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.token_order import CHROMA, LUMA, REGIONS, SIDE
from gvcodec.gvc1d.transform import GREY
from gvcodec.gvc1d.transformer import Attention, Block

#: Coefficients of a region.
_COEFFICIENTS = LUMA + 2 * CHROMA


@dataclass(frozen=True, slots=True)
class Sizes:
    """`analyst`, `restorer`: width, heads, stages of a local and a global layer; `memory`: vectors
    a window; `features`, `blocks`: channels and residual blocks at a quarter of the size."""

    analyst: tuple[int, int, int] = (128, 4, 2)
    restorer: tuple[int, int, int] = (192, 6, 3)
    memory: int = 8
    features: int = 48
    blocks: int = 6


class Stages(nn.Module):
    """Local and global layers in turn over patches `[B, W, 256, D]` and memory `[B, W, M, D]`."""

    def __init__(self, width: int, heads: int, stages: int) -> None:
        super().__init__()
        self.local = nn.ModuleList(Block(width, heads) for _ in range(stages))
        self.across = nn.ModuleList(Block(width, heads) for _ in range(stages))
        self.places = nn.Parameter(0.02 * torch.randn(REGIONS, width))
        #: Where a window lies to another: logits by head for the distance, and for each direction.
        self.far = nn.Parameter(torch.full((heads,), 0.5))
        self.way = nn.Parameter(torch.zeros(heads, 2))
        self.uses_local = self.uses_global = True

    def forward(self, patches: Tensor, memory: Tensor, columns: int) -> tuple[Tensor, Tensor]:
        b, w, p, d = patches.shape
        m = memory.shape[2]
        x = torch.cat([patches + self.places, memory.to(patches.dtype)], 2)  # [B, W, P + M, D]
        bias = self._bias(w, m, columns, x.device)
        for local, across in zip(self.local, self.across, strict=True):
            if self.uses_local:
                x = local(x.view(b * w, p + m, d)).view(b, w, p + m, d)
            if self.uses_global:
                slots = across(x[:, :, p:].reshape(b, w * m, d), None, bias)
                x = torch.cat([x[:, :, :p], slots.view(b, w, m, d)], 2)
        return x[:, :, :p], x[:, :, p:]

    def _bias(self, windows: int, memory: int, columns: int, device: torch.device) -> Tensor:
        """Of logits between memory vectors, `[heads, W M, W M]`."""
        at = torch.arange(windows, device=device)
        place = torch.stack([at // columns, at % columns], 1).float()
        apart = place[None] - place[:, None]  # [W, W, 2]
        distance = apart.norm(dim=-1)
        towards = torch.einsum("hi,nsi->hns", self.way, apart / (distance + 0.25)[..., None])
        bias = towards - self.far[:, None, None] * distance
        return bias.repeat_interleave(memory, 1).repeat_interleave(memory, 2)


def to_patches(maps: Tensor) -> Tensor:
    """`[B, C, h, w]` → `[B, W, 256, C]`."""
    b, c, h, w = maps.shape
    x = maps.view(b, c, h // SIDE, SIDE, w // SIDE, SIDE).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b, -1, REGIONS, c)


def from_patches(patches: Tensor, columns: int) -> Tensor:
    """The inverse of `to_patches`."""
    b, w, _, c = patches.shape
    x = patches.view(b, w // columns, columns, SIDE, SIDE, c).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(b, c, w // columns * SIDE, columns * SIDE)


def _levels(coefficients: Tensor, step: Tensor) -> Tensor:
    """Coefficients in steps, as activations: what is large grows slowly."""
    x = coefficients / step.view(-1, 1, 1, 1)
    return x.sign() * torch.log1p(x.abs())


class Analyst(nn.Module):
    """The encoder's transformer: how far each integer moves before it is rounded, in steps."""

    #: At most so far.
    REACH = 1.0

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, heads, stages = sizes.analyst
        self.embed = nn.Linear(2 * _COEFFICIENTS + 2, width)
        self.memory = nn.Parameter(0.5 * torch.randn(sizes.memory, width))
        self.stages = Stages(width, heads, stages)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, _COEFFICIENTS)
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, residual: Tensor, prediction: Tensor, step: Tensor, predicted: Tensor
    ) -> Tensor:
        """Offsets `[B, 384, h, w]` in steps; `residual`, `prediction`: coefficients; `step`,
        `predicted` `[B]`."""
        b, _, h, w = residual.shape
        about = torch.stack([step.log() / 4, predicted.to(step.dtype)], 1)[:, :, None, None]
        seen = torch.cat(
            [_levels(residual, step), _levels(prediction, step), about.expand(b, 2, h, w)], 1
        )
        patches = self.embed(to_patches(seen))
        memory = self.memory.expand(b, patches.shape[1], -1, -1)
        patches, _ = self.stages(patches, memory, w // SIDE)
        moved = self.out(self.norm(patches)).float()
        return self.REACH * torch.tanh(from_patches(moved, w // SIDE))


class Restored(NamedTuple):
    """After a frame: the picture shown, luma and chroma, and the memory."""

    y: Tensor
    uv: Tensor
    memory: Tensor

    def detach(self) -> Restored:
        return Restored(self.y.detach(), self.uv.detach(), self.memory.detach())


class Restorer(nn.Module):
    """The decoder's transformer and its convolutions: adds to the loop's frame what the source has
    and tokens do not say."""

    noise: Tensor
    #: Eight-bit levels that an output of one adds.
    GAIN = 6.0
    _NOISE = 4

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, heads, stages = sizes.restorer
        c = sizes.features
        self.sizes = sizes
        self.embed = nn.Linear(2 * _COEFFICIENTS + 2, width)
        #: The memory of a first frame.
        self.start = nn.Parameter(0.5 * torch.randn(sizes.memory, width))
        self.stages = Stages(width, heads, stages)
        self.norm, self.norm_memory = nn.LayerNorm(width), nn.LayerNorm(width)
        self.spread = nn.Linear(width, 16 * 16)  # 16 channels of 4×4 places
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(1, self._NOISE, 64, 64, generator=generator)
        self.register_buffer("noise", noise, persistent=True)
        self.head = nn.Conv2d(3 * 24 + 16 + self._NOISE + 2, c, 3, padding=1)
        self.body = nn.ModuleList(_Residual(c) for _ in range(sizes.blocks))
        self.tail = nn.Conv2d(c, 24, 3, padding=1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)

    def fresh(self, batch: int, windows: int) -> Tensor:
        """The memory of a first frame."""
        return self.start.expand(batch, windows, -1, -1)

    def forward(
        self,
        frame: tuple[Tensor, Tensor],
        coefficients: tuple[Tensor, Tensor],
        prediction: tuple[Tensor, Tensor] | None,
        last: tuple[Tensor, Tensor] | None,
        memory: Tensor | None,
        step: Tensor,
    ) -> Restored:
        """`frame`: the loop's; `coefficients`: the frame's own, and those that the tokens stand
        for; `prediction`: what motion made of the last loop frame; `last`: the last restored
        picture, moved alike."""
        y, uv = frame
        b, _, height, width = y.shape
        h, w = height // 16, width // 16
        predicted = y.new_full((b,), float(prediction is not None))
        about = torch.stack([step.log() / 4, predicted], 1)[:, :, None, None]
        own, told = coefficients
        seen = torch.cat([_levels(own, step), _levels(told, step), about.expand(b, 2, h, w)], 1)
        patches = self.embed(to_patches(seen))
        if memory is None:
            memory = self.fresh(b, patches.shape[1])
        patches, kept = self.stages(patches, memory, w // SIDE)
        spread = from_patches(self.spread(self.norm(patches)), w // SIDE)
        maps = [_pack(y - GREY, uv - GREY)]
        for other in (prediction, last):
            if other is None:
                maps.append(torch.zeros_like(maps[0]))
            else:
                maps.append(_pack(other[0] - y, other[1] - uv) * 4)
        maps.append(F.pixel_shuffle(spread, 4))
        times = -(-height // 256), -(-width // 256)
        noise = self.noise.repeat(1, 1, *times)[:, :, : height // 4, : width // 4]
        maps.append(noise.expand(b, -1, -1, -1).to(y.dtype))
        maps.append(about.expand(b, 2, height // 4, width // 4))
        x = F.silu(self.head(torch.cat([m.to(y.dtype) for m in maps], 1)))
        for block in self.body:
            x = block(x)
        made = self.tail(x).float() * (4 * self.GAIN)
        add_y = F.pixel_shuffle(made[:, :16], 4)
        add_uv = F.pixel_shuffle(made[:, 16:], 2)
        return Restored(
            (y + add_y).clamp(0, 1023), (uv + add_uv).clamp(0, 1023), self.norm_memory(kept).float()
        )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 3, padding=1)
        self.two = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.two.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = x + self.two(F.silu(self.one(x)))
        return made


def _pack(y: Tensor, uv: Tensor) -> Tensor:
    """Squares of 4×4 luma samples and their chroma as channels, in 8-bit levels over 64,
    `[B, 24, H/4, W/4]`."""
    return torch.cat([F.pixel_unshuffle(y, 4), F.pixel_unshuffle(uv, 2)], 1) / 256


def compensate(y: Tensor, uv: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures moved by the vectors of 16×16 blocks, bicubic (chroma bilinear): for training and
    for restored pictures, which no integer depends on. The loop has `gvcodec.gvc1d.exact`."""
    return _fetch(y, vectors, 16, "bicubic"), _fetch(uv, vectors, 8, "bilinear")


def _fetch(x: Tensor, vectors: Tensor, block: int, mode: str) -> Tensor:
    h, w = x.shape[2:]
    field = (
        vectors.float().permute(0, 3, 1, 2).repeat_interleave(block, 2).repeat_interleave(block, 3)
    )
    unit = 4.0 * 16 / block  # of a sample of this plane
    ys = torch.arange(h, device=x.device)[:, None] + field[:, 1, :h, :w] / unit
    xs = torch.arange(w, device=x.device)[None] + field[:, 0, :h, :w] / unit
    grid = torch.stack([(2 * xs + 1) / w - 1, (2 * ys + 1) / h - 1], -1)
    return F.grid_sample(x.float(), grid, mode=mode, padding_mode="border", align_corners=False)


__all__ = ["Analyst", "Attention", "Restored", "Restorer", "Sizes", "compensate"]
