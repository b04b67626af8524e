"""The autoregressive entropy model of base gvc1d in torch, for training and rounding: the same
contexts as the coder's.

`see` gives what the integer network sees of each value (`gvcodec.gvc1d.token_order`), exactly, so
that training pays what files pay; `Twin` is the network's float twin, exported by `network_of`.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.token_order import BACK, SIDES, fixed_sides, length_of, seen_of

#: Magnitudes count up to that.
LOUDEST = 1023
INPUTS = SIDES + BACK


def log_activation(magnitude: Tensor) -> Tensor:
    """`token_order.log_activation`: of a whole magnitude ≥ 0 in 1/32, uint8."""
    n = magnitude.clamp(max=(1 << 15) - 2) + 1
    octave = torch.frexp(n.float())[1].to(n.dtype) - 1
    found = 8 * octave + ((n << 3 >> octave) & 7)
    return torch.where(magnitude > 0, found.clamp(max=127), 0).to(torch.uint8)


class _Tables:
    """`seen_of` on a device: `values` (N, 13), with N for none; `first`, `last` + 1, `length`."""

    def __init__(self, level: int, device: torch.device) -> None:
        seen = seen_of(level)
        count = len(seen.values)
        values = torch.from_numpy(seen.values).to(device).long()
        self.values = torch.where(values >= 0, values, count)
        spans = torch.from_numpy(seen.spans).to(device).long()
        known = (spans[..., 0] >= 0) & (spans[..., 1] >= spans[..., 0])
        self.first = torch.where(known, spans[..., 0], 0)
        self.after = torch.where(known, spans[..., 1] + 1, 0)
        self.length = (self.after - self.first).clamp(min=1)
        self.fixed = torch.from_numpy(fixed_sides(level)).to(device)


@cache
def _tables(level: int, device: torch.device) -> _Tables:
    return _Tables(level, device)


def see(values: Tensor, sides: Tensor, level: int, at: Tensor | None = None) -> Tensor:
    """Activations uint8 `[M, n, INPUTS]` of whole `values` `[M, N]` of M windows; `sides`
    `[M, N, SIDES]`. `at` `[n]`: of these places alone."""
    tables = _tables(level, values.device)
    whole = values.long()
    padded = torch.cat([whole, torch.zeros_like(whole[:, :1])], 1)
    chosen = slice(None) if at is None else at
    one = padded[:, tables.values[chosen]].clamp(-64, 63) + 64  # [M, n, 13]
    sums = torch.zeros_like(padded)
    sums[:, 1:] = whole.abs().clamp(max=LOUDEST).cumsum(1)
    inside = sums[:, tables.after[chosen]] - sums[:, tables.first[chosen]]
    spans = log_activation(inside * 32 // tables.length[chosen])
    given = sides if at is None else sides[:, at]
    return torch.cat([given, one.to(torch.uint8), spans], 2)


def see_at(values: Tensor, sides: Tensor, level: int, windows: Tensor, places: Tensor) -> Tensor:
    """`see` of single values: uint8 `[n, INPUTS]` of `places` `[n]` in `windows` `[n]`."""
    tables = _tables(level, values.device)
    padded = torch.nn.functional.pad(values.int(), (0, 1))
    sums = torch.zeros_like(padded)
    sums[:, 1:] = padded[:, :-1].abs().clamp(max=LOUDEST).cumsum(1)
    row = windows[:, None]
    one = padded[row, tables.values[places]].clamp(-64, 63) + 64  # [n, 13]
    inside = sums[row, tables.after[places]] - sums[row, tables.first[places]]
    spans = log_activation(inside.long() * 32 // tables.length[places])
    return torch.cat([sides[windows, places], one.to(torch.uint8), spans], 1)


def make_sides(
    level: int,
    windows: int,
    q: Tensor,
    predicted: Tensor,
    before: Tensor | None,
    running: Tensor | None,
    guess: Tensor | None,
    motion: Tensor | None,
    change: Tensor | None,
) -> Tensor:
    """Activations before the frame, uint8 `[M, N, SIDES]`. Per window: `q`, `predicted` `[M]`.

    Per place, None = nothing known: `before` `[M, N]` values, `running` `[M, N]` magnitudes in
    1/32, `guess` `[M, N]` the prediction's magnitude in 1/32 steps; per region `[M, 256]`:
    `motion`, differences of vectors in 1/32, `change`, mean difference in 1/32 levels."""
    tables = _tables(level, q.device)
    count = length_of(level)
    found = torch.zeros(windows, count, SIDES, dtype=torch.uint8, device=q.device)
    fixed = tables.fixed.shape[1]
    found[..., :fixed] = tables.fixed
    found[..., fixed] = (2 * q).round().clamp(0, 127).to(torch.uint8)[:, None]
    found[..., fixed + 1] = (127 * predicted).to(torch.uint8)[:, None]
    at = fixed + 2
    found[..., at] = 64
    if before is not None:
        found[..., at] = (before.clamp(-64, 63) + 64).to(torch.uint8)
    if running is not None:
        found[..., at + 1] = log_activation(running.long())
    if guess is not None:
        found[..., at + 2] = log_activation(guess.long())
    for k, field in ((3, motion), (4, change)):
        if field is None:
            continue
        seen = log_activation(field.long())  # [M, 256]
        planes = (count - 768) // 256
        if planes > 0:
            found[:, 768:, at + k] = seen.repeat(1, planes)
        blocks = field.view(windows, 4, 4, 4, 4).float().mean((2, 4)).flatten(1)
        if count > 48:
            seen = log_activation(blocks.floor().long())
            found[:, 48:768, at + k] = seen.repeat(1, 45)
    return found


#: Table 27 has a mean deviation of one. An output of 1 adds `SCALE_RANGE` tables, moves the mean by
#: `MEAN_RANGE`, raises the inflation of zero by `INFLATION_RANGE`.
USUAL, SCALE_RANGE, MEAN_RANGE, INFLATION_RANGE = 27.0, 32.0, 16.0, 64.0
HIDDEN = (96, 48)
_LEAK = 0.01


class Twin(nn.Module):
    """The float twin of the integer network: a Laplace table with inflated zero for each value.
    Activations are 0…1 here for 0…127 there."""

    def __init__(self, inputs: int = INPUTS) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, HIDDEN[0]), nn.Linear(*HIDDEN)
        self.last = nn.Linear(HIDDEN[1], 3)
        nn.init.normal_(self.last.weight, std=0.01)
        self.last.bias.data = torch.tensor([0.0, 0.0, 0.4])  # most values are zero

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale index 0…63, mean, zero inflation 0…127, each `[…]`, of `seen` `[…, inputs]`."""
        with torch.autocast(seen.device.type, enabled=False):
            x = seen.float() / 127
            x = limit(self.second(limit(self.first(x))))
            scale, mean, inflation = self.last(x).unbind(-1)
        return (
            (USUAL + SCALE_RANGE * scale).clamp(0, 63),
            MEAN_RANGE * mean,
            (INFLATION_RANGE * inflation).clamp(0, 127),
        )

    def bits(self, seen: Tensor, value: Tensor, unrounded: Tensor) -> Tensor:
        """Bits of each value `[…]`. To `unrounded`, what it was rounded from, the gradient is that
        of bits between its two neighbours: a value of 0 has no slope of its own, so straight
        through zeros would cost nothing to leave (bits of later frames rose by 90 %)."""
        scale, mean, inflation = self(seen)
        paid = table_bits(scale, mean, inflation, value.detach())
        with torch.no_grad():
            low = torch.floor(unrounded)
            above = table_bits(scale, mean, inflation, low + 1)
            slope = above - table_bits(scale, mean, inflation, low)
        return paid + slope * (unrounded - unrounded.detach())


def table_bits(scale: Tensor, mean: Tensor, inflation: Tensor, value: Tensor) -> Tensor:
    """What a table takes for `value`."""
    b = 2 ** ((scale - USUAL) / 6)
    far = (value - mean).abs()
    inside = far.clamp(max=0.5)  # beyond, the exponentials overflow
    near = 1 - 0.5 * (torch.exp(-(0.5 - inside) / b) + torch.exp(-(0.5 + inside) / b))
    outer = -(far - 0.5) / b + torch.log1p(-torch.exp(-1 / b)) - 0.6931
    # Each symbol keeps 2^-16.
    table = torch.where(far < 0.5, torch.log(near.clamp(1e-5)), outer.clamp(-11))
    kept = -0.6931 / 8 * inflation
    zero = torch.logaddexp(kept + table, torch.log1p(-torch.exp(kept.clamp(max=-1e-4))))
    found: Tensor = torch.where(value.detach() == 0, zero, (kept + table).clamp(min=-11)) * -1.4427
    return found


def limit(x: Tensor) -> Tensor:
    """0…1, with a small slope outside, so that a unit out of range finds its way back."""
    inside = x.clamp(0, 1)
    return inside + _LEAK * (x - inside)
