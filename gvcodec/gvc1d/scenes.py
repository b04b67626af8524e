"""The direct path of the memory: what the regions of a window looked like, in two scenes.

As tokens have patterns of their own (`gvcodec.gvc1d.direct`), memory vectors have: for each region
of a window two of them hold the lowest cosine coefficients of its pictures, one of the scene that
is shown and one of the scene before it: what a moving thing has hidden, or the other side of a
dialogue. `update` lets the nearer one follow the picture; a region that looks like neither replaces
the one that was used longest ago. `recall` is the picture of the other scene; the last number of a
region's token says how much of it the guess takes.

    scenes = [B, W, 2, regions, R + 1]     R coefficients, and how much it was the one in use

Nothing of it is rounded, so distances decide by weights that change steadily: machines that differ
in the last bit stay together.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.blocks import cosines, field_of, plane, region_grid, spread, windows, windows_of
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.picture import Picture

SCENES = 2
#: Lowest frequencies of a region down and along, luma and each chroma plane.
_LUMA, _CHROMA = 14, 6
#: An integer of a token stands for this share of what the memory knows.
_SHARE = 0.5
#: Squared 8-bit levels of a change that is hardly worth a bit.
_SMALL = 9.0
#: Squared error that an integer has to save, in squared steps: about what patterns' do.
_WORTH = 0.3
#: Where detail is less alike than this, right means are not worth wrong edges, which cost more.
_ALIKE, _PATCH = 0.6, 16
#: Of a fresh memory the first vectors are taken first.
_FIRST = (0.0, 0.5)


class Scenes(nn.Module):
    """See the module. Distances are root mean squares in 8-bit levels."""

    luma: Tensor
    chroma: Tensor

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.window, self.grid = config.window, region_grid(config.tokens)
        rows, columns = (self.window // n for n in self.grid)
        self.region = rows, columns
        for name, most, part in (("luma", _LUMA, 1), ("chroma", _CHROMA, 2)):
            side = min(rows, columns) // part
            basis = cosines(min(most, side), side)
            self.register_buffer(name, basis, persistent=False)
        # Regions are as high as wide, or twice: then a vector holds two squares.
        self.squares = rows // columns
        self.size = self.squares * (len(self.luma) ** 2 + 2 * len(self.chroma) ** 2)
        #: Distances at which a region is of another scene, and that tell two scenes apart.
        self.novel = nn.Parameter(torch.tensor(math.log(12.0)))
        self.apart = nn.Parameter(torch.tensor(math.log(2.0)))
        #: Share of the way to the picture that the vector in use goes in a frame (a logit).
        self.follow = nn.Parameter(torch.tensor(0.0))

    def fresh(self, batch: int, windows: int) -> Tensor:
        """Grey, `[B, W, 2, regions, R + 1]`."""
        regions = self.grid[0] * self.grid[1]
        scenes = self.luma.new_zeros(batch, windows, SCENES, regions, self.size + 1)
        scenes[..., -1] = scenes.new_tensor(_FIRST)[:, None]
        return scenes

    def update(self, scenes: Tensor, picture: Picture) -> Tensor:
        """After a frame, `picture` as it was coded."""
        with torch.autocast(scenes.device.type, enabled=False):
            seen = self._describe(picture)[:, :, None]  # [B, W, 1, regions, R]
            known, used = scenes[..., :-1], scenes[..., -1]
            area = self.region[0] * self.region[1]
            square = (known - seen).square().sum(-1) / area
            distance = torch.sqrt(square + 1e-2)  # [B, W, 2, regions]
            near = torch.softmax(-distance / self.apart.exp(), 2)
            limit = self.novel.exp()
            novel = ((distance.amin(2, keepdim=True) - limit) / limit).clamp(0, 1)
            oldest = _unused(used)
            follow = novel + (1 - novel) * torch.sigmoid(self.follow)
            weight = novel * oldest + (1 - novel) * near
            moved = known + (weight * follow)[..., None] * (seen - known)
            return torch.cat([moved, weight[..., None]], -1)

    def recall(self, scenes: Tensor, columns: int) -> Picture:
        """The other scene; `columns` windows in a row."""
        with torch.autocast(scenes.device.type, enabled=False):
            weight = _unused(scenes[..., -1:])
            return self._picture((weight * scenes[..., :-1]).sum(2), columns)

    def ask(self, wanted: Picture, change: Picture, step: Tensor) -> Tensor:
        """How much of a change to the guess is worth its bits, integers `[B, W, regions]`;
        `wanted`: the source less the guess, `step` `[B, 1, regions]` of a region's patterns."""
        found, power = torch.zeros(()), torch.tensor(_SMALL)
        for band, target, part in zip(change, wanted, (1, 2), strict=True):
            size = self.region[0] // part, self.region[1] // part
            band, target = 255 * band, 255 * target
            found = found + F.avg_pool2d(band * target, size).sum(1, keepdim=True) / part
            power = power + F.avg_pool2d(band.square(), size).sum(1, keepdim=True) / part
        share = windows_of(found / power, self.grid)[..., 0]
        saved = windows_of(found.square() / power, self.grid)[..., 0]  # squared levels a sample
        pays = saved * self.region[0] * self.region[1] > _WORTH * step.square()
        alike = self._alike(change.y, wanted.y) > _ALIKE
        return (share / _SHARE).round().clamp(0, 1 / _SHARE) * pays * alike

    def _alike(self, change: Tensor, wanted: Tensor) -> Tensor:
        """Correlation of what both have finer than a patch in each region, `[B, W, regions]`."""
        fine = [x - spread(F.avg_pool2d(x, _PATCH), _PATCH) for x in (change, wanted)]
        pairs = (fine[0] * fine[1], fine[0].square(), fine[1].square())
        both, one, other = (F.avg_pool2d(x, self.region) for x in pairs)
        return windows_of(both / (one * other).sqrt().clamp(min=1e-6), self.grid)[..., 0]

    def blend(self, asked: Tensor, change: Picture) -> Picture:
        """Its share of the change; `asked` `[B, W, regions]`."""
        share = (asked.round() * _SHARE).clamp(0, 1)
        height, width = change.y.shape[2:]
        field = field_of(share[..., None], self.grid, width // self.window)
        return Picture(
            change.y * _smooth(field, (height, width)),
            change.uv * _smooth(field, (height // 2, width // 2)),
        )

    def _describe(self, picture: Picture) -> Tensor:
        """Coefficients of each region less grey, `[B, W, regions, R]`."""
        found = []
        for samples, basis, part in zip(picture, (self.luma, self.chroma), (1, 2), strict=True):
            x = windows(samples, self.window // part) * 255 - 128  # [B, W, C, n, n]
            b, w, c, n, _ = x.shape
            side = basis.shape[1]
            x = x.view(b, w, c, n // side, side, n // side, side).transpose(4, 5)
            low = basis @ x @ basis.T  # [B, W, C, n/side, n/side, f, f]
            low = low.unflatten(3, (self.grid[0], self.squares))
            found.append(low.permute(0, 1, 3, 5, 4, 2, 6, 7).flatten(4).flatten(2, 3))
        return torch.cat(found, -1)

    def _picture(self, known: Tensor, columns: int) -> Picture:
        """The inverse of `_describe`, as far as it goes."""
        counts = [self.squares * len(b) ** 2 * c for b, c in ((self.luma, 1), (self.chroma, 2))]
        planes = []
        for part, basis, c in zip(
            known.split(counts, -1), (self.luma, self.chroma), (1, 2), strict=True
        ):
            b, w = part.shape[:2]
            f, side = basis.shape
            low = part.reshape(b, w, *self.grid, self.squares, c, f, f)
            low = low.permute(0, 1, 5, 2, 4, 3, 6, 7).flatten(3, 4)  # [B, W, C, n/side, n/side, …]
            x = (basis.T @ low @ basis).transpose(4, 5)
            n = x.shape[3] * side
            planes.append(plane((x.reshape(b, w, c, n, n) + 128) / 255, columns))
        return Picture(*planes)


def _unused(used: Tensor) -> Tensor:
    """Weights of the scenes, nearly all on the one that was used longest ago."""
    return torch.softmax(-used / 0.1, 2)


def _smooth(field: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(field, size, mode="bilinear", align_corners=False)
