"""The network of base gvc1d: transform, transformers, entropy model, loop filter; and one frame
through it, as training sees it (floats, straight-through rounding).

    source ─► analyse ─► Analyst ─► round ─► values [B, W, N] ─► Twin: bits
                ▲                     │
    prediction ─┴─────────────────────┴─► synthesise ─► loop filter ─► frame ─► Restorer ─► shown

In files the loop is integers (`gvcodec.base.gvc1d`), rounding floats.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.context_model import Twin, make_sides, see, see_at, table_bits
from gvcodec.gvc1d.filter_network import LoopFilter
from gvcodec.gvc1d.refiner import Analyst, Restored, Restorer, Sizes, compensate, to_patches
from gvcodec.gvc1d.token_order import COARSE, REGIONS
from gvcodec.gvc1d.transform import GREY, Transform

#: Dead zone: values round towards zero by this share of a step more than to the nearest.
DEAD_ZONE = 0.17
#: λ of D + λ · bits, in squared steps a bit.
PRICE = 0.15
#: Rounds of rate–distortion rounding, and values whose tables are found at once.
_ROUNDS, _AT_ONCE = 2, 1 << 18


class Last(NamedTuple):
    """What a frame leaves: the loop's frame (10-bit levels), its values and their running
    magnitudes in 1/32 `[B W, N]`, the restored picture and its memory (None: not restored)."""

    y: Tensor
    uv: Tensor
    values: Tensor
    running: Tensor
    restored: Restored | None


class Made(NamedTuple):
    """One frame: `y`, `uv` of the loop; `bits` `[B]`; `values` `[B, W, N]`; `restored`."""

    y: Tensor
    uv: Tensor
    bits: Tensor
    values: Tensor
    restored: Restored | None
    last: Last


class CodecNetwork(nn.Module):
    """See the module."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes or Sizes()
        self.transform = Transform()
        self.analyst = Analyst(self.sizes)
        self.restorer = Restorer(self.sizes)
        self.twin = Twin()
        self.loop_filter = LoopFilter()
        self.filters = True  # False: frames are as their values make them
        #: The encoder's two ways to choose integers; files round by rate and distortion alone.
        self.uses_analyst, self.searches = True, False

    def values_of(
        self,
        y: Tensor,
        uv: Tensor,
        guess: tuple[Tensor, Tensor],
        predicted: bool,
        step: Tensor,
        planes: int,
    ) -> tuple[Tensor, Tensor]:
        """Unrounded integers `[B, W, N]` of a frame, and the prediction's coefficients."""
        residual = self.transform.analyse(y - guess[0], uv - guess[1])
        known = self.transform.analyse(guess[0] - GREY, guess[1] - GREY)
        if self.uses_analyst and not predicted:
            flag = step.new_full((len(y),), float(predicted))
            moved = self.analyst(residual.detach(), known.detach(), step, flag)
            residual = residual + moved * step.view(-1, 1, 1, 1)
        values = self.transform.to_windows(residual, planes)
        return values / (step.view(-1, 1, 1) * self.transform.steps(planes)), known

    def synthesise(
        self, values: Tensor, guess: tuple[Tensor, Tensor], step: Tensor, planes: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The loop's frame, and the coefficients that the values stand for."""
        scaled = values * (step.view(-1, 1, 1) * self.transform.steps(planes))
        coefficients = self.transform.from_windows(scaled, guess[0].shape[3] // 256)
        y, uv = self.transform.synthesise(coefficients)
        return (guess[0] + y).clamp(0, 1023), (guess[1] + uv).clamp(0, 1023), coefficients

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
        restore: bool = True,
        share: float = 1.0,
        drop: bool = False,
    ) -> Made:
        """One frame in training; `q` `[B]`; bits are estimated on a `share` of the values; `drop`:
        the restorer is not given its last picture, only the memory of it."""
        y, uv = source
        step = 16.0 * 2 ** (q / 10)
        if last is None:
            guess = torch.full_like(y, GREY), torch.full_like(uv, GREY)
        else:
            assert vectors is not None
            guess = compensate(last.y, last.uv, vectors)
        unrounded, known = self.values_of(y, uv, guess, last is not None, step, planes)
        with torch.no_grad():
            sides = self.sides(guess, known, last, vectors, q, step, planes)
            rounded = dead_zone(unrounded)
            if self.searches:
                wanted, begun = unrounded.flatten(0, 1), rounded.flatten(0, 1)
                rounded = self.choose(wanted, begun, sides, planes).view_as(unrounded)
        values = unrounded + (rounded - unrounded).detach()  # gradients pass straight through
        made_y, made_uv, told = self.synthesise(values, guess, step, planes)
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
        frame = made_y.detach(), made_uv.detach()
        restored = None
        if restore:
            moved = None
            memory = None
            if last is not None and last.restored is not None:
                assert vectors is not None
                if not drop:
                    moved = compensate(last.restored.y, last.restored.uv, vectors)
                memory = last.restored.memory
            own = self.transform.analyse(frame[0] - GREY, frame[1] - GREY).detach()
            restored = self.restorer(
                frame, (own, told.detach()), None if last is None else guess, moved, memory, step
            )
        # Gradients go on into the memory: else nothing would teach what to write.
        past = None
        if restored is not None:
            past = Restored(restored.y.detach(), restored.uv.detach(), restored.memory)
        # And into the loop: the error of a frame is that of all frames predicted from it.
        kept = Last(made_y, made_uv, whole, running, past)
        return Made(made_y, made_uv, bits, values, restored, kept)


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


def irregularity(vectors: Tensor) -> Tensor:
    """How vectors `[B, h, w, 2]` differ from those to the left and above, in 1/32 samples: `[B, h,
    w]`."""
    found = torch.zeros_like(vectors[..., 0]).float()
    left = (vectors[:, :, 1:] - vectors[:, :, :-1]).abs().sum(-1).float()
    above = (vectors[:, 1:] - vectors[:, :-1]).abs().sum(-1).float()
    found[:, :, 1:] += left
    found[:, 1:] += above
    return 8 * found
