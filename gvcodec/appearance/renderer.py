"""The renderer: paints a loop frame so that it looks like the source. Float, out of the coding
loop, identity at initialisation.

Planes are float 0…1 (10-bit code / 1023): luma `(B, 1, H, W)`, chroma `(B, 2, H/2, W/2)`, H and W
multiples of 16. All work is done at half resolution or below, luma as four interleaved channels:

* luma is split by fixed filters into nine sub-bands (three scales × horizontal, vertical,
  diagonal), which add up to it again;
* a trunk at 1/8 resolution sees band energies, the picture and the condition (q, base codec, base
  scale) and predicts for each 8×8 block what the heads turn into: a gain for each band (sharpen
  what is there), an amplitude of noise for each band (texture that the base lost), a gating of the
  residual branch, and the share of detail that is kept from the frame before;
* the residual branch is three small convolutions on bands and noise; its four luma channels are
  interleaved and then low-passed with a zero at the sampling lattice, so no fixed 2-pixel pattern
  can come out;
* what was added to the frame before is carried along by motion where the loop frames agree (the
  short-term buffer).

Maps predicted per block are interpolated linearly, so blocks leave no borders.

This is the definition, for training and for every device. Decoders run it through
`gvcodec.appearance.cpu_painter`, whose C++ form (csrc/painter/painter.cpp) has to follow when
something changes here other than parameters and sizes; tests compare the two.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.appearance.motion import warp
from gvcodec.bases import SLOTS, base_of, painted

BASES = painted()
SCALES = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
BANDS = 9
CONDITION = 2 + SLOTS + len(SCALES)
#: Bounds of a renderer's sizes, several times those of any that was ever made.
_MOST_BLOCKS, _MOST_CHANNELS = 64, 512
NOISE_UNIT = 4 / 255  # amplitude of noise for a head output of 1
SIGNAL_GAIN = 16.0  # brings band samples (hundredths) to the order of 1
_TRUST_SCALE = (
    6 / 255
)  # mean difference of motion-compensated loop frames at which trust has dropped to 1/e


@dataclass(frozen=True)
class RendererConfig:
    """Sizes of the renderer; stored in the checkpoint."""

    channels: int = 64
    depth: int = 6
    style: int = 32
    residual: int = 24

    def __post_init__(self) -> None:
        """Raises `ValueError`: the sizes may come from a file that was made up."""
        for entry in fields(self):
            value, most = (
                getattr(self, entry.name),
                _MOST_BLOCKS if entry.name == "depth" else _MOST_CHANNELS,
            )
            if type(value) is not int or not 0 <= value <= most:
                raise ValueError(f"{entry.name} of {value!r}, it is 0…{most}")

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass
class RenderState:
    """What goes from one frame of a GOP to the next: the loop frame's luma, the noise field and the
    detail that was added."""

    loop: Tensor
    noise: Tensor
    luma: Tensor
    chroma: Tensor


@dataclass
class Analysis:
    """A picture in the form that networks read: bands of luma and high-passed chroma `(B, 12, H/2,
    W/2)`, their log energies `(B, 11, H/8, W/8)`, the low-passed picture `(B, 3, H/8, W/8)`;
    besides, the bands themselves."""

    signal: Tensor
    energy: Tensor
    level: Tensor
    fine: Tensor
    coarse: Tensor
    colour: Tensor


def analyse(bank: FilterBank, luma: Tensor, chroma: Tensor) -> Analysis:
    """Luma `(B, 1, H, W)` and chroma `(B, 2, H/2, W/2)` in 0…1."""
    fine, coarse, base = bank(F.pixel_unshuffle(luma, 2))
    blurred = F.avg_pool2d(F.pad(chroma, (1, 1, 1, 1), mode="replicate"), 3, 1)
    colour = chroma - blurred
    signal = torch.cat([coarse, fine.unflatten(1, (3, 4)).sum(1), colour], 1) * SIGNAL_GAIN
    magnitude = torch.cat([fine.unflatten(1, (3, 4)).abs().mean(2), coarse.abs(), colour.abs()], 1)
    energy = torch.log2(F.avg_pool2d(magnitude, 4) * 255 + 0.1) * 0.25
    level = F.avg_pool2d(torch.cat([base, blurred], 1), 4) - 0.5
    return Analysis(signal, energy, level, fine, coarse, colour)


def slot(base: str) -> int:
    """Place of a base in the condition vector. Raises `ValueError` for one that is not painted."""
    number = base_of(base).slot
    if number is None:
        raise ValueError(f"base {base} is not painted")
    return 2 + number


def condition(base: str, scale: Fraction, q: int) -> Tensor:
    """Condition vector `(1, 9)` of a stream; a scale that is not listed counts as the nearest."""
    x = torch.zeros(1, CONDITION)
    x[0, 0], x[0, 1] = q / 63, (q / 63) ** 2
    x[0, slot(base)] = 1
    nearest = min(range(len(SCALES)), key=lambda i: abs(SCALES[i] - scale))
    x[0, 2 + SLOTS + nearest] = 1
    return x


def _outer(vertical: Tensor, horizontal: Tensor) -> Tensor:
    return vertical[:, None] * horizontal[None, :]


def _interleaved(kernel: Tensor) -> Tensor:
    """A `(5, 5)` filter at full resolution as a 3×3 convolution from and to four interleaved
    channels: `(4, 4, 3, 3)`."""
    weight = torch.zeros(4, 4, 3, 3)
    for out in range(4):
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                row, col = out // 2 + dy, out % 2 + dx
                weight[out, (row % 2) * 2 + col % 2, row // 2 + 1, col // 2 + 1] += kernel[
                    dy + 2, dx + 2
                ]
    return weight


def _decimation() -> Tensor:
    """[1 3 3 1]⊗[1 3 3 1] / 64 with decimation by two, as a convolution of the interleaved
    channels: `(1, 4, 3, 3)`."""
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    weight = torch.zeros(1, 4, 3, 3)
    for y in range(4):
        for x in range(4):
            row, col = y - 1, x - 1
            weight[0, (row % 2) * 2 + col % 2, row // 2 + 1, col // 2 + 1] += taps[y] * taps[x]
    return weight


def _interpolation() -> Tensor:
    """Linear interpolation from half resolution to the four interleaved channels: `(4, 1, 3,
    3)`."""
    taps = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
    return torch.stack([_outer(taps[p // 2], taps[p % 2]) for p in range(4)])[:, None]


class FilterBank(nn.Module):
    """Fixed filters: luma to nine bands and back. `fine`: bands 0–2 at full resolution, 4
    interleaved channels each."""

    def __init__(self) -> None:
        super().__init__()
        low = torch.tensor([1.0, 4, 6, 4, 1]) / 16
        high = -low
        high[2] += 1
        three = [_outer(low, high), _outer(high, low), _outer(high, high)]
        self.register_buffer(
            "fine", torch.cat([_interleaved(k) for k in three] + [_decimation()]), persistent=False
        )
        coarse = torch.stack([*three, _outer(low, low)])[:, None]
        self.register_buffer("coarse", coarse, persistent=False)
        self.register_buffer("up", _interpolation(), persistent=False)
        soft = torch.tensor([0.0, 1, 2, 1, 0]) / 4
        self.register_buffer("soft", _interleaved(_outer(soft, soft)), persistent=False)
        # Standard deviation of each band of white noise, to give all noise bands variance 1.
        with torch.no_grad():
            noise = torch.randn(1, 4, 256, 256, generator=torch.Generator().manual_seed(0))
            fine, coarse_bands, _ = self.forward(noise)
        self.register_buffer(
            "fine_unit", 1 / fine.unflatten(1, (3, 4)).sum(1).std(), persistent=False
        )
        deviation = [fine[:, 4 * b : 4 * b + 4].std() for b in range(3)] + [
            coarse_bands[:, b].std() for b in range(6)
        ]
        self.register_buffer("unit", 1 / torch.stack(deviation), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Interleaved luma `(B, 4, h, w)` → fine bands `(B, 12, h, w)`, coarse bands `(B, 6, h,
        w)`, what is left `(B, 1, h, w)`."""
        bands = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.fine)
        half = bands[:, 12:]
        second = F.conv2d(F.pad(half, (2, 2, 2, 2), mode="replicate"), self.coarse)
        third = F.conv2d(
            F.pad(second[:, 3:], (4, 4, 4, 4), mode="replicate"), self.coarse, dilation=2
        )
        return bands[:, :12], torch.cat([second[:, :3], third[:, :3]], 1), third[:, 3:]


