"""Loss of a batch of crops in training: runs the painter over a few frames and judges the last
one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from gvcodec.painter.torch_twin.network import FrameObservation, PainterNetwork
from gvcodec.perceptual import Lpips
from gvcodec.perceptual.losses import (
    FilterBank,
    band_energy,
    contrast_guard,
    eight_bits,
    fidelity_guard,
    pixel_loss,
    temporal_loss,
)
from gvcodec.perceptual.vgg import PerceptualLoss, Reference
from gvcodec.types import Colour
from gvcodec.util.colour import SMALL
from gvcodec.util.tensors import to_rgb

#: One pixel in this many is redrawn in each frame, against the repetition that zooming motion
#: builds up.
REFRESH = 32
_SIDE = 512
_MASK = 0xFFFFFFFF
Numbers = TypeVar("Numbers", Tensor, int)


def _mix(x: Numbers) -> Numbers:
    """32 well-mixed bits of each int64 value below 2³²; the products stay below 2⁶³."""
    for factor in (0x21F0AAAD, 0x735A2D97):
        x = ((x ^ (x >> 16)) * factor) & _MASK
    return x ^ (x >> 15)


@lru_cache(maxsize=2)
def tile(device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Noise `(512, 512)`, float, and the bool map of the pixels to redraw."""
    bits = _mix(torch.arange(_SIDE * _SIDE, device=device) * 0x9E3779B1 & _MASK).reshape(
        _SIDE, _SIDE
    )
    # The sum of four bytes is close enough to a Gaussian.
    total = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24)
    return total.float() + 2, bits % REFRESH == 0


def corner(position: int) -> tuple[int, int]:
    """Row and column of the tile where the noise of frame `position` of a GOP begins."""
    bits = _mix(position & _MASK)
    return bits % _SIDE, (bits >> 16) % _SIDE


