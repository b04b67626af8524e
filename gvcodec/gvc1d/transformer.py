"""Attention inside windows and across them.

A window's sequence has S places: patches, latent slots, read-out of the memory. `LocalAttention`
mixes the places of a window, `GlobalAttention` the latent slots of all windows of a picture, which
stand for their windows. Residual branches are bounded in root mean square: unbounded ones let a
trunk collapse into one channel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Root mean square that a residual branch approaches at most.
_BOUND = 4.0
#: Windows whose logits are in memory at once: 28 MB of 296 places and five heads.
_AT_ONCE = 16
#: Logits of attention between unit vectors are at most so large.
_SHARPNESS = 6.0


def limit_rms(x: Tensor) -> Tensor:
    """Rows scaled so that their root mean square stays below `_BOUND`."""
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True).float()
    return x * torch.rsqrt(1 + size.square() / (x.shape[-1] * _BOUND**2)).to(x.dtype)


def unit(x: Tensor, length: float = 1.0) -> Tensor:
    """Rows of this length."""
    return x * (length / (torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1e-6)).to(x.dtype)


class Attention(nn.Module):
    """`x` `[B, N, D]` looks at `y` `[B, S, D]`; `bias` `[N, S]` or `[heads, N, S]` is added to the
    logits. `normalizes`: queries and keys have unit length."""

    def __init__(self, width: int, heads: int, normalizes: bool = True) -> None:
        super().__init__()
        self.heads, self.normalizes = heads, normalizes
        self.in_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
        b, n, d = x.shape
        if x is y:
            q, k, v = self.in_proj(x).chunk(3, -1)
        else:
            weight, offset = self.in_proj.weight, self.in_proj.bias
            q = F.linear(x, weight[:d], offset[:d])
            k, v = F.linear(y, weight[d:], offset[d:]).chunk(2, -1)
        q, k, v = (t.reshape(b, -1, self.heads, d // self.heads).transpose(1, 2) for t in (q, k, v))
        if self.normalizes:
            q, k = unit(q, _SHARPNESS), unit(k)
        else:
            q = q * (d // self.heads) ** -0.5
        if x.is_cuda or not torch.is_grad_enabled():
            mask = None if bias is None else bias.to(q.dtype)
            if mask is not None and mask.dim() == 3:
                mask = mask[None]  # Fused only so: otherwise eight times as slow.
            out = F.scaled_dot_product_attention(q, k.to(q.dtype), v, mask, scale=1.0)
        else:
            # Written out: on processors twice as fast as the fused form with a gradient.
            logits = q @ k.to(q.dtype).transpose(-1, -2)  # [B, heads, N, S]
            if bias is not None:
                logits = logits + bias.to(logits.dtype)
            out = torch.softmax(logits, -1).to(v.dtype) @ v
        return self.out_proj(out.transpose(1, 2).reshape(b, n, d))


class Block(nn.Module):
    """Attention and a perceptron, each on normalised input, each a bounded residual branch."""

    def __init__(self, width: int, heads: int, scale: float = 0.3, plain: bool = False) -> None:
        """`scale`: initial scale of a branch's output. `plain`: without bounds, as ViT."""
        super().__init__()
        self.plain = plain
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, not plain)
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        with torch.no_grad():
            for last in (self.attn.out_proj, self.c_proj):
                last.weight.mul_(scale)
                last.bias.mul_(scale)

    def forward(self, x: Tensor, y: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """`x` `[B, N, D]`; `y`: keys and values (default `x`), `[B, S, D]`."""
        x_norm = self.ln_1(x)
        x = x + self._bounded(self.attn(x_norm, x_norm if y is None else y, bias))
        return x + self._bounded(self.c_proj(F.gelu(self.c_fc(self.ln_2(x)))))

    def _bounded(self, x: Tensor) -> Tensor:
        return x if self.plain else limit_rms(x)


class LocalAttention(Block):
    """A block over the places of each window: `[B, W, S, D]`. Latent slots and the patches of their
    own regions attract each other: a learned amount,
    1.5 at the beginning, is added to their logits."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.attraction = nn.Parameter(torch.full((heads, 1, 1), 1.5))

    def forward(  # type: ignore[override]
        self, x: Tensor, near: Tensor | None = None
    ) -> Tensor:
        """`near` `[S, S]`: 1 where a slot and a patch belong together, else 0."""
        b, w, s, d = x.shape
        bias = None if near is None else self.attraction * near
        windows = x.reshape(b * w, s, d)
        if torch.is_grad_enabled():
            return super().forward(windows, None, bias).view(b, w, s, d)
        parts = [
            super(LocalAttention, self).forward(p, None, bias) for p in windows.split(_AT_ONCE)
        ]
        return torch.cat(parts).view(b, w, s, d)


class GlobalAttention(Block):
    """A block over the latent slots of all windows: `[B, W, K, D]`. Each head has a distance at
    which slots cease to see each other and a direction in which it looks first: without either a
    slot cannot distinguish the window to its left from the window above."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        ways = torch.tensor([(0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 0.0)])
        #: A window's distance lowers logits by `far`, logits rise by `way` in its direction.
        self.far = nn.Parameter(torch.full((heads,), 3.0))
        self.way = nn.Parameter(3 * ways.repeat(-(-heads // 5), 1)[:heads])

    def forward(  # type: ignore[override]
        self, x: Tensor, places: Tensor | None = None
    ) -> Tensor:
        """`places` `[W, K, 2]`: where slots lie, down and along, in windows."""
        b, w, k, d = x.shape
        slots = x.reshape(b, w * k, d)
        if places is None:
            return super().forward(slots).view(b, w, k, d)
        at = places.reshape(w * k, 2)
        count = _AT_ONCE * k
        parts = [
            self._near(part, slots, self._bias(here, at))
            for part, here in zip(slots.split(count, 1), at.split(count), strict=True)
        ]
        return torch.cat(parts, 1).view(b, w, k, d)

    def _near(self, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
        """`Block.forward` of some slots; normalised once more where they are not all."""
        return super().forward(x, None if len(bias[0]) == y.shape[1] else self.ln_1(y), bias)

    def _bias(self, here: Tensor, at: Tensor) -> Tensor:
        """Bias of logits, `[heads, N, S]`."""
        apart = at[None] - here[:, None]  # [N, S, 2]
        distance = torch.linalg.vector_norm(apart, dim=-1)
        towards = torch.einsum("hi,nsi->hns", self.way, apart / (distance + 0.25)[..., None])
        return towards - self.far[:, None, None] * distance
