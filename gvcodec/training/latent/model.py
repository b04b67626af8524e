"""Encoder and restorer of latent tokens with places.

    z = network.encode(crops)                     # (B, C, h, w), to be rounded
    luma, chroma = network.restore(crops, z)      # the painted picture and what the tokens add

h = H/16, w = W/16: one token of C integers for each 16² patch. The restorer works on quarter
resolution; it sees the AV1 picture and the painted one, and the tokens are added to its features
where they belong. Sizes of pictures are multiples of 16, and any of them will do: nothing depends
on absolute places.

Branches of residuals leave through a bounded norm and a scale of .1, the last operation of a branch
is linear: a channel cannot outgrow the others, a branch cannot die.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.training.latent.entropy import CONDITION, Context, Factorised, condition
from gvcodec.training.latent.material import Crops, Pair

#: Share of its branch that a residual layer begins with.
_SCALE = 0.1
_HEADS = 4


@dataclass(frozen=True)
class Sizes:
    """`channels` and `blocks` of the restorer, `width` of tokens' features, `integers` of a token,
    `layers`: pairs of a local and a global attention layer in the encoder; the restorer has one."""

    channels: int = 64
    blocks: int = 13
    width: int = 96
    integers: int = 4
    layers: int = 2


def bound(x: Tensor, axis: int) -> Tensor:
    """Vectors along an axis, those longer than one a channel made as long."""
    return x * torch.rsqrt(x.square().mean(axis, keepdim=True) + 1)


class Block(nn.Module):
    """Two convolutions beside a shortcut, `(B, C, H, W)`; the condition scales and moves what they
    add."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.by_q = nn.Linear(embedding, 2 * channels)
        nn.init.normal_(self.by_q.weight, std=0.01)
        nn.init.zeros_(self.by_q.bias)
        self.scale = nn.Parameter(_SCALE * torch.ones(channels, 1, 1))

    def activate(self, x: Tensor) -> Tensor:
        """Activations between the two."""
        found: Tensor = F.leaky_relu(self.first(x), 0.1)
        return found

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        gain, shift = self.by_q(embedding)[:, :, None, None].chunk(2, 1)
        found = bound(self.second(self.activate(x)).float(), 1)
        made: Tensor = x + self.scale * (found * (1 + gain) + shift)
        return made


@lru_cache(maxsize=32)
def distances(rows: int, columns: int) -> Tensor:
    """Larger of the steps down and along between any two of so many places, `(N, N)`."""
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    return (places[:, None] - places[None]).abs().amax(2)


