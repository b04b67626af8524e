"""The network of base gvc1d: transform, entropy model, loop filter; and one frame through it, as
training sees it (floats, straight-through rounding).

    source ─► analyse ─► round ─► values [B, W, N] ─► Twin: bits
                ▲          │
    prediction ─┴──────────┴─► synthesise ─► loop filter ─► frame

In files the loop is integers (`gvcodec.gvc1d.encoder`), rounding floats.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.context_model import Twin, make_sides, see, see_at, table_bits
from gvcodec.gvc1d.filter_network import LoopFilter
from gvcodec.gvc1d.token_order import COARSE, REGIONS, SIDE
from gvcodec.gvc1d.transform import GREY, Transform

#: Dead zone: values round towards zero by this share of a step more than to the nearest.
DEAD_ZONE = 0.17
#: λ of D + λ · bits, in squared steps a bit.
PRICE = 0.15
#: Rounds of rate–distortion rounding, and values whose tables are found at once.
_ROUNDS, _AT_ONCE = 2, 1 << 18


class Last(NamedTuple):
    """What a frame leaves: the loop's frame (10-bit levels), its values and their running
    magnitudes in 1/32 `[B W, N]`."""

    y: Tensor
    uv: Tensor
    values: Tensor
    running: Tensor


class Made(NamedTuple):
    """One frame: `y`, `uv` of the loop; `bits` `[B]`; `values` `[B, W, N]`."""

    y: Tensor
    uv: Tensor
    bits: Tensor
    values: Tensor
    last: Last


class CodecNetwork(nn.Module):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.transform = Transform()
        self.twin = Twin()
        self.loop_filter = LoopFilter()
        self.filters = True  # False: frames are as their values make them
        #: Whether integers are rounded by rate and distortion, as in files, or by a dead zone.
        self.searches = True

    def values_of(
        self,
        y: Tensor,
        uv: Tensor,
        guess: tuple[Tensor, Tensor],
        step: Tensor,
        planes: int,
    ) -> tuple[Tensor, Tensor]:
        """Unrounded integers `[B, W, N]` of a frame, and the prediction's coefficients."""
        residual = self.transform.analyse(y - guess[0], uv - guess[1])
        known = self.transform.analyse(guess[0] - GREY, guess[1] - GREY)
        values = self.transform.to_windows(residual, planes)
        return values / (step.view(-1, 1, 1) * self.transform.steps(planes)), known

    def synthesise(
        self, values: Tensor, guess: tuple[Tensor, Tensor], step: Tensor, planes: int
    ) -> tuple[Tensor, Tensor]:
        """The loop's frame before the filter."""
        scaled = values * (step.view(-1, 1, 1) * self.transform.steps(planes))
        coefficients = self.transform.from_windows(scaled, guess[0].shape[3] // 256)
        y, uv = self.transform.synthesise(coefficients)
        return (guess[0] + y).clamp(0, 1023), (guess[1] + uv).clamp(0, 1023)

    @torch.no_grad()
    def choose(self, unrounded: Tensor, values: Tensor, sides: Tensor, planes: int) -> Tensor:
        """Rate–distortion rounding of `unrounded` `[M, N]`, begun at `values`: a value moves
        towards 0 where the bits that this saves, counted by the entropy model given the values
        rounded so far, are worth the squared error. What lies nearer to 0 than to 1 becomes 0
        unasked: most of a frame. `sides` `[M, N, SIDES]`."""
        windows, places = (unrounded.abs() >= 0.5).nonzero(as_tuple=True)
        weights = self.transform.steps(planes).square()[places] / PRICE
        wanted = unrounded[windows, places]
        for _ in range(_ROUNDS):
            found = []
            for at in torch.arange(len(places), device=places.device).split(_AT_ONCE):
                seen = see_at(values, sides, 2 + planes, windows[at], places[at])
                now = values[windows[at], places[at]]
                found.append(_cheapest(wanted[at], now, self.twin(seen), weights[at]))
            if found:
                values = values.index_put((windows, places), torch.cat(found))
        return values

    def sides(
        self,
        guess: tuple[Tensor, Tensor],
        known: Tensor,
        last: Last | None,
        vectors: Tensor | None,
        q: Tensor,
        step: Tensor,
        planes: int,
    ) -> Tensor:
        """Activations before the frame `[B W, N, SIDES]`."""
        b, _, h, w = known.shape
        windows = (h // 16) * (w // 16)
        many = q.repeat_interleave(windows)
        if last is None:
            none = torch.zeros_like(many)
            return make_sides(2 + planes, b * windows, many, none, *(None,) * 5)
        size = self.transform.to_windows(known, planes)
        size = size.abs() / (step.view(-1, 1, 1) * self.transform.steps(planes)) * 32
        size[..., :COARSE] = 0
        assert vectors is not None
        change = (guess[0] - last.y).abs().round()
        change = nn.functional.avg_pool2d(change, 16) * 8
        return make_sides(
            2 + planes,
            b * windows,
            many,
            torch.ones_like(many),
            _fit(last.values, planes),
            _fit(last.running, planes),
            size.flatten(0, 1).floor(),
            to_patches(irregularity(vectors)[:, None]).flatten(0, 1)[..., 0],
            to_patches(change).flatten(0, 1)[..., 0].floor(),
        )

    def forward(
        self,
        source: tuple[Tensor, Tensor],
        last: Last | None,
        vectors: Tensor | None,
        q: Tensor,
        planes: int,
        share: float = 1.0,
    ) -> Made:
        """One frame in training; `q` `[B]`; bits are estimated on a `share` of the values."""
        y, uv = source
        step = 16.0 * 2 ** (q / 10)
        if last is None:
            guess = torch.full_like(y, GREY), torch.full_like(uv, GREY)
        else:
            assert vectors is not None
            guess = compensate(last.y, last.uv, vectors)
        unrounded, known = self.values_of(y, uv, guess, step, planes)
        with torch.no_grad():
            sides = self.sides(guess, known, last, vectors, q, step, planes)
            rounded = dead_zone(unrounded)
            if self.searches:
                wanted, begun = unrounded.flatten(0, 1), rounded.flatten(0, 1)
                rounded = self.choose(wanted, begun, sides, planes).view_as(unrounded)
        values = unrounded + (rounded - unrounded).detach()  # gradients pass straight through
        made_y, made_uv = self.synthesise(values, guess, step, planes)
        if self.filters:
            irregular = None if last is None or vectors is None else irregularity(vectors)
            found = self.loop_filter((made_y, made_uv), guess, irregular, step, q)
            found = found[0].clamp(0, 1023), found[1].clamp(0, 1023)
            if not self.training:  # as the encoder, where that is nearer to the source
                better = squares(found, source) < squares((made_y, made_uv), source)
                found = tuple(
                    torch.where(better.view(-1, 1, 1, 1), new, plain)
                    for new, plain in zip(found, (made_y, made_uv), strict=True)
                )
            made_y, made_uv = found
        flat = values.flatten(0, 1)
        count = flat.shape[1]
        at = None
        if share < 1:
            at = torch.randperm(count, device=y.device)[: int(share * count)].sort().values
        seen = see(flat.detach().round(), sides, 2 + planes, at)
        loose = unrounded.flatten(0, 1)
        paid = self.twin.bits(
            seen,
            flat if at is None else flat[:, at],
            loose if at is None else loose[:, at],
        )
        bits = paid.sum(1).view(len(y), -1).sum(1) / (1 if at is None else len(at) / count)
        with torch.no_grad():
            whole = flat.detach().round()
            size = whole.abs().clamp(max=31) * 32
            before = torch.zeros_like(size) if last is None else _fit(last.running, planes)
            running = before + torch.floor((size - before + 2) / 4)
        # Gradients go on into the loop: the error of a frame is that of all predicted from it.
        return Made(made_y, made_uv, bits, values, Last(made_y, made_uv, whole, running))


def squares(made: tuple[Tensor, Tensor], source: tuple[Tensor, Tensor]) -> Tensor:
    """Sum of squared errors `[B]`."""
    y, uv = ((a - b).square().sum((1, 2, 3)) for a, b in zip(made, source, strict=True))
    return y + uv


def dead_zone(unrounded: Tensor) -> Tensor:
    """Rounded towards zero by `DEAD_ZONE` more than to the nearest."""
    size = torch.floor((unrounded.abs() + 0.5 - DEAD_ZONE).clamp(min=0))
    return unrounded.sign() * size


def _cheapest(
    unrounded: Tensor, values: Tensor, table: tuple[Tensor, Tensor, Tensor], weight: Tensor
) -> Tensor:
    """Of the two whole numbers around each value and 0."""
    low = torch.floor(unrounded.abs())
    sign = unrounded.sign()
    best, found = torch.full_like(unrounded, float("inf")), values
    for size in (low, low + 1, torch.zeros_like(low)):
        tried = sign * size
        cost = (unrounded - tried).square() * weight + table_bits(*table, tried)
        better = cost < best
        best, found = torch.where(better, cost, best), torch.where(better, tried, found)
    return found


def _fit(values: Tensor, planes: int) -> Tensor:
    """Of another number of planes: cut, or 0."""
    count = COARSE + planes * REGIONS
    if values.shape[1] >= count:
        return values[:, :count]
    return nn.functional.pad(values, (0, count - values.shape[1]))


def to_patches(maps: Tensor) -> Tensor:
    """`[B, C, h, w]` → `[B, W, 256, C]`."""
    b, c, h, w = maps.shape
    x = maps.view(b, c, h // SIDE, SIDE, w // SIDE, SIDE).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b, -1, REGIONS, c)


def compensate(y: Tensor, uv: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures moved by the vectors of 16×16 blocks, bicubic (chroma bilinear): for training. The
    loop has `gvcodec.gvc1d.exact`."""
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


def irregularity(vectors: Tensor) -> Tensor:
    """How vectors `[B, h, w, 2]` differ from those to the left and above, in 1/32 samples: `[B, h,
    w]`."""
    found = torch.zeros_like(vectors[..., 0]).float()
    left = (vectors[:, :, 1:] - vectors[:, :, :-1]).abs().sum(-1).float()
    above = (vectors[:, 1:] - vectors[:, :-1]).abs().sum(-1).float()
    found[:, :, 1:] += left
    found[:, 1:] += above
    return 8 * found
