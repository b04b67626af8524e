"""Searches tokens that steer the painter in one GOP (`tokens`), by the gradient of a perceptual
loss.

On runs of frames across the GOP the integers of all regions descend together, window by window,
from what the encoder (`token_encoder`) finds, led by the small network that judges them
(`token_judge`), here in torch; in the second half of the steps the loss sees them rounded. A run
that took no part then decides what is sent (`token_trial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec import perceptual
from gvcodec.models import TOKEN_METRIC, painter_of
from gvcodec.painter.energies import padded
from gvcodec.painter.filters import round_through
from gvcodec.painter.fit import Adam
from gvcodec.painter.fit_pool import Run, prepare
from gvcodec.painter.model import Model, Strength, condition
from gvcodec.painter.network import Observed, PainterNetwork, convert
from gvcodec.painter.objective import Batch, observe_run, paint_observed
from gvcodec.painter.token_encoder import PARTS, EncodedTokens
from gvcodec.painter.token_samples import GopSample
from gvcodec.painter.token_trial import HOLD, Window, windows_of
from gvcodec.painter.tokens import LARGEST, MOST_LEVEL, STEP, pack
from gvcodec.painter.video import block_vectors
from gvcodec.perceptual.losses import fidelity_guard, temporal_loss
from gvcodec.perceptual.vgg import PerceptualLoss, Reference
from gvcodec.types import BLOCK, VideoFormat
from gvcodec.util.colour import known_colour
from gvcodec.util.tensors import open_device, to_rgb

#: Steps of a search.
STEPS = 12
#: Learning rate of integers, which falls with the steps; what a level costs.
_RATE, _PRICE = 0.5, 1e-5
#: Weight of what changes more from frame to frame than the unsteered picture.
TEMPORAL = 30.0
#: Blocks of the painter's maps along a region.
_BLOCKS = 8


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
    """A window of a run: what the painter observed of each frame, the source's planes of the last
    one, the source's luma of the one before and the source's motion between these two, along which
    change is seen (noise follows that of base frames), the judge's maps of the last source; luma of
    the unsteered picture, and how much more than the source it changes."""

    seen: list[Observed]
    source: tuple[Tensor, Tensor]
    source_before: Tensor
    vectors: Tensor
    reference: list[Reference]
    unsteered: Tensor
    flicker: Tensor


def loss_of(distance: Tensor, lost: Tensor, flicker: Tensor, usual: Tensor) -> Tensor:
    """Of the judge's distance, decibels that are lost, flicker, and that of the unsteered
    picture."""
    return distance + HOLD * lost + TEMPORAL * F.relu(flicker - usual)


def open_network(device: torch.device) -> PerceptualLoss:
    """The network that judges, with gradients. Raises `WrongModelError` where it is missing."""
    weights = perceptual.read_weights(TOKEN_METRIC.find())
    return PerceptualLoss(weights=weights, batched=False).to(device)


class Descent:
    """Windows of the GOPs of one video as tensors that gradients pass. Raises `WrongModelError`
    where the painter or the network that leads is missing, `UsageError` for a device that is not
    there."""

    def __init__(
        self, fmt: VideoFormat, base: str, scale: Fraction, q: int, device: str = "cpu"
    ) -> None:
        self.fmt, self.place = fmt, open_device(device)
        self.judge = open_network(self.place)
        self._path = painter_of(base, uses_tokens=True).find()
        model = Model.load(self._path)
        assert model.tokens is not None
        self.table = torch.from_numpy(model.tokens.weight.astype(np.float32)).to(self.place)
        stream = condition(base, scale, q)
        self._condition = torch.from_numpy(stream).float()[None].to(self.place)
        self.colour = known_colour(fmt.colour, fmt.height)
        self._painters: dict[Strength, PainterNetwork] = {}

    def painter_at(self, strength: Strength) -> PainterNetwork:
        """The painter at a strength."""
        if strength not in self._painters:
            self._painters[strength] = PainterNetwork.load(self._path, strength).to(self.place)
        return self._painters[strength]

    def moves_of(self, sample: GopSample, number: int) -> Tensor:
        """The source's motion between the last frames of a run, (2, H/16, W/16) of padded
        frames."""
        before, last = (padded(source[0]) for _, source in sample.runs[number][-2:])
        return torch.from_numpy(block_vectors(last, before)).to(self.place)

    @property
    def windows(self) -> list[Window]:
        """Windows of the padded picture."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        return windows_of(high, wide)

    @torch.no_grad()
    def look(
        self, painter: PainterNetwork, run: Run, moves: Tensor, window: Window, noise: int
    ) -> Look:
        """A window of a run, painted with noise of its own; `moves` (2, H/16, W/16): the source's
        motion between its last frames."""
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
        flicker = temporal_loss(unsteered, before, source[0], source_luma[:, -2], vectors).mean()
        reference = self.judge.reference(to_rgb(*source, self.colour))
        return Look(
            [convert(frame, torch.half) for frame in seen],
            source,
            source_luma[:, -2],
            vectors,
            reference,
            unsteered,
            flicker,
        )

    def weigh(self, painter: PainterNetwork, look: Look, levels: Tensor) -> Tensor:
        """What is to be small, of a window whose blocks have `levels` (1, D, h, w)."""
        shifts = torch.einsum("sd,bdhw->bshw", self.table, levels)
        seen = [replace(convert(frame, torch.float), shifts=shifts) for frame in look.seen]
        painted, before = paint_observed(painter, seen)
        distance = self.judge(to_rgb(*painted, self.colour), look.reference)[0].mean()
        assert before is not None
        moved = (before, look.source[0], look.source_before, look.vectors)
        flicker = temporal_loss(painted[0], *moved).mean()
        lost = fidelity_guard(painted[0], look.unsteered, look.source[0], 0.0).mean()
        return loss_of(distance, lost, flicker, look.flicker)

    def spread(self, levels: Tensor, window: Window) -> Tensor:
        """Levels of regions of the picture at the blocks of a window."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        top, left, height, width = window
        whole = spread(levels, high, wide)
        return whole[:, :, top // 8 : (top + height) // 8, left // 8 : (left + width) // 8]

    def search(
        self,
        sample: GopSample,
        learned: Sequence[int],
        strength: Strength,
        start: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Integers (rows, columns, D) of regions, not rounded, from `start` on, by the runs of a
        GOP that are `learned`; `start` itself where no window is large enough."""
        painter, windows = self.painter_at(strength), self.windows
        if not windows:
            return start
        runs = prepare(sample.runs, sample.rates, self.place)
        looks = []
        for number in learned:
            moves = self.moves_of(sample, number)
            looks.append(
                [self.look(painter, runs[number], moves, window, 3 * number) for window in windows]
            )
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
            for look, window in zip(looks[step % len(looks)], windows, strict=True):
                self.weigh(painter, look, self.spread(apart, window)).backward()
            assert apart.grad is not None
            ((levels * apart.grad).sum() + _PRICE * integers.abs().sum()).backward()
            optimizer.step(_RATE * (1.02 - step / (STEPS + 2)))
        found: NDArray[np.float32] = free.detach()[0].permute(1, 2, 0).cpu().numpy()
        return found


class TokenSearch:
    """Tokens of the GOPs of one video that are searched. Raises `WrongModelError` where painter,
    encoder or judge are missing, `UsageError` for a device that is not there."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        look: int,
        steadies: bool,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        """`look`, `steadies` and `threads` as for `EncodedTokens`."""
        self.q = q
        self.descent = Descent(fmt, base, scale, q, device)
        self.encoded = EncodedTokens(fmt, base, scale, q, look, steadies, threads)

    def find(self, sample: GopSample, size: int) -> bytes | None:
        """Bytes of tokens for a GOP of `size` bytes, None where they do not pay."""
        if not sample.runs:
            return None
        strength = self.encoded.strength_of(sample)
        encoded, matched = self.encoded.parts(sample, strength)
        middle = len(sample.runs) // 2
        learned = [n for n in range(len(sample.runs)) if n != middle] or [middle]
        found = self.descent.search(sample, learned, strength, encoded + matched)
        tried = [*(encoded + part * matched for part in PARTS), found, found / 2]
        trial = self.encoded.trial(sample, strength)
        tokens = trial.choose(tried, size, kinds_tried=(1, 2, 3))
        if not tokens.kinds.any():
            return None
        return pack(tokens, self.encoded.model, self.q)
