"""Searches tokens that steer the painter in one GOP (`tokens`), by the gradient of a perceptual
loss.

What judges is a small network that is shipped, distilled from LPIPS on VGG16 and on AlexNet. On
pairs of frames across the GOP the integers of all regions descend together, window by window, from
what the encoder (`token_encoder`) finds; in the second half of the steps the loss sees them
rounded. Fidelity and steadiness hold them back: a picture that loses PSNR-Y against the unsteered
one pays for it, as does change from frame to frame beyond the source's. A pair that took no part
then judges, with noise of its own, how much of each window is sent: nothing, the window's token,
those of its quadrants, or all, as found or half as strong; a byte has to earn what it would earn in
base frames (`payload.RATE_SLOPE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec import perceptual
from gvcodec.errors import UsageError
from gvcodec.models import TOKEN_JUDGE, painter_of
from gvcodec.painter.filters import round_through
from gvcodec.painter.fit import Adam
from gvcodec.painter.fit_pool import Run, prepare
from gvcodec.painter.model import Model, condition, rate
from gvcodec.painter.network import Observed, PainterNetwork, convert
from gvcodec.painter.objective import (
    Batch,
    crop_rgb,
    observe_run,
    paint_observed,
    to_display_rgb,
)
from gvcodec.painter.payload import RATE_SLOPE
from gvcodec.painter.token_encoder import EncodedTokens
from gvcodec.painter.token_samples import GopSample
from gvcodec.painter.tokens import (
    LARGEST,
    MOST_LEVEL,
    SIDES,
    STEP,
    WINDOW,
    TokenModel,
    Tokens,
    decompose,
    keep,
    levels_of,
    no_tokens,
    pack,
)
from gvcodec.perceptual.losses import fidelity_guard, temporal_loss
from gvcodec.perceptual.vgg import PerceptualLoss, Reference
from gvcodec.types import BLOCK, VideoFormat
from gvcodec.util.tensors import known_colour, open_device

#: Most luma samples of a picture that is searched.
MOST_SAMPLES = 1 << 23
#: Steps of a search.
STEPS = 30
#: Seeds of the noise by which windows are judged.
_HELD_NOISE = (64, 65)
#: Learning rate of integers, which falls with the steps; what a level costs.
_RATE, _PRICE = 0.25, 1e-5
#: Weight of what changes from frame to frame beyond the source's own change.
_TEMPORAL = 20.0
#: Cost of a decibel of PSNR-Y below that of the unsteered picture.
_HOLD = 0.3
#: Blocks of the painter's maps along a region; windows smaller than this are not searched.
_BLOCKS, _SMALLEST = 8, 48
#: Bits that an integer v is taken to cost while windows are chosen: these, the second times
#: log2(1 + |v|).
_BITS = 0.7, 2.0


def spread(levels: Tensor, height: int, width: int) -> Tensor:
    """Levels (1, D, rows, columns) of regions at blocks (1, D, height / 8, width / 8) of a padded
    picture, whole numbers as decoders have them; gradients pass."""
    for axis, size in ((2, height), (3, width)):
        place = 2 * torch.arange(size // BLOCK * 2, device=levels.device) + 1 + _BLOCKS
        last = levels.shape[axis] - 1
        before = levels.index_select(axis, (place // 16 - 1).clamp(0, last))
        after = levels.index_select(axis, (place // 16).clamp(0, last))
        share = (place % 16).to(levels.dtype)
        share = share.view(-1, 1) if axis == 2 else share
        levels = (16 - share) * before + share * after
    return round_through(levels / 256)


@dataclass
class _Look:
    """A window of a pair: what the painter observed of both frames, the source's planes and maps of
    the later one, the source's luma of the one before and motion between them, unsteered luma."""

    seen: list[Observed]
    source: tuple[Tensor, Tensor]
    source_before: Tensor
    vectors: Tensor
    reference: list[Reference]
    unsteered: Tensor


