"""Source shift: what an encoder is given in place of the source, so that the painted picture comes
out nearer to it.

A painter is known when a video is coded. `Critic` says how every luma sample of a painted frame
would have to move for the perceptual losses to fall: their gradient, taken over crops at random
places, flipped, reduced and noised, since a gradient of one view fits the network more than the
eye. `carried` averages gradients of a few frames along motion, which gives the frames between
theirs and steadies all. `shaped` smooths them and brings them to a size. The sum of a few rounds is
taken off the source.

Luma is `(H, W)`; a shift is float32 in steps of 8 bits, gradients are in any unit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.appearance import perceptual
from gvcodec.appearance.block_motion import BLOCK
from gvcodec.appearance.motion import search, warp
from gvcodec.appearance.perceptual.losses import eight_bits, known_colour, to_rgb
from gvcodec.appearance.perceptual.vgg import PerceptualLoss
from gvcodec.appearance.planes import to_tensors
from gvcodec.types import Plane, Planes, VideoFormat

Map = NDArray[np.float32]

#: The network's strides make a lattice of 16 samples, on which no crop may sit twice.
_LATTICE = 16
#: Crops are of about this size: maps of a whole large picture would take gigabytes.
_TILE = 256
_SMALLEST = 48
_LEAST_SCALE, _NOISE = 0.85, 1.5 / 255
#: Part of a gradient that is left a frame further on, and the difference of 8-bit steps at which
#: trust has dropped to 1/e.
_KEPT, _TRUST = 0.8, 4.0
#: Side of the box that smooths, and the largest shift in units of its root mean square.
_BOX, _MOST = 5, 3.0


class Critic:
    """`critic(painted, source, seed)`: gradient `(H, W)` of LPIPS + DISTS, led by the small
    network, by the painted luma.

    The same seed gives the same crops. Raises `ValueError` for pictures below 64 samples."""

    def __init__(self, fmt: VideoFormat, weights: dict[str, Tensor]) -> None:
        if not fits(fmt):
            raise ValueError(f"{fmt.width}×{fmt.height} is too small")
        self._loss = PerceptualLoss(weights=weights)
        self._colour = known_colour(fmt.colour, fmt.height)
        self._eight = fmt.bit_depth == 8

    def __call__(self, painted: Planes, source: Planes, seed: int) -> Map:
        luma, tint = to_tensors(painted)
        luma.requires_grad_(True)
        shown = (eight_bits(luma), eight_bits(tint)) if self._eight else (luma, tint)
        picture = to_rgb(*shown, self._colour)
        upstream = torch.zeros_like(picture)
        for area, crop, wanted, rng in self._crops(picture.detach(), source, seed):
            self._score(crop.requires_grad_(True), wanted, rng).backward()
            assert crop.grad is not None
            upstream[area] = crop.grad
        height, width = painted[0].shape
        gradient: Map = torch.autograd.grad(picture, luma, upstream)[0][
            0, 0, :height, :width
        ].numpy()
        return gradient

    @torch.inference_mode()
    def loss(self, painted: Planes, source: Planes, seed: int) -> float:
        """LPIPS + DISTS of the crops that the seed gives."""
        luma, tint = to_tensors(painted)
        shown = (eight_bits(luma), eight_bits(tint)) if self._eight else (luma, tint)
        crops = list(self._crops(to_rgb(*shown, self._colour), source, seed))
        total = sum(float(self._score(crop, wanted, rng)) for _, crop, wanted, rng in crops)
        return total / sum(crop.shape[-2] * crop.shape[-1] for _, crop, _, _ in crops)

    def _crops(
        self, picture: Tensor, source: Planes, seed: int
    ) -> Iterator[tuple[Any, Tensor, Tensor, np.random.Generator]]:
        """Where crops lie, those of the picture and of the source, RGB, and what else chance
        decides for each."""
        rng = np.random.default_rng(seed)
        wanted = to_rgb(*to_tensors(source), self._colour)
        height, width = source[0].shape
        top, left = (int(n) for n in rng.integers(0, _LATTICE, 2))
        for rows in _parts(top, height):
            for columns in _parts(left, width):
                area = (..., slice(*rows), slice(*columns))
                yield area, picture[area].clone(), wanted[area], rng

    def _score(self, crop: Tensor, wanted: Tensor, rng: np.random.Generator) -> Tensor:
        """Loss of a crop, both pictures seen in one random way; by area, so that crops of all sizes
        weigh the same."""
        area = crop.shape[-2] * crop.shape[-1]
        flip, scale, level = (
            bool(rng.integers(2)),
            rng.uniform(_LEAST_SCALE, 1),
            rng.uniform(0, _NOISE),
        )
        views = [x.flip(-1) if flip else x for x in (crop, wanted)]
        views = [
            F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for x in views
        ]
        noise = torch.from_numpy(rng.standard_normal(views[0].shape, np.float32)) * level
        references = self._loss.reference(views[1] + noise)
        distance, texture = self._loss(views[0] + noise, references)
        return (distance + texture).sum() * area


def fits(fmt: VideoFormat) -> bool:
    """Whether pictures are large enough for crops."""
    return min(fmt.width, fmt.height) >= _LATTICE + _SMALLEST


def critic_of(fmt: VideoFormat, leader: str) -> Critic | None:
    """`leader` as for `perceptual.leading_weights`; None where its weights are not at hand."""
    found = perceptual.leading_weights(leader)
    return Critic(fmt, found[1]) if found else None


def _parts(begin: int, end: int) -> list[tuple[int, int]]:
    """`begin` … `end` in equal parts of about `_TILE`."""
    edges = (
        np.linspace(begin, end, max(1, round((end - begin) / _TILE)) + 1)
        .round()
        .astype(int)
        .tolist()
    )
    return list(itertools.pairwise(edges))


def carried(maps: Sequence[Map | None], luma: Sequence[Plane]) -> list[Map]:
    """Gradients of some frames (None: not known) averaged along the motion of all. Where a frame
    cannot be told from its neighbours, at a cut above all, nothing is carried."""
    height, width = luma[0].shape
    forward = _swept(list(range(len(maps))), maps, luma)
    backward = _swept(list(range(len(maps)))[::-1], maps, luma)[::-1]
    found = []
    for own, (before, weight), (after, other) in zip(maps, forward, backward, strict=True):
        alone = float(own is not None)
        total = before.float() * weight + after.float() * other
        if own is not None:
            total -= _padded(own)
        found.append(
            (total / (weight + other - alone).clamp(min=0.05))[0, 0, :height, :width].numpy()
        )
    return found


def _swept(
    order: list[int], maps: Sequence[Map | None], luma: Sequence[Plane]
) -> list[tuple[Tensor, Tensor]]:
    """In this order each frame's average of what was known by then, in half precision, and its
    weight (one for a known frame), both `(1, 1, H, W)`, padded to whole blocks."""
    swept: list[tuple[Tensor, Tensor]] = []
    last = -1
    for number in order:
        own = maps[number]
        shape = _padded(luma[number]).shape
        value = torch.zeros(shape) if own is None else _padded(own)
        weight = torch.full(shape, float(own is not None))
        if swept:
            vectors = search(luma[number], luma[last])[None]
            past = torch.cat([swept[-1][0].float(), swept[-1][1], _padded(luma[last])], 1)
            fetched, inside = warp(past, vectors)
            off = F.avg_pool2d((fetched[:, 2:] - _padded(luma[number])).abs() / 4, BLOCK)
            trust = _KEPT * torch.exp(off / -_TRUST).repeat_interleave(BLOCK, 2).repeat_interleave(
                BLOCK, 3
            )
            share = trust * fetched[:, 1:2] * inside
            value = (value * weight + fetched[:, :1] * share) / (weight + share).clamp(min=1e-6)
            weight = weight + share
        swept.append((value.half(), weight))
        last = number
    return swept


def _padded(plane: Plane | Map) -> Tensor:
    """`(1, 1, H, W)` float, whole blocks, edges repeated."""
    x = torch.from_numpy(np.asarray(plane, np.float32))[None, None]
    return F.pad(x, (0, -x.shape[3] % BLOCK, 0, -x.shape[2] % BLOCK), mode="replicate")


def shaped(maps: Sequence[Map], rms: float) -> list[Map]:
    """Smoothed, at most `_MOST` times `rms`, which is that of all together; zero where there is no
    gradient."""
    box = (_BOX // 2,) * 4
    smooth = [
        F.avg_pool2d(F.pad(torch.from_numpy(m)[None, None], box, mode="replicate"), _BOX, 1)[0, 0]
        for m in maps
    ]
    size = float(torch.stack([m.double().square().mean() for m in smooth]).mean().sqrt())
    if not size:
        return [np.zeros_like(m) for m in maps]
    return [(m * (rms / size)).clamp(-_MOST * rms, _MOST * rms).numpy() for m in smooth]


def shifted(source: Planes, shift: Map) -> Planes:
    """The source less a shift, luma only."""
    luma = np.rint(source[0] - 4 * shift).clip(0, 1023).astype(np.uint16)
    return luma, source[1], source[2]
