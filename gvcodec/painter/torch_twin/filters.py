"""Arithmetic, filters and sub-bands of the painter in torch (`network`): integers held in
floats."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.painter import model as I


def round_through(x: Tensor) -> Tensor:
    return x + (torch.floor(x + 0.5) - x).detach()


def whole(sums: Tensor) -> Tensor:
    """Sums of whole numbers, in double precision without rounding errors of fast convolutions."""
    return round_through(sums) if sums.dtype == torch.float64 else sums


def shift_right(x: Tensor, bits: int | Tensor) -> Tensor:
    return round_through(x * 2.0**-bits)


def times(a: Tensor, b: Tensor) -> Tensor:
    return shift_right(a * b, 15)


def _filter(x: Tensor, taps: tuple[int, ...], axis: int, step: int = 1) -> Tensor:
    """Filter (B, C, h, w), edges repeated; axis 0 is down."""
    kernel = x.new_tensor(taps).view((1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1))
    reach = len(taps) // 2 * step
    padded = F.pad(x, (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0), mode="replicate")
    c = x.shape[1]
    return whole(F.conv2d(padded, kernel.expand(c, 1, -1, -1), dilation=step, groups=c))


def three(x: Tensor, taps: tuple[int, ...] = (1, 2, 1)) -> Tensor:
    return _filter(_filter(x, taps, 0), taps, 1)


class Bands:
    """`bands` of the definition: of (B, 1, h, w)."""

    def __init__(self, x: Tensor, step: int = 1, fine: bool = False) -> None:
        bits = 2 if fine else 4
        down, along = (shift_right(_filter(x, I.SMOOTH, axis, step), bits) for axis in (0, 1))
        both = shift_right(_filter(down, I.SMOOTH, 1, step), 4)
        quarter = 4 * x if fine else x
        diagonal = -_filter(_filter(x, (-1, 0, 1), 0, step), (-1, 0, 1), 1, step)
        three = torch.cat([down - both, along - both, quarter - down - along + both], 1)
        self.three = three.clamp(-I.BAND, I.BAND)
        bands = torch.cat(
            [quarter - both, down - along, diagonal if fine else shift_right(diagonal, 2)], 1
        )
        self.bands, self.low = bands.clamp(-I.BAND, I.BAND), both  # N, P, Q

    @property
    def iso(self) -> Tensor:
        return self.bands[:, :1]


def decimate(x: Tensor) -> Tensor:
    taps = x.new_tensor((1, 3, 3, 1))
    padded = F.pad(x, (0, 0, 1, 2), mode="replicate")
    down = shift_right(whole(F.conv2d(padded, taps.view(1, 1, 4, 1), stride=(2, 1))), 1)
    padded = F.pad(down[:, :, : x.shape[2] // 2], (1, 2, 0, 0), mode="replicate")
    along = whole(F.conv2d(padded, taps.view(1, 1, 1, 4), stride=(1, 2)))
    return shift_right(along, 3)[..., : x.shape[3] // 2]


def compand(band: Tensor) -> Tensor:
    codes = round_through(band / 4)
    inner = codes.clamp(-32, 32)
    return inner + round_through((codes.clamp(-156, 156) - inner) / 4 - 0.5 + 0.125)


def log8(x: Tensor) -> Tensor:
    whole = x.detach().round()
    k = torch.frexp(whole)[1].long() - 1
    return (8 * k + ((whole.long() >> (k - 3)) & 7)).to(x)


def pool(x: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(x, side) * side**2


def upsample_maps(maps: Tensor) -> Tensor:
    for axis in (2, 3):
        n = maps.shape[axis]
        place = torch.arange(4 * n, device=maps.device)
        before = place // 4 - (place % 4 < 2).long()
        share = maps.new_tensor((5, 7, 1, 3))[place % 4].view((-1, 1) if axis == 2 else (1, -1))
        a = maps.index_select(axis, before.clamp(0, n - 1))
        b = maps.index_select(axis, (before + 1).clamp(0, n - 1))
        maps = a + shift_right((b - a) * share, 3)
    return maps


def upsample(x: Tensor) -> Tensor:
    e = F.pad(x, (1, 1, 1, 1), mode="replicate")
    h, w = x.shape[2:]
    parts = []
    for py in (0, 1):
        for px in (0, 1):
            y, z = slice(2 * py, 2 * py + h), slice(2 * px, 2 * px + w)
            side = 3 * e[:, :, 1:-1, z] + e[:, :, y, z]
            parts.append(shift_right(9 * x + 3 * e[:, :, y, 1:-1] + side, 4))
    return F.pixel_shuffle(torch.cat(parts, 1), 2)


@torch.no_grad()
def directions(half: Tensor) -> Tensor:
    """(B, 2, h, w): `directions` of the definition of each picture (B, 1, H, W)."""
    gy, gx = (
        torch.floor(_filter(half.double(), (-1, 0, 1), axis) / 2).clamp(-511, 511)
        for axis in (0, 1)
    )
    products = torch.cat([gx * gx, gy * gy, gx * gy], 1)
    xx, yy, xy = three(pool(products, 4)).round().long().split(1, 1)
    total = xx + yy + I.TENSOR_FLOOR
    k = (torch.frexp(total.double())[1].long() - 20).clamp(min=0)
    whole = total >> k
    parts = [
        torch.div(((n + total) >> k) * 64 + (whole >> 1), whole, rounding_mode="floor") - 64
        for n in (xx - yy, 2 * xy)
    ]
    return torch.cat(parts, 1).to(half)


class Requantiser(nn.Module):
    """Requantization of a layer's sums: `multiplier`, `shift`, `step`, each (outputs,)."""

    multiplier: Tensor
    shift: Tensor
    step: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        for name, value in (("multiplier", 512), ("shift", 10), ("step", 10)):
            self.register_buffer(name, torch.full((outputs,), float(value)))

    def rescale(self, sums: Tensor) -> Tensor:
        factor = (self.multiplier * 2.0**-self.shift).view(1, -1, 1, 1)
        return round_through(sums.clamp(-(1 << 20), 1 << 20) * factor)

    def silu(self, sums: Tensor) -> Tensor:
        v = self.rescale(sums).clamp(-1023, 1023)
        return v * (v + 128).clamp(0, 256)

    def levels(self, value: Tensor) -> Tensor:
        return round_through(value * (2.0**-self.step).view(1, -1, 1, 1)).clamp(
            -I.ZERO, 127 - I.ZERO
        )