class TokenSearch:
    """Tokens of the GOPs of one video. Raises `WrongModelError` where painter, encoder or judge are
    missing, `UsageError` for a device that is not there and for larger pictures than
    `MOST_SAMPLES`, of which memory would hold too much: about 15 MB a window."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        device: str = "cpu",
    ) -> None:
        if fmt.width * fmt.height > MOST_SAMPLES:
            raise UsageError(
                f"tokens are searched in pictures of at most {MOST_SAMPLES} samples, not of "
                f"{fmt.width}×{fmt.height}: tokens on finds them without a search"
            )
        path = painter_of(base, steered=True).find()
        model = Model.load(path)
        assert model.tokens is not None
        self.model: TokenModel = model.tokens
        self.fmt, self.q = fmt, q
        self.place = open_device(device)
        self.painter = PainterNetwork.load(path).to(self.place)
        self.table = torch.from_numpy(self.model.weight.astype(np.float32)).to(self.place)
        self.condition = torch.from_numpy(condition(base, scale, q)).float()[None].to(self.place)
        weights = perceptual.read_weights(TOKEN_JUDGE.find())
        self.judge = PerceptualLoss(weights=weights, batched=False).to(self.place)
        self.colour = known_colour(fmt.colour, fmt.height)
        self._encoded = EncodedTokens(fmt, base, scale, q, threads=1)

    def find(self, sample: GopSample, size: int) -> bytes | None:
        """Bytes of tokens for a GOP of `size` bytes, None where they do not pay."""
        if not sample.pairs:
            return None
        own = [[rate(n, self.fmt.width, self.fmt.height) for n in sizes] for sizes in sample.sizes]
        runs = prepare(sample.pairs, own, self.place)
        windows = self._windows()
        # The middle pair judges; of one pair alone, other noise does.
        middle = len(runs) // 2
        learned = [run for n, run in enumerate(runs) if n != middle] or runs
        looks = [
            [self._look(run, window, 2 * n + 1) for window in windows]
            for n, run in enumerate(learned)
        ]
        levels = self._descend(self._encoded.mean(sample), looks, windows)
        held = [
            [self._look(runs[middle], window, noise) for noise in _HELD_NOISE] for window in windows
        ]
        tokens = self._choose(levels, held, windows, size)
        if not tokens.kinds.any():
            return None
        return pack(tokens, self.model, self.q)

    def _windows(self) -> list[tuple[int, int, int, int]]:
        """Top, left, height and width of windows of the padded picture that are searched."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        found = [
            (top, left, min(WINDOW, high - top), min(WINDOW, wide - left))
            for top in range(0, high, WINDOW)
            for left in range(0, wide, WINDOW)
        ]
        return [window for window in found if min(window[2:]) >= _SMALLEST]

    @torch.no_grad()
    def _look(self, run: Run, window: tuple[int, int, int, int], noise: int) -> _Look:
        top, left, height, width = window

        def cut(plane: Tensor, unit: int) -> Tensor:
            rows = slice(top // unit, (top + height) // unit)
            return plane[None, :, :, rows, left // unit : (left + width) // unit].float()

        luma, chroma, source_luma, source_chroma = (
            cut(plane, 1 + n % 2) for n, plane in enumerate(run[:4])
        )
        vectors = run[4][None, :, :, top // BLOCK : (top + height) // BLOCK]
        vectors = vectors[..., left // BLOCK : (left + width) // BLOCK]
        none = torch.zeros(1, device=self.place)
        batch = Batch(
            (luma, chroma),
            (source_luma, source_chroma),
            vectors,
            self.condition,
            none.long(),
            none,
            run[5][None],
        )
        seen = observe_run(self.painter, batch, noise)
        (unsteered, _), _ = paint_observed(self.painter, seen)
        source = source_luma[:, -1], source_chroma[:, -1]
        reference = self.judge.reference(crop_rgb(source, self.colour, WINDOW))
        return _Look(
            [convert(frame, torch.half) for frame in seen],
            source,
            source_luma[:, 0],
            vectors[:, -1],
            reference,
            unsteered,
        )

    def _loss(self, look: _Look, levels: Tensor | None, exact: bool = False) -> Tensor:
        """Of a window whose blocks have `levels` (1, D, h, w); `exact`: of 8-bit samples."""
        seen = [convert(frame, torch.float) for frame in look.seen]
        if levels is not None:
            shifts = torch.einsum("sd,bdhw->bshw", self.table, levels)
            seen = [replace(frame, shifts=shifts) for frame in seen]
        painted, before = paint_observed(self.painter, seen)
        shown = (
            to_display_rgb(painted, self.colour, self.fmt.bit_depth, WINDOW)
            if exact
            else crop_rgb(painted, self.colour, WINDOW)
        )
        distance = self.judge(shown, look.reference)[0].mean()
        held = fidelity_guard(painted[0], look.unsteered, look.source[0], 0.0).mean()
        total = distance + _HOLD * held
        if before is not None:
            source, source_before = look.source[0], look.source_before
            moved = temporal_loss(painted[0], before, source, source_before, look.vectors)
            total = total + _TEMPORAL * moved.mean()
        return total

    def _spread(self, levels: Tensor, windows: Sequence[tuple[int, int, int, int]]) -> list[Tensor]:
        """Levels of regions of the picture at the blocks of each window."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        whole = spread(levels, high, wide)
        return [
            whole[:, :, top // 8 : (top + height) // 8, left // 8 : (left + width) // 8]
            for top, left, height, width in windows
        ]

    def _descend(
        self,
        start: NDArray[np.float32],
        looks: list[list[_Look]],
        windows: Sequence[tuple[int, int, int, int]],
    ) -> NDArray[np.int32]:
        """Integers (rows, columns, D) of regions, from `start` on, which are not rounded."""
        free = torch.from_numpy(start.transpose(2, 0, 1)[None].copy()).to(self.place)
        free.requires_grad_(True)
        optimizer = Adam([free], betas=(0.9, 0.999))
        for step in range(STEPS):
            optimizer.clear_gradients()
            integers = free.clamp(-LARGEST, LARGEST)
            if step >= STEPS // 2:
                integers = round_through(integers)
            levels = (STEP * integers).clamp(-MOST_LEVEL, MOST_LEVEL)
            # The gradient of each window goes into the levels, then of all at once on.
            apart = levels.detach().requires_grad_(True)
            pair = looks[step % len(looks)]
            for number in range(len(windows)):
                placed = self._spread(apart, windows[number : number + 1])
                self._loss(pair[number], placed[0]).backward()
            assert apart.grad is not None
            ((levels * apart.grad).sum() + _PRICE * integers.abs().sum()).backward()
            optimizer.step(_RATE * (1.02 - step / (STEPS + 2)))
        found = torch.floor(free.detach().clamp(-LARGEST, LARGEST) + 0.5)
        return found[0].permute(1, 2, 0).cpu().numpy().astype(np.int32)

    @torch.no_grad()
    def _choose(
        self,
        regions: NDArray[np.int32],
        held: Sequence[Sequence[_Look]],
        windows: Sequence[tuple[int, int, int, int]],
        size: int,
    ) -> Tokens:
        """Of each window the tokens that serve the held looks best: the integers that were found
        or half of them, and how many kinds."""
        plain = [self._mean_loss(looks, None) for looks in held]
        # What a byte has to take off the sum of the windows' losses.
        price = sum(plain) * RATE_SLOPE / max(1, size)
        chosen = no_tokens(self.fmt.height, self.fmt.width, self.model.dims)
        best = [0.0] * len(windows)
        for divisor in (1, 2):
            integers = np.rint(regions / divisor).astype(np.int32)
            whole = decompose(integers, self.fmt.height, self.fmt.width)
            for kinds in (1, 2, 3):
                tried = keep(whole, kinds)
                levels = torch.from_numpy(levels_of(tried).astype(np.float32))[None]
                placed = self._spread(levels.to(self.place), windows)
                for n, window in enumerate(windows):
                    gain = plain[n] - self._mean_loss(held[n], placed[n])
                    gain -= price * _bytes_of(tried, window)
                    if gain > best[n]:
                        best[n] = gain
                        _copy_window(tried, chosen, window)
        return chosen

    def _mean_loss(self, looks: Sequence[_Look], levels: Tensor | None) -> float:
        return sum(float(self._loss(look, levels, exact=True)) for look in looks) / len(looks)


def _copy_window(source: Tokens, goal: Tokens, window: tuple[int, int, int, int]) -> None:
    """All that is of a window."""
    top, left, height, width = window
    for given, taken, side in zip(source[:3], goal[:3], SIDES, strict=True):
        rows = slice(top // side, -(-(top + height) // side))
        columns = slice(left // side, -(-(left + width) // side))
        taken[rows, columns] = given[rows, columns]
    place = top // WINDOW, left // WINDOW
    goal.kinds[place] = source.kinds[place]


def _bytes_of(tokens: Tokens, window: tuple[int, int, int, int]) -> float:
    """About what the tokens of a window take."""
    bits, kinds = 0.0, int(tokens.kinds.flat[0])
    for part, side in list(zip(tokens[:3], SIDES, strict=True))[:kinds]:
        top, left, height, width = window
        inside = part[top // side : -(-(top + height) // side)]
        inside = inside[:, left // side : -(-(left + width) // side)]
        bits += float((_BITS[0] + _BITS[1] * np.log2(1 + np.abs(inside))).sum())
    return bits / 8
