"""Searches tokens that steer the painter in one GOP (`tokens`), by the gradient of a perceptual
loss.

On runs of frames across the GOP the integers of all regions descend together, window by window,
from the tokens of `encoder`, by the small network of the metric
(`metric`), here in torch; in the second half of the steps the loss sees them rounded. A run
that took no part then decides whether they are sent (`trial`).
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
from gvcodec.painter.cpu import block_vectors
from gvcodec.painter.energies import pad_to_patches
from gvcodec.painter.model import Model, Strength, condition
from gvcodec.painter.token_coding import LARGEST, MAX_STYLE_OFFSET, STEP, pack
from gvcodec.painter.tokens.encoder import SHARES, EncodedTokens
from gvcodec.painter.tokens.samples import GopSample
from gvcodec.painter.tokens.trial import PSNR_PRICE, Window, trial_windows
from gvcodec.painter.torch_twin.adam import Adam
from gvcodec.painter.torch_twin.clips import Run, prepare
from gvcodec.painter.torch_twin.filters import round_through
from gvcodec.painter.torch_twin.network import FrameObservation, PainterNetwork, convert
from gvcodec.painter.torch_twin.objective import Batch, observe_run, paint_observed
from gvcodec.perceptual.losses import fidelity_guard, temporal_loss
from gvcodec.perceptual.vgg import PerceptualLoss, Reference
from gvcodec.types import BLOCK, VideoFormat
from gvcodec.util.colour import known_colour
from gvcodec.util.tensors import open_device, to_rgb

#: Steps of a search.
STEPS = 12
#: Learning rate of integers, which falls with the steps; cost of an integer 1.
_RATE, _PRICE = 0.5, 1e-5
#: Weight of changes between frames beyond those of the unsteered picture.
TEMPORAL = 30.0
#: Blocks of the painter's maps along a region.
_BLOCKS = 8


def interpolate_offsets(style_offsets: Tensor, height: int, width: int) -> Tensor:
    """Style offsets (1, D, rows, columns) of regions at blocks (1, D, height / 8, width / 8) of a
    padded picture, whole numbers as decoders have them; gradients pass."""
    for axis, size in ((2, height), (3, width)):
        place = 2 * torch.arange(size // BLOCK * 2, device=style_offsets.device) + 1 + _BLOCKS
        last = style_offsets.shape[axis] - 1
        before = style_offsets.index_select(axis, (place // 16 - 1).clamp(0, last))
        after = style_offsets.index_select(axis, (place // 16).clamp(0, last))
        share = (place % 16).to(style_offsets.dtype)
        share = share.view(-1, 1) if axis == 2 else share
        style_offsets = (16 - share) * before + share * after
    return round_through(style_offsets / 256)


@dataclass
class WindowObservation:
    """A window of a run: the painter's observation of each frame, the source's planes of the last
    one, the source's luma of the previous one and the source's motion between these two, along
    which change is seen (noise follows that of base frames), the metric's maps of the last source;
    luma of the unsteered picture, and how much more than the source it changes."""

    observations: list[FrameObservation]
    source: tuple[Tensor, Tensor]
    source_before: Tensor
    vectors: Tensor
    reference: list[Reference]
    plain_luma: Tensor
    flicker: Tensor


def token_loss(distance: Tensor, psnr_loss: Tensor, flicker: Tensor, usual: Tensor) -> Tensor:
    """The loss of a metric's distance, lost decibels, flicker, and the unsteered picture's
    flicker."""
    return distance + PSNR_PRICE * psnr_loss + TEMPORAL * F.relu(flicker - usual)


def open_network(device: torch.device) -> PerceptualLoss:
    """The metric's network, with gradients. Raises `WrongModelError` if it is missing."""
    weights = perceptual.read_weights(TOKEN_METRIC.find())
    return PerceptualLoss(weights=weights, is_batched=False).to(device)