class Block(nn.Module):
    """Depthwise 5×5, then a two-layer perceptron per position, added to the input; the condition
    enters as a bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.condition = nn.Linear(CONDITION, channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        nn.init.normal_(self.project.weight, std=0.3 / channels**0.5)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.depthwise(x) + self.condition(condition)[:, :, None, None]
        return x + self.project(F.silu(self.expand(y)))


class Renderer(nn.Module):
    """See the module's text. About 0.13 M parameters and 5 kMAC a luma pixel at the standard
    size."""

    def __init__(self, config: RendererConfig = RendererConfig()) -> None:
        super().__init__()
        self.config = config
        c, s, r = config.channels, config.style, config.residual
        self.bank = FilterBank()
        self.stem = nn.Conv2d(12, 24, 3, 2, 1)
        self.stem2 = nn.Conv2d(24, c - 16, 3, 2, 1)
        self.statistics = nn.Conv2d(BANDS + 7, 16, 1)
        self.blocks = nn.ModuleList([Block(c) for _ in range(config.depth)])
        self.style = nn.Conv2d(c, s, 1)
        self.head = nn.Conv2d(s, 2 * BANDS + 3, 1)
        self.gate = nn.Conv2d(s, r, 1)
        self.enter = nn.Conv2d(18, r, 3, padding=1)
        self.middle = nn.Conv2d(r, r, 3, padding=1)
        self.leave = nn.Conv2d(r, 6, 3, padding=1)
        for zero in (self.head, self.gate, self.leave):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def forward(
        self,
        luma: Tensor,
        chroma: Tensor,
        noise: Tensor,
        mismatch: Tensor,
        known: Tensor,
        condition: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Detail to add: luma `(B, 1, H, W)`, chroma `(B, 2, H/2, W/2)`, and the share
        `(B, 1, H/2, W/2)` to keep from the frame before.

        `mismatch` `(B, 1, H/8, W/8)`: mean difference to the motion-compensated loop frame before;
        `known`: 1 where there is one. `condition` `(B, 9)` from `condition()`."""
        picture = analyse(self.bank, luma, chroma)
        fine, coarse, signal = picture.fine, picture.coarse, picture.signal
        noise_fine, noise_coarse, _ = self.bank(F.pixel_unshuffle(noise, 2))
        unit = self.bank.unit.view(1, BANDS, 1, 1)
        noise_sum = torch.cat(
            [
                noise_fine.unflatten(1, (3, 4)).sum(1) * self.bank.fine_unit,
                noise_coarse[:, [0, 3]] * unit[:, [3, 6]],
            ],
            1,
        )
        past = torch.cat([torch.log2(mismatch * 255 + 0.1) * 0.25 * known, known], 1)
        statistics = self.statistics(torch.cat([picture.energy, picture.level, past], 1))
        x = self.stem2(F.silu(self.stem(signal)))
        x = torch.cat([x, statistics], 1)
        for block in self.blocks:
            x = block(x, condition)
        style = F.silu(self.style(x))
        maps = F.interpolate(self.head(style), scale_factor=4, mode="bilinear", align_corners=False)
        gain, amplitude = maps[:, :BANDS], maps[:, BANDS : 2 * BANDS] * unit * NOISE_UNIT
        tint, keep = maps[:, 2 * BANDS : 2 * BANDS + 2], maps[:, 2 * BANDS + 2 :]

        # Channels last: the three convolutions at half resolution are most of the arithmetic.
        gate = self.gate(style).contiguous(memory_format=torch.channels_last)
        gate = 1 + F.interpolate(gate, scale_factor=4, mode="bilinear", align_corners=False)
        hidden = torch.cat([signal, noise_sum], 1).contiguous(memory_format=torch.channels_last)
        hidden = F.silu(self.enter(hidden)) * gate
        residual = self.leave(F.silu(self.middle(hidden))) * (1 / SIGNAL_GAIN)
        half = (gain[:, 3:] * coarse + amplitude[:, 3:] * noise_coarse).sum(1, keepdim=True)
        added = F.conv2d(F.pad(half, (1, 1, 1, 1), mode="replicate"), self.bank.up)
        added = added + F.conv2d(
            F.pad(residual[:, :4], (1, 1, 1, 1), mode="replicate"), self.bank.soft
        )
        for band in range(3):
            part = slice(4 * band, 4 * band + 4)
            added = (
                added
                + gain[:, band : band + 1] * fine[:, part]
                + amplitude[:, band : band + 1] * noise_fine[:, part]
            )
        colour = tint * picture.colour + residual[:, 4:]
        return F.pixel_shuffle(added, 2), colour, 0.8 * torch.sigmoid(keep - 1)

    def step(
        self,
        luma: Tensor,
        chroma: Tensor,
        vectors: Tensor | None,
        fresh: tuple[Tensor, Tensor],
        state: RenderState | None,
        condition: Tensor,
    ) -> tuple[Tensor, Tensor, RenderState]:
        """Paint the next frame of a GOP: rendered luma and chroma (not clipped) and the state for
        the frame after it.

        `vectors` `(B, 2, H/16, W/16)`: motion against the frame before (None together with `state`
        None). `fresh`: new noise and the pixels to redraw (`texture.fresh`). What `condition` has
        beyond its nine entries is not looked at."""
        b, _, h, w = luma.shape
        condition = condition[:, :CONDITION]
        noise, redraw = fresh
        if state is None or vectors is None:
            noise = noise.expand(b, 1, h, w)
            zero = luma.new_zeros(b, 1, h // 8, w // 8)
            added, tint, _ = self.forward(luma, chroma, noise, zero, zero, condition)
        else:
            fetched, inside = warp(torch.cat([state.loop, state.noise, state.luma], 1), vectors)
            fetched_chroma, _ = warp(state.chroma, vectors, 2)
            known = F.avg_pool2d(inside.float(), 8)
            mismatch = F.avg_pool2d((luma - fetched[:, :1]).abs(), 8)
            noise = torch.where(inside & ~redraw, fetched[:, 1:2], noise)
            added, tint, keep = self.forward(luma, chroma, noise, mismatch, known, condition)
            trust = known * torch.exp(mismatch * (-1 / _TRUST_SCALE))
            keep = keep * F.interpolate(trust, scale_factor=4, mode="bilinear", align_corners=False)
            added = torch.lerp(
                added, fetched[:, 2:3], keep.repeat_interleave(2, 2).repeat_interleave(2, 3)
            )
            tint = torch.lerp(tint, fetched_chroma, keep)
        return luma + added, chroma + tint, RenderState(luma, noise, added, tint)


def new_renderer(config: RendererConfig = RendererConfig(), seed: int = 0) -> Renderer:
    """A renderer with reproducible initial weights, leaving the caller's random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Renderer(config)