class Layer(Requantiser):
    """A convolution. `grid`: of weights, `unit`: of biases, each (outputs,)."""

    grid: Tensor
    unit: Tensor

    def __init__(self, inputs: int, outputs: int, side: int, groups: int = 1) -> None:
        super().__init__(outputs)
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(outputs, inputs // groups, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("grid", torch.ones(outputs))
        self.register_buffer("unit", torch.ones(outputs))

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weights and biases as integers."""
        weight = round_through(self.weight / self.grid.view(-1, 1, 1, 1)).clamp(-127, 127)
        return weight, round_through(self.bias / self.unit)

    def load_integers(self, weight: Tensor, bias: Tensor) -> None:
        """Set the parameters to these integers."""
        self.weight.copy_(weight.to(self.grid) * self.grid.view(-1, 1, 1, 1))
        self.bias.copy_(bias.to(self.unit) * self.unit)

    def sums(self, a: Tensor, stride: int = 1, more: Tensor | None = None) -> Tensor:
        weight, bias = self.whole()
        pad = weight.shape[2] // 2
        products = whole(
            F.conv2d(a, weight, None if more is not None else bias, stride, pad, groups=self.groups)
        )
        return products if more is None else products + (bias + more)[:, :, None, None]


class Block(nn.Module):
    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.depthwise = Layer(channels, channels, 5, channels)
        self.expand = Layer(channels, wide, 1)
        self.project = Layer(wide, channels, 1)
        self.condition = nn.Parameter(torch.zeros(channels, I.CONDITION))

    def table(self) -> Tensor:
        """The condition's weights as integers, in units of the depthwise sums."""
        return round_through(self.condition / self.depthwise.unit[:, None]).clamp(-65536, 65536)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`condition` (B, CONDITION) in 1/256."""
        more = shift_right(condition @ self.table().T, 8)
        response = self.depthwise.rescale(self.depthwise.sums(x, more=more))
        wide = self.expand.silu(self.expand.sums(response.clamp(-I.MIDDLE, 127 - I.MIDDLE)))
        added = self.project.rescale(self.project.sums(self.expand.levels(wide)))
        return (x + added).clamp(-2047, 2047)