class Descent:
    """Windows of the GOPs of one video as tensors that gradients pass. Raises `WrongModelError`
    if the painter or the metric's network is missing, `UsageError` for a device that is not
    there."""

    def __init__(
        self, fmt: VideoFormat, base: str, scale: Fraction, q: int, device: str = "cpu"
    ) -> None:
        self.fmt, self.device = fmt, open_device(device)
        self.metric = open_network(self.device)
        self._path = painter_of(uses_tokens=True).find()
        model = Model.load(self._path)
        assert model.tokens is not None
        self.table = torch.from_numpy(model.tokens.weight.astype(np.float32)).to(self.device)
        stream = condition(base, scale, q)
        self._condition = torch.from_numpy(stream).float()[None].to(self.device)
        self.colour = known_colour(fmt.colour, fmt.height)
        self._painters: dict[Strength, PainterNetwork] = {}

    def painter_at(self, strength: Strength) -> PainterNetwork:
        """The painter at a strength."""
        if strength not in self._painters:
            self._painters[strength] = PainterNetwork.load(self._path, strength).to(self.device)
        return self._painters[strength]

    def moves_of(self, sample: GopSample, number: int) -> Tensor:
        """The source's motion between the last frames of a run, (2, H/16, W/16) of padded
        frames."""
        before, last = (pad_to_patches(source[0]) for _, source in sample.runs[number][-2:])
        return torch.from_numpy(block_vectors(last, before)).to(self.device)

    @property
    def windows(self) -> list[Window]:
        """Windows of the padded picture."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        return trial_windows(high, wide)

    @torch.no_grad()
    def observe(
        self, painter: PainterNetwork, run: Run, moves: Tensor, window: Window, noise: int
    ) -> WindowObservation:
        """A window of a run, painted with new noise; `moves` (2, H/16, W/16): the source's
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
        none = torch.zeros(1, device=self.device)
        batch = Batch(
            (luma, chroma),
            (source_luma, source_chroma),
            vectors,
            self._condition,
            none.long(),
            none,
            run[5][None],
        )
        observed = observe_run(painter, batch, noise)
        (unsteered, _), before = paint_observed(painter, observed)
        assert before is not None
        source, vectors = (source_luma[:, -1], source_chroma[:, -1]), moves[None, :, *blocks]
        flicker = temporal_loss(unsteered, before, source[0], source_luma[:, -2], vectors).mean()
        reference = self.metric.reference(to_rgb(*source, self.colour))
        return WindowObservation(
            [convert(frame, torch.half) for frame in observed],
            source,
            source_luma[:, -2],
            vectors,
            reference,
            unsteered,
            flicker,
        )

    def loss(
        self, painter: PainterNetwork, look: WindowObservation, style_offsets: Tensor
    ) -> Tensor:
        """The loss of a window whose blocks have `style_offsets` (1, D, h, w)."""
        shifts = torch.einsum("sd,bdhw->bshw", self.table, style_offsets)
        observed = [
            replace(convert(frame, torch.float), shifts=shifts) for frame in look.observations
        ]
        painted, before = paint_observed(painter, observed)
        distance = self.metric(to_rgb(*painted, self.colour), look.reference)[0].mean()
        assert before is not None
        moved = (before, look.source[0], look.source_before, look.vectors)
        flicker = temporal_loss(painted[0], *moved).mean()
        psnr_loss = fidelity_guard(painted[0], look.plain_luma, look.source[0], 0.0).mean()
        return token_loss(distance, psnr_loss, flicker, look.flicker)

    def interpolate_window(self, style_offsets: Tensor, window: Window) -> Tensor:
        """Style offsets of regions of the picture at the blocks of a window."""
        high, wide = (-(-n // BLOCK) * BLOCK for n in (self.fmt.height, self.fmt.width))
        top, left, height, width = window
        whole = interpolate_offsets(style_offsets, high, wide)
        return whole[:, :, top // 8 : (top + height) // 8, left // 8 : (left + width) // 8]

    def search(
        self,
        sample: GopSample,
        run_numbers: Sequence[int],
        strength: Strength,
        start: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Integers (rows, columns, D) of regions, not rounded, from `start` on, by the runs
        `run_numbers` of a GOP; `start` itself if no window is large enough."""
        painter, windows = self.painter_at(strength), self.windows
        if not windows:
            return start
        runs = prepare(sample.runs, sample.rates, self.device)
        looks = []
        for number in run_numbers:
            moves = self.moves_of(sample, number)
            looks.append(
                [
                    self.observe(painter, runs[number], moves, window, 3 * number)
                    for window in windows
                ]
            )
        parameters = torch.from_numpy(start.transpose(2, 0, 1)[None].copy()).to(self.device)
        parameters.requires_grad_(True)
        optimizer = Adam([parameters], betas=(0.9, 0.999))
        for step in range(STEPS):
            optimizer.clear_gradients()
            integers = parameters.clamp(-LARGEST, LARGEST)
            if step >= STEPS // 2:
                integers = round_through(integers)
            style_offsets = (STEP * integers).clamp(-MAX_STYLE_OFFSET, MAX_STYLE_OFFSET)
            # Gradients of all windows meet in the style offsets, and pass on from there at once.
            detached = style_offsets.detach().requires_grad_(True)
            for look, window in zip(looks[step % len(looks)], windows, strict=True):
                self.loss(painter, look, self.interpolate_window(detached, window)).backward()
            assert detached.grad is not None
            ((style_offsets * detached.grad).sum() + _PRICE * integers.abs().sum()).backward()
            optimizer.step(_RATE * (1.02 - step / (STEPS + 2)))
        solution: NDArray[np.float32] = parameters.detach()[0].permute(1, 2, 0).cpu().numpy()
        return solution


class TokenSearch:
    """Tokens of the GOPs of one video that are searched. Raises `WrongModelError` if painter,
    encoder or metric are missing, `UsageError` for a device that is not there."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        paint_strength: int,
        chooses_strengths: bool,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        """`paint_strength`, `chooses_strengths` and `threads` as for `EncodedTokens`."""
        self.q = q
        self.descent = Descent(fmt, base, scale, q, device)
        self.token_encoder = EncodedTokens(
            fmt, base, scale, q, paint_strength, chooses_strengths, threads
        )

    def prepare(self, sample: GopSample) -> None:
        """See `EncodedTokens.prepare`."""
        self.token_encoder.prepare(sample)

    def find(self, sample: GopSample, size: int) -> bytes | None:
        """Bytes of tokens for a GOP of `size` bytes, None if they do not pay."""
        if not sample.runs:
            return None
        strength = self.token_encoder.strength_of(sample)
        encoded, matched = self.token_encoder.parts(sample, strength)
        middle = len(sample.runs) // 2
        run_numbers = [n for n in range(len(sample.runs)) if n != middle] or [middle]
        start = encoded + matched
        searched = self.descent.search(sample, run_numbers, strength, start)
        candidates = [*(share * start for share in SHARES), searched, searched / 2]
        trial = self.token_encoder.trial(sample, strength)
        tokens = trial.choose(candidates, size, kinds_tried=(1, 2, 3))
        if not tokens.kinds.any():
            return None
        return pack(tokens, self.token_encoder.model, self.q)