class Attention(nn.Module):
    """One attention layer and one of single places, over maps `(B, D, h, w)`. `reach`: how far it
    looks, in patches, None = everywhere. Heads begin with different fondness of what is near."""

    def __init__(self, width: int, reach: int | None) -> None:
        super().__init__()
        self.reach = reach
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.slope = nn.Parameter(torch.tensor([0.0, 0.1, 0.4, 1.0]))
        self.scale = nn.Parameter(_SCALE * torch.ones(2, width))

    def forward(self, x: Tensor) -> Tensor:
        batch, width, rows, columns = x.shape
        x = x.flatten(2).transpose(1, 2)
        x = x + self.scale[0] * bound(self._look(self.norm(x), rows, columns), 2)
        found = self.narrow(F.gelu(self.wide(self.norm2(x))))
        x = x + self.scale[1] * bound(found, 2)
        return x.transpose(1, 2).reshape(batch, width, rows, columns)

    def _look(self, x: Tensor, rows: int, columns: int) -> Tensor:
        batch, count, width = x.shape
        parts = self.query_key_value(x).view(batch, count, 3, _HEADS, width // _HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        far = distances(rows, columns).to(x.device)
        bias = -self.slope[:, None, None] * far
        if self.reach is not None:
            bias = bias.masked_fill(far > self.reach, -1e9)
        query, key = 4 * F.normalize(query, dim=-1), F.normalize(key, dim=-1)
        share = F.softmax(query @ key.transpose(-1, -2) + bias, -1)
        found: Tensor = self.leave((share @ value).transpose(1, 2).reshape(batch, count, width))
        return found


def _pairs(count: int, width: int) -> nn.Sequential:
    """So many local layers, each followed by a global one."""
    return nn.Sequential(*(Attention(width, reach) for _ in range(count) for reach in (2, None)))


def fold(pair: Pair) -> Tensor:
    """Planes as 24 channels of quarter resolution."""
    return torch.cat([F.pixel_unshuffle(pair[0], 4), F.pixel_unshuffle(pair[1], 2)], 1)


class Encoder(nn.Module):
    """Source and what there is of it → the numbers of the tokens."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        d = sizes.width
        self.see = nn.Sequential(
            nn.Conv2d(96, d, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(d, d, 3, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(d, d, 3, 2, 1),
        )
        self.by_q = nn.Linear(CONDITION, d)
        self.layers = _pairs(sizes.layers, d)
        self.norm = nn.LayerNorm(d)
        self.leave = nn.Linear(d, sizes.integers)
        # Several steps of the quantiser from the first moment: what rounds to 0 learns nothing.
        nn.init.normal_(self.leave.weight, std=0.3)

    def forward(self, crops: Crops) -> Tensor:
        source, base, painted = (fold(p) for p in (crops.source, crops.base, crops.painted))
        parts = 2 * source - 1, 8 * (source - base), 8 * (source - painted), 2 * painted - 1
        x = self.see(torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)).float()
        x = self.layers(x + self.by_q(condition(crops.q))[:, :, None, None])
        found: Tensor = self.leave(self.norm(x.permute(0, 2, 3, 1)))
        return found.permute(0, 3, 1, 2).float()


class Reader(nn.Module):
    """Tokens `(B, C, h, w)` and the restorer's features `(B, channels, 4h, 4w)` → what is added to
    the features. The tokens meet what the picture has at their places."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        c, d = sizes.channels, sizes.width
        self.enter = nn.Conv2d(sizes.integers, d, 1)
        self.see = nn.Conv2d(c, d, 4, 4)
        self.layers = _pairs(1, d)
        self.leave = nn.Conv2d(d, 16 * c, 1)
        nn.init.normal_(self.leave.weight, std=0.06)

    def features(self, z: Tensor, x: Tensor) -> Tensor:
        """Of the patches, `(B, width, h, w)`."""
        seen = self.see(x).float()
        entered = self.enter(z)
        made: Tensor = self.layers(entered * (1 + 0.5 * torch.tanh(seen)) + 0.2 * seen)
        return bound(made, 1)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.leave(self.features(z, x)), 4)


class Restorer(nn.Module):
    """A convolutional network on quarter resolution that adds to the painted picture."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        c, e = sizes.channels, 24
        self.embed = nn.Sequential(nn.Linear(CONDITION, e), nn.GELU(), nn.Linear(e, e))
        self.head = nn.Conv2d(48, c, 3, padding=1)
        self.reader = Reader(sizes)
        self.blocks = nn.ModuleList([Block(c, e) for _ in range(sizes.blocks)])
        self.tail = nn.Conv2d(c, c, 3, padding=1)
        self.leave = nn.Conv2d(c, 24, 3, padding=1)
        # Small, not zero: with no gradient at first, the trunk collapses at the second step.
        nn.init.normal_(self.leave.weight, std=0.001)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def enter(self, crops: Crops) -> Tensor:
        """Features of the decoded pictures, `(B, channels, H/4, W/4)`."""
        base, painted = fold(crops.base), fold(crops.painted)
        x = torch.cat([4 * base - 2, 16 * (painted - base)], 1)
        found: Tensor = self.head(x.contiguous(memory_format=torch.channels_last))
        return found.float()

    def trunk(self, crops: Crops, z: Tensor | None) -> Tensor:
        """What leaves the last block. Without `z` the tokens' path is shut."""
        first = self.enter(crops)
        x = first if z is None else first + self.reader(z, first).float()
        embedding = self.embed(condition(crops.q))
        for block in self.blocks:
            x = block(x, embedding)
        return x

    def forward(self, crops: Crops, z: Tensor | None) -> Pair:
        found = 0.25 * self.leave(self.tail(self.trunk(crops, z))).float()
        luma = crops.painted[0] + F.pixel_shuffle(found[:, :16], 4)
        return luma, crops.painted[1] + F.pixel_shuffle(found[:, 16:], 2)


class LatentNetwork(nn.Module):
    """Encoder, restorer and the code lengths of the tokens; see the module."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder, self.restorer = Encoder(sizes), Restorer(sizes)
        self.factorised, self.context = Factorised(sizes.integers), Context(sizes.integers)

    def encode(self, crops: Crops) -> Tensor:
        """Numbers of the tokens before they are rounded, `(B, C, H/16, W/16)`."""
        found: Tensor = self.encoder(crops)
        return found

    def restore(self, crops: Crops, z: Tensor | None) -> Pair:
        """Luma and chroma, not clipped."""
        found: Pair = self.restorer(crops, z)
        return found