def fresh(
    height: int, width: int, position: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """New noise `(1, 1, height, width)` for frame `position` of a GOP, whole numbers 2…1022 around
    512, and a bool map of the pixels to redraw in it. Later frames fetch the values at the motion
    vectors' places, whole, never interpolated: the field stays white."""
    top, left = corner(position)
    rows = (torch.arange(height, device=device) + top) % _SIDE
    cols = (torch.arange(width, device=device) + left) % _SIDE
    noise, redraw = (part[rows][:, cols][None, None] for part in tile(device))
    return noise, redraw


#: Side of the crop on which perceptual losses are taken unless another one is given, in the middle
#: of the painted crop.
CROP = 128
#: Loss of PSNR, in dB, that costs nothing by itself.
FREE_PSNR_LOSS = 0.3


@dataclass
class Batch:
    """B runs of T frames: `base`/`source` = (luma `(B, T, 1, H, W)`, chroma `(B, T, 2, H/2, W/2)`)
    in 0…1, `vectors` `(B, T, 2, H/16, W/16)`, `condition` `(B, CONDITION)` in 1/256,
    `frame_condition` `(B, T)`: each frame's own entry of it (`model.rate`), None = none known,
    `rate_class` `(B,)` int64 (coarse q, for normalising losses), `bpp` `(B,)`: rate of the whole
    coded clip."""

    base: tuple[Tensor, Tensor]
    source: tuple[Tensor, Tensor]
    vectors: Tensor
    condition: Tensor
    rate_class: Tensor
    bpp: Tensor
    frame_condition: Tensor | None = None

    def part(self, first: int, stop: int) -> Batch:
        """Frames `first` to `stop` − 1 of each run."""
        base, source = (
            (luma[:, first:stop], chroma[:, first:stop])
            for luma, chroma in (self.base, self.source)
        )
        frame_condition = (
            None if self.frame_condition is None else self.frame_condition[:, first:stop]
        )
        vectors = self.vectors[:, first:stop]
        return replace(
            self, base=base, source=source, vectors=vectors, frame_condition=frame_condition
        )

    def condition_of(self, frame: int) -> Tensor:
        """`(B, CONDITION)` with the frame's own entry."""
        if self.frame_condition is None:
            return self.condition
        return torch.cat([self.condition[:, :-1], self.frame_condition[:, frame : frame + 1]], 1)


def middle(x: Tensor, side: int) -> Tensor:
    """The middle `side`² of planes `(…, H, W)`, or all of a smaller one (squares only)."""
    side = min(side, *x.shape[-2:])
    top, left = (x.shape[-2] - side) // 2, (x.shape[-1] - side) // 2
    return x[..., top : top + side, left : left + side]


def crop_rgb(planes: tuple[Tensor, Tensor], colour: Colour, side: int = CROP) -> Tensor:
    """The middle of `(luma, chroma)` as RGB `(B, 3, side, side)`, or all of a smaller picture."""
    return to_rgb(middle(planes[0], side), middle(planes[1], side // 2), colour)


def to_display_rgb(
    planes: tuple[Tensor, Tensor],
    colour: Colour,
    bit_depth: int,
    side: int = CROP,
) -> Tensor:
    """The same of painted planes as they are given out."""
    if bit_depth == 8:
        planes = eight_bits(planes[0]), eight_bits(planes[1])
    return crop_rgb(planes, colour, side)


def observe_run(painter: PainterNetwork, batch: Batch, position: int) -> list[FrameObservation]:
    """Inputs of `style` for each frame of a batch; gradients flow through the last one only.
    `position` seeds the noise."""
    luma, chroma = batch.base
    frames, (height, width) = luma.shape[1], luma.shape[-2:]
    learning = torch.is_grad_enabled()
    observations: list[FrameObservation] = []
    for t in range(frames):
        noise = fresh(height, width, position + t, device=luma.device)
        vectors, before = (batch.vectors[:, t], observations[-1]) if t else (None, None)
        with torch.set_grad_enabled(learning and t == frames - 1):
            condition = batch.condition_of(t)
            observations.append(
                painter.trunk(luma[:, t], chroma[:, t], vectors, noise, before, condition)
            )
    return observations


def paint_observed(
    painter: PainterNetwork, observations: Sequence[FrameObservation]
) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
    """Paint a run. Gradients flow through the last frame only.

    Returns the last frame (luma, chroma) and the luma before it (None for runs of one frame)."""
    learning = torch.is_grad_enabled()
    state, out, before = None, None, None
    for t, frame in enumerate(observations, 1):
        before = out[0].detach() if out else None
        with torch.set_grad_enabled(learning and t == len(observations)):
            *painted, state = painter.paint(frame, state)
        out = (painted[0], painted[1])
    assert out is not None
    return out, before


def paint_run(
    painter: PainterNetwork, batch: Batch, position: int
) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
    """Both of a batch."""
    return paint_observed(painter, observe_run(painter, batch, position))


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses; 0 leaves one out. `guard`: of PSNR-Y below that of the base frames;
    `hold`: cost of a decibel of PSNR-Y below that of a picture given with the batch."""

    pixel: float = 4.0
    energy: float = 0.03
    temporal: float = 30.0
    guard: float = 0.1
    contrast: float = 0.0
    hold: float = 0.0


class Objective:
    """Weighted losses per sample. Without `perceptual`, only pixels, band energies and steadiness
    count (the cheap start)."""

    def __init__(
        self,
        perceptual: PerceptualLoss | None,
        weights: LossWeights = LossWeights(),
        colour: Colour = SMALL,
        bit_depth: int = 8,
        dists: bool = True,
        alex: Lpips | None = None,
        side: int = CROP,
    ) -> None:
        """`side`: of the middle of a crop that perceptual losses see. `dists`: whether DISTS counts
        as well as LPIPS. `alex`: LPIPS on AlexNet, which counts as much as that on VGG16."""
        self.dists, self.alex, self.weights, self.side = dists, alex, weights, side
        self.perceptual, self.colour, self.bit_depth = perceptual, colour, bit_depth
        self.bank = FilterBank()

    def reference(self, batch: Batch) -> list[Reference]:
        """VGG maps of the source's last frames."""
        assert self.perceptual is not None
        return self.perceptual.reference(
            crop_rgb((batch.source[0][:, -1], batch.source[1][:, -1]), self.colour, self.side)
        )

    def __call__(
        self,
        painter: PainterNetwork | None,
        batch: Batch,
        seed: int,
        reference_luma: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Parts of the loss, each `(B,)` and weighted, and their sum `total`. Without a painter:
        of the base frames. `seed`: of the noise. `reference_luma` `(B, 1, H, W)`: pictures whose
        PSNR-Y the loss holds."""
        if painter is None:
            frames = batch.base[0].shape[1]
            luma, chroma = batch.base[0][:, -1], batch.base[1][:, -1]
            before = batch.base[0][:, -2] if frames > 1 else None
        else:
            (luma, chroma), before = paint_run(painter, batch, seed)
        source_luma, source_chroma = batch.source[0][:, -1], batch.source[1][:, -1]
        weights = self.weights
        parts = {"pixel": weights.pixel * pixel_loss(luma, chroma, source_luma, source_chroma)}
        if weights.energy and painter is not None:
            self.bank.to(luma.device)
            gap = band_energy(self.bank, luma) - band_energy(self.bank, source_luma)
            parts["energy"] = weights.energy * gap.abs().mean((1, 2, 3))
        if before is not None and weights.temporal:
            source_before = batch.source[0][:, -2]
            parts["temporal"] = weights.temporal * temporal_loss(
                luma, before, source_luma, source_before, batch.vectors[:, -1]
            )
        if weights.guard and painter is not None:
            parts["guard"] = weights.guard * fidelity_guard(
                luma, batch.base[0][:, -1], source_luma, FREE_PSNR_LOSS
            )
        if reference_luma is not None:
            parts["hold"] = weights.hold * fidelity_guard(luma, reference_luma, source_luma, 0.0)
        if weights.contrast and painter is not None:
            parts["contrast"] = weights.contrast * contrast_guard(
                luma, batch.base[0][:, -1], source_luma
            )
        if self.perceptual is not None:
            painted_rgb = to_display_rgb((luma, chroma), self.colour, self.bit_depth, self.side)
            parts["lpips"], dists = self.perceptual(painted_rgb, self.reference(batch))
            if self.dists:
                parts["dists"] = dists
            if self.alex is not None:
                source_rgb = crop_rgb((source_luma, source_chroma), self.colour, self.side)
                parts["lpips_alex"] = self.alex(painted_rgb.clamp(0, 1), source_rgb.clamp(0, 1))
        parts["total"] = torch.stack(list(parts.values())).sum(0)
        return parts
