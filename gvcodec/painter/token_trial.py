"""Tries tokens that steer the painter, on frames of their GOP: what is painted with them, judged by
a small network distilled from LPIPS on VGG16 and on AlexNet.

Tokens are tried as files paint them: at the strength that the GOP will have, on the second frame of
a pair of consecutive ones, with motion between them. Of each window nothing is sent, its own token,
those of its quadrants, or all, of one of several finds: whatever lowers the judge's distance most,
after what bytes and lost PSNR-Y would earn in base frames (`payload.RATE_SLOPE`, `HOLD`) and after
what it changes more from frame to frame than the unsteered picture does (`STEADY`,
`MOST_FLICKER`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec import perceptual
from gvcodec.models import TOKEN_JUDGE, painter_of
from gvcodec.painter.filters import round_through
from gvcodec.painter.fit_pool import Run, prepare
from gvcodec.painter.model import Model, Strength, condition
from gvcodec.painter.network import Observed, PainterNetwork, convert
from gvcodec.painter.objective import (
    Batch,
    crop_rgb,
    observe_run,
    paint_observed,
    to_display_rgb,
)
from gvcodec.painter.payload import RATE_SLOPE
from gvcodec.painter.token_encoder import MOST_FLICKER, padded
from gvcodec.painter.token_samples import GopSample
from gvcodec.painter.tokens import (
    SIDES,
    WINDOW,
    TokenModel,
    Tokens,
    decompose,
    keep,
    levels_of,
    no_tokens,
    rounded,
)
from gvcodec.painter.video import block_vectors
from gvcodec.perceptual.losses import fidelity_guard, temporal_loss
from gvcodec.perceptual.vgg import PerceptualLoss, Reference
from gvcodec.types import BLOCK, VideoFormat
from gvcodec.util.tensors import known_colour, open_device

#: Top, left, height and width of a window of the padded picture.
Window = tuple[int, int, int, int]
#: Weight of what changes more from frame to frame than the unsteered picture. As much again as the
#: unsteered pictures of a GOP have of it costs `STEADY` times their loss beside.
TEMPORAL, STEADY = 30.0, 0.1
#: How often flicker gets dearer until a GOP has little enough of it.
_DEARER = 24
#: Cost of a decibel of PSNR-Y below that of the unsteered picture: base frames take a fifth more
#: bytes for it, which would take about as much off the distance.
HOLD = 0.05
#: Changes between frames that nobody sees, in 0…1.
_INVISIBLE = 5e-5
#: Blocks of the painter's maps along a region; windows smaller than this are not tried.
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
class Look:
    """A window of a pair: what the painter observed of both frames, the source's planes and maps of
    the later one, the source's luma of the one before and the source's motion between them, along
    which change is seen (noise follows that of base frames); luma of the unsteered picture, and how
    much more than the source it changes."""

    seen: list[Observed]
    source: tuple[Tensor, Tensor]
    source_before: Tensor
    vectors: Tensor
    reference: list[Reference]
    unsteered: Tensor
    flicker: Tensor


@dataclass(frozen=True)
class Verdict:
    """Of a window: what is to be small, and what changes from frame to frame beyond the source's
    change."""

    loss: Tensor
    flicker: Tensor


class TokenTrial:
    """Trials of the GOPs of one video. Raises `WrongModelError` where painter or judge are missing,
    `UsageError` for a device that is not there."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        device: str = "cpu",
    ) -> None:
        self.fmt, self.q = fmt, q
        self._path = painter_of(base, steered=True).find()
        model = Model.load(self._path)
        assert model.tokens is not None
        self.model: TokenModel = model.tokens
        self.place = open_device(device)
        self.table = torch.from_numpy(self.model.weight.astype(np.float32)).to(self.place)
        stream = condition(base, scale, q)
        self._condition = torch.from_numpy(stream).float()[None].to(self.place)
        weights = perceptual.read_weights(TOKEN_JUDGE.find())
        self.judge = PerceptualLoss(weights=weights, batched=False).to(self.place)
        self.colour = known_colour(fmt.colour, fmt.height)
        self._painters: dict[Strength, PainterNetwork] = {}

    def painter_at(self, strength: Strength) -> PainterNetwork:
        """The painter at a strength."""
        if strength not in self._painters:
            self._painters[strength] = PainterNetwork.load(self._path, strength).to(self.place)
        return self._painters[strength]

    def runs(self, sample: GopSample) -> list[Run]:
        """Pairs as tensors."""
        return prepare(sample.pairs, sample.rates(self.fmt.width, self.fmt.height), self.place)

    def moves_of(self, sample: GopSample, number: int) -> Tensor:
        """The source's motion between the frames of a pair, (2, H/16, W/16) of padded frames."""
        first, second = (padded(source[0]) for _, source in sample.pairs[number])
        return torch.from_numpy(block_vectors(second, first)).to(self.place)

    @property
    def windows(self) -> list[Window]:
        """Windows of the padded picture that are tried."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        found = [
            (top, left, min(WINDOW, high - top), min(WINDOW, wide - left))
            for top in range(0, high, WINDOW)
            for left in range(0, wide, WINDOW)
        ]
        return [window for window in found if min(window[2:]) >= _SMALLEST]

    @torch.no_grad()
    def look(
        self, painter: PainterNetwork, run: Run, moves: Tensor, window: Window, noise: int
    ) -> Look:
        """A window of a pair, painted with noise of its own; `moves` (2, H/16, W/16): the source's
        motion between them."""
        top, left, height, width = window

        def cut(plane: Tensor, unit: int) -> Tensor:
            rows = slice(top // unit, (top + height) // unit)
            return plane[None, :, :, rows, left // unit : (left + width) // unit].float()

        luma, chroma, source_luma, source_chroma = (
            cut(plane, 1 + n % 2) for n, plane in enumerate(run[:4])
        )
        blocks = (
            slice(top // BLOCK, (top + height) // BLOCK),
            slice(left // BLOCK, (left + width) // BLOCK),
        )
        vectors = run[4][None, :, :, *blocks]
        none = torch.zeros(1, device=self.place)
        batch = Batch(
            (luma, chroma),
            (source_luma, source_chroma),
            vectors,
            self._condition,
            none.long(),
            none,
            run[5][None],
        )
        seen = observe_run(painter, batch, noise)
        (unsteered, _), before = paint_observed(painter, seen)
        assert before is not None
        source, vectors = (source_luma[:, -1], source_chroma[:, -1]), moves[None, :, *blocks]
        flicker = temporal_loss(unsteered, before, source[0], source_luma[:, 0], vectors).mean()
        reference = self.judge.reference(crop_rgb(source, self.colour, WINDOW))
        return Look(
            [convert(frame, torch.half) for frame in seen],
            source,
            source_luma[:, 0],
            vectors,
            reference,
            unsteered,
            flicker,
        )

    def weigh(
        self,
        painter: PainterNetwork,
        look: Look,
        levels: Tensor | None,
        exact: bool = False,
    ) -> Verdict:
        """A window whose blocks have `levels` (1, D, h, w); `exact`: its 8-bit samples."""
        seen = [convert(frame, torch.float) for frame in look.seen]
        if levels is not None:
            shifts = torch.einsum("sd,bdhw->bshw", self.table, levels)
            seen = [replace(frame, shifts=shifts) for frame in seen]
        painted, before = paint_observed(painter, seen)
        shown = (
            to_display_rgb(painted, self.colour, self.fmt.bit_depth, WINDOW)
            if exact
            else crop_rgb(painted, self.colour, WINDOW)
        )
        distance = self.judge(shown, look.reference)[0].mean()
        assert before is not None
        moved = (before, look.source[0], look.source_before, look.vectors)
        flicker = temporal_loss(painted[0], *moved).mean()
        lost = fidelity_guard(painted[0], look.unsteered, look.source[0], 0.0).mean()
        return verdict_of(distance, lost, flicker, look.flicker)

    def spread(self, levels: Tensor, windows: Sequence[Window]) -> list[Tensor]:
        """Levels of regions of the picture at the blocks of each window."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        whole = spread(levels, high, wide)
        return [
            whole[:, :, top // 8 : (top + height) // 8, left // 8 : (left + width) // 8]
            for top, left, height, width in windows
        ]

    @torch.no_grad()
    def choose(
        self,
        found: Sequence[NDArray[np.floating]],
        painter: PainterNetwork,
        held: Sequence[Sequence[Look]],
        size: int,
        kinds_tried: Sequence[int] = (3,),
    ) -> Tokens:
        """Of each window the tokens that serve its looks best: of the integers (rows, columns, D),
        not rounded, that were `found`, and how many kinds of them. `size`: bytes of the GOP."""
        windows = self.windows
        chosen = no_tokens(self.fmt.height, self.fmt.width, self.model.dims)
        if not windows:
            return chosen
        plain = [self._mean(painter, looks, None) for looks in held]
        options = []
        for regions, kinds in itertools.product(found, kinds_tried):
            tokens = keep(decompose(rounded(regions), self.fmt.height, self.fmt.width), kinds)
            levels = torch.from_numpy(levels_of(tokens).astype(np.float32))[None]
            placed = self.spread(levels.to(self.place), windows)
            verdicts = [self._mean(painter, *pair) for pair in zip(held, placed, strict=True)]
            sizes = [bytes_of(tokens, window) for window in windows]
            options.append((tokens, verdicts, sizes))
        rows = [list(zip(verdicts, sizes, strict=True)) for _, verdicts, sizes in options]
        for n, number in enumerate(best_of(plain, rows, size)):
            if number is not None:
                _copy_window(options[number][0], chosen, windows[n])
        return chosen

    def _mean(
        self, painter: PainterNetwork, looks: Sequence[Look], levels: Tensor | None
    ) -> tuple[float, float]:
        """Loss and flicker over looks at a window."""
        found = [self.weigh(painter, look, levels, exact=True) for look in looks]
        parts = [(float(verdict.loss), float(verdict.flicker)) for verdict in found]
        loss, flicker = np.mean(parts, 0)
        return float(loss), float(flicker)


def best_of(
    plain: Sequence[tuple[float, float]],
    rows: Sequence[Sequence[tuple[tuple[float, float], float]]],
    size: int,
) -> list[int | None]:
    """For each window the number of the best option, None where nothing is as good. `plain`: loss
    and flicker of unsteered windows; `rows`: of every option, by window, those and bytes; `size`:
    bytes of the GOP. Flicker gets dearer until there is at most `MOST_FLICKER` times as much."""
    whole_loss, whole_flicker = (sum(part) for part in zip(*plain, strict=True))
    # What a byte has to take off the sum of the windows' losses.
    price = whole_loss * RATE_SLOPE / max(1, size)
    steady = price_of_flicker(whole_loss / len(plain), whole_flicker / len(plain))
    most = MOST_FLICKER * whole_flicker + len(plain) * _INVISIBLE
    chosen: list[int | None] = []
    for _ in range(_DEARER):
        chosen, total = [], 0.0
        for n, (loss, flicker) in enumerate(plain):
            best, number, left = 0.0, None, flicker
            for option, row in enumerate(rows):
                (tried_loss, tried_flicker), taken = row[n]
                gain = loss - tried_loss - price * taken
                gain -= steady * max(0.0, tried_flicker - flicker)
                if gain > best:
                    best, number, left = gain, option, tried_flicker
            chosen.append(number)
            total += left
        if total <= most:
            break
        steady *= 1.5
    return chosen


def verdict_of(distance: Tensor, lost: Tensor, flicker: Tensor, usual: Tensor) -> Verdict:
    """Of the judge's distance, decibels that are lost, flicker, and that of the unsteered
    picture."""
    return Verdict(distance + HOLD * lost + TEMPORAL * F.relu(flicker - usual), flicker)


def price_of_flicker(loss: float, flicker: float) -> float:
    """What more of it costs where unsteered pictures have this loss and flicker."""
    return STEADY * loss / (flicker + _INVISIBLE)


def _copy_window(source: Tokens, goal: Tokens, window: Window) -> None:
    """All that is of a window."""
    top, left, height, width = window
    for given, taken, side in zip(source[:3], goal[:3], SIDES, strict=True):
        rows = slice(top // side, -(-(top + height) // side))
        columns = slice(left // side, -(-(left + width) // side))
        taken[rows, columns] = given[rows, columns]
    place = top // WINDOW, left // WINDOW
    goal.kinds[place] = source.kinds[place]


def bytes_of(tokens: Tokens, window: Window) -> float:
    """About what the tokens of a window take."""
    bits, kinds = 0.0, int(tokens.kinds.flat[0])
    for part, side in list(zip(tokens[:3], SIDES, strict=True))[:kinds]:
        top, left, height, width = window
        inside = part[top // side : -(-(top + height) // side)]
        inside = inside[:, left // side : -(-(left + width) // side)]
        bits += float((_BITS[0] + _BITS[1] * np.log2(1 + np.abs(inside))).sum())
    return bits / 8
