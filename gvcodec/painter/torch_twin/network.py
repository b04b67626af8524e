"""The painter in torch, for training and token search on any device: as docs/spec/painter.md
defines it, with gradients. Decoding never uses it (`video`).

Every value is an integer of the definition held in floats; rounding and cutting to whole numbers
let gradients pass as if they did nothing. In double precision the output is exactly that
of the definition on any device: sums are rounded to the whole numbers that they are, so it does not
matter how a convolution is done. In single precision it may differ by one in rare samples.
Parameters are floats: a weight is `round(parameter / grid)`, with one grid for each output, so that
learning rates mean the same for every layer. Planes are float 0…1 (10-bit code / 1023): luma
`(B, 1, H, W)`, chroma `(B, 2, H/2, W/2)`, H and W multiples of 16.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.errors import MediaError
from gvcodec.models import read_arrays, save_weights
from gvcodec.painter import model as I
from gvcodec.painter.torch_twin.filters import (
    Bands,
    Block,
    Layer,
    Requantiser,
    compand,
    decimate,
    directions,
    log8,
    pool,
    round_through,
    shift_right,
    three,
    times,
    upsample,
    upsample_maps,
)
from gvcodec.util.tensors import warp

PEAK = I.PEAK


def condition(base: str, scale: Fraction, q: int) -> Tensor:
    """`model.condition` as a row `(1, CONDITION)`, float, in 1/256. Raises `ValueError`."""
    return torch.from_numpy(I.condition(base, scale, q)).float()[None]


@dataclass
class State:
    """State between frames of a GOP, in codes: the base frame's luma, the noise
    field, the detail that was added to luma and to chroma (eighths of a code)."""

    luma: Tensor
    noise: Tensor
    detail: Tensor
    tint: Tensor


@dataclass
class FrameObservation:
    """Fixed inputs of a frame while tokens are searched: everything that follows from base frames,
    noise and the layers before `style`. Bands of luma and noise in three scales, `features` by
    `style`; `trust` in the previous painted frame, 1 where a block is `still`. `shifts` (B, outputs
    of `style`, H/8, W/8) are added to the sums of `style` to steer it; None for nothing."""

    luma: Tensor
    chroma: Tensor
    noise: Tensor
    vectors: Tensor | None
    scales: list[Tensor]
    grains: list[Tensor]
    colour: Tensor
    features: Tensor
    way: Tensor
    trust: Tensor
    still: Tensor
    shifts: Tensor | None = None


def convert(x: Any, dtype: torch.dtype) -> Any:
    """A dataclass, list or tuple of tensors in another precision, if they have fractions; all
    values of `FrameObservation` are whole numbers that half has too."""
    if isinstance(x, Tensor):
        return x.to(dtype) if x.is_floating_point() else x
    if isinstance(x, list | tuple):
        return type(x)(convert(part, dtype) for part in x)
    if x is None:
        return None
    return type(x)(*(convert(getattr(x, field.name), dtype) for field in fields(x)))


class PainterNetwork(nn.Module):
    """See the module. Sizes: `channels` of the trunk, `depth` (blocks), `style`, `stem`,
    `wide`."""

    def __init__(self, sizes: dict[str, int]) -> None:
        super().__init__()
        c, s, q = (sizes[n] for n in ("channels", "style", "stem"))
        self.sizes = dict(sizes)
        self.stem, self.stem2 = Layer(12, q, 3), Layer(q, c - 16, 3)
        self.statistics = Layer(16, 16, 1)
        self.blocks = nn.ModuleList([Block(c, sizes["wide"]) for _ in range(sizes["depth"])])
        self.view = Requantiser(c)
        self.style = Layer(c, s, 1)
        self.head = Layer(s, I.HEADS, 1)

    def add_detail(self, x: FrameObservation) -> tuple[Tensor, Tensor, Tensor]:
        """Luma and chroma detail of a batch, and the share kept of the previous frame's, from
        `style` on."""
        sums = self.style.sums(x.features)
        if x.shifts is not None:
            sums = sums + x.shifts
        style = self.style.levels(self.style.silu(sums))
        steering = self.head.rescale(self.head.sums(style))

        def scale_bands(size: Tensor, ratio: Tensor, most: int) -> Tensor:
            """(B, 3 scales, 3, h, w): factors of N, P, Q."""
            size, ratio = size.clamp(-most, most)[:, :, None], ratio.clamp(-128, 128)[:, :, None]
            return torch.cat(
                [size, shift_right(size * shift_right(ratio * x.way[:, None], 6), 8)], 2
            )

        gain = scale_bands(steering[:, :3], steering[:, 3:6], I.MAP)
        amplitude = scale_bands(steering[:, 6:9], steering[:, 9:12], I.DETAIL)
        keep = shift_right((steering[:, 14:] + 128).clamp(0, 256) * x.trust, 1).clamp(max=I.KEEP)
        keep = torch.where(x.still > 0, x.still * I.KEEP, keep)
        tint, share = upsample_maps(
            torch.cat([steering[:, 12:14].clamp(-I.MAP, I.MAP), keep], 1)
        ).split((2, 1), 1)

        def painted_scale(i: int) -> Tensor:
            parts = []
            for bands, maps, factor in (
                (x.scales[i], gain[:, i], 8),
                (x.grains[i], amplitude[:, i], 4),
            ):
                wide = upsample_maps(maps)
                if i == 0:
                    wide = wide.repeat_interleave(2, 2).repeat_interleave(2, 3)
                parts.append(times(factor * bands, wide))
            return torch.cat(parts, 1).sum(1, keepdim=True)

        below = (painted_scale(1) + painted_scale(2)).clamp(-I.COARSE, I.COARSE)
        detail = upsample(below) + painted_scale(0)
        tinted = times(8 * x.colour, tint)
        return detail.clamp(-I.DETAIL, I.DETAIL), tinted.clamp(-I.DETAIL, I.DETAIL), share

    def extract_features(self, signal: Tensor, statistics: Tensor, condition: Tensor) -> Tensor:
        """The trunk of a batch, without `style`: features (B, C, H/8, W/8)."""
        a = self.stem.levels(self.stem.silu(self.stem.sums(signal, 2)))
        parts = (
            self.stem2.rescale(self.stem2.sums(a, 2)),
            self.statistics.rescale(self.statistics.sums(statistics)),
        )
        x = torch.cat(parts, 1).clamp(-2047, 2047)
        for block in self.blocks:
            x = block(x, condition)
        return self.view.rescale(x).clamp(-I.MIDDLE, 127 - I.MIDDLE)

    def trunk(
        self,
        luma: Tensor,
        chroma: Tensor,
        vectors: Tensor | None,
        fresh: tuple[Tensor, Tensor],
        before: FrameObservation | State | None,
        condition: Tensor,
    ) -> FrameObservation:
        """The next frame of a GOP as far as `style` does not matter; see `step`."""
        b, _, h, w = luma.shape
        luma, chroma = round_through(luma * PEAK), round_through(chroma * PEAK)
        noise, redraw = fresh[0], fresh[1]
        if before is None or vectors is None:
            vectors, noise = None, noise.expand(b, 1, h, w)
            mismatch = coverage = luma.new_zeros(b, 1, h // 8, w // 8)
        else:
            fetched, inside = warp(torch.cat([before.luma, before.noise], 1), vectors)
            redraw = redraw & (luma != fetched[:, :1])
            noise = torch.where(inside & ~redraw, fetched[:, 1:], noise)
            coverage = pool(inside.to(luma), 8)
            with torch.no_grad():
                mismatch = pool((luma - fetched[:, :1]).abs(), 8)
        half, grain_half = decimate(luma), decimate(noise)
        scales, grains = (
            [Bands(luma, fine=True), Bands(half)],
            [Bands(noise, fine=True), Bands(grain_half)],
        )
        for bands in (scales, grains):
            bands.append(Bands(bands[1].low, 2))
        blur = shift_right(three(chroma), 2)
        colour = (4 * chroma - blur).clamp(-I.BAND, I.BAND)
        coarse = torch.cat([scales[1].three, scales[2].three, colour], 1)
        signal = compand(torch.cat([coarse, F.pixel_unshuffle(scales[0].iso, 2)], 1))
        with torch.no_grad():
            sizes = torch.cat([pool(scales[0].three.abs(), 8), 4 * pool(coarse.abs(), 4)], 1)
            level = torch.floor(pool(torch.cat([scales[2].low, blur], 1), 4) / 512)
            past = (
                shift_right((log8(4 * mismatch + 103) - 52) * coverage, 6),
                shift_right(coverage * 127, 6),
            )
            statistics = torch.cat([log8(sizes + 103) - 52, level, *past], 1).clamp(max=127)
        u = (128 - shift_right(mismatch * 1365, 16)).clamp(min=0)
        trust = shift_right(torch.floor(u.square().square() / (1 << 20)) * coverage, 6)
        still = ((mismatch == 0) & (coverage == 64)).to(luma)
        return FrameObservation(
            luma,
            chroma,
            noise,
            vectors,
            [bands.bands for bands in scales],
            [bands.bands for bands in grains],
            colour,
            self.extract_features(signal, statistics, condition),
            directions(half),
            trust,
            still,
        )

    def paint(self, x: FrameObservation, state: State | None) -> tuple[Tensor, Tensor, State]:
        """The rest of `step`."""
        detail, tint, share = self.add_detail(x)
        if state is not None and x.vectors is not None:
            fetched, _ = warp(state.detail, x.vectors)
            fetched_tint, _ = warp(state.tint, x.vectors, 2)
            wide = share.repeat_interleave(2, 2).repeat_interleave(2, 3)
            detail = detail + times(fetched - detail, wide)
            tint = tint + times(fetched_tint - tint, share)
        painted = (x.luma + shift_right(detail, 3)) / PEAK, (x.chroma + shift_right(tint, 3)) / PEAK
        return *painted, State(x.luma, x.noise, detail, tint)

    def step(
        self,
        luma: Tensor,
        chroma: Tensor,
        vectors: Tensor | None,
        fresh: tuple[Tensor, Tensor],
        state: State | None,
        condition: Tensor,
    ) -> tuple[Tensor, Tensor, State]:
        """Paint the next frame of a GOP: painted luma and chroma (not clipped) and the state for
        the frame after it.

        `vectors` `(B, 2, H/16, W/16)`: motion against the frame before (None together with `state`
        None). `fresh`: new noise and the pixels to redraw (`noise.fresh`). `condition` `(B,
        CONDITION)` in 1/256, the frame's own entry last."""
        return self.paint(self.trunk(luma, chroma, vectors, fresh, state, condition), state)

    @torch.no_grad()
    def integers(self) -> dict[str, Any]:
        """The arguments of `model.Model.of`."""
        arrays: dict[str, Any] = {}
        for name, module in self.named_modules():
            if isinstance(module, Block):
                arrays[f"{name}.condition"] = module.table().cpu().numpy().astype(np.int32)
            if isinstance(module, Layer):
                weight, bias = module.whole()
                arrays[f"{name}.weight"] = weight.cpu().numpy().astype(np.int8)
                arrays[f"{name}.bias"] = bias.cpu().numpy().astype(np.int32)
            if isinstance(module, Requantiser):
                parts = (
                    ("multiplier", "shift", "step")
                    if not name.endswith("view")
                    else ("multiplier", "shift")
                )
                for part in parts:
                    arrays[f"{name}.{part}"] = getattr(module, part).cpu().numpy().astype(np.int16)
        return arrays

    def save(self, path: Path) -> None:
        """The file of a painter: the integers, and the grids of their parameters (fp32) for
        training."""
        grids = {
            n: b.cpu().numpy() for n, b in self.named_buffers() if n.endswith((".grid", ".unit"))
        }
        facts = json.dumps({"form": I.FORM, **self.sizes})
        save_weights({}, path, {"painter": facts}, self.integers() | grids)

    @staticmethod
    def load(path: Path, strength: I.Strength = I.NEUTRAL) -> PainterNetwork:
        """Load a file of `save` for evaluation, painting at a strength. Raises `MediaError`."""
        model = I.Model.load(path)
        depth = model.depth
        try:
            arrays, metadata = read_arrays(path)
            sizes = json.loads(metadata["painter"])
            del sizes["form"]
            # Before anything is allocated: the tensors are small, the sizes may claim anything.
            if any(type(n) not in (int, bool) or not 0 <= n <= 512 for n in sizes.values()):
                raise ValueError("sizes out of range")
            if sizes["depth"] != depth:
                raise ValueError("depth differs from the tensors")
            network = PainterNetwork(sizes)
            head = strength.apply(model.layers["head"])
            arrays |= {"head.bias": head.bias, "head.multiplier": head.multiplier}
            arrays["head.shift"] = head.shift
            network.load_integers(
                {name: torch.from_numpy(array).float() for name, array in arrays.items()}
            )
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise MediaError(f"{path}: not a painter ({error})", code="not-a-model") from None
        return network.eval().requires_grad_(False)

    @torch.no_grad()
    def load_integers(self, floats: dict[str, Tensor]) -> None:
        """Integers and grids by name. Raises `KeyError`, `RuntimeError`."""
        for name, module in self.named_modules():
            if isinstance(module, Requantiser):
                for part in ("multiplier", "shift", "step"):
                    if f"{name}.{part}" in floats:
                        getattr(module, part).copy_(floats[f"{name}.{part}"])
            if isinstance(module, Layer):
                module.grid.copy_(floats[f"{name}.grid"])
                module.unit.copy_(floats[f"{name}.unit"])
                module.load_integers(floats[f"{name}.weight"], floats[f"{name}.bias"])
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            table = floats[f"blocks.{i}.condition"] * block.depthwise.unit[:, None]
            block.condition.copy_(table)
