"""Integer networks that choose probability tables, trained as float twins; what they are worth on
held-out clips, counted by real packets (`latent_entropy` is the program)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gvcodec.entropy import streams
from gvcodec.entropy.network import MAX_ACTIVATION, Layer
from gvcodec.errors import UsageError
from training.held_out import is_held_out

#: Activation of a value before that is absent or zero.
NONE = 64
#: Table 27 has a mean deviation of one. An output of 1 adds `_SCALE_RANGE` tables, moves the mean
#: by `_MEAN_RANGE`, raises the inflation of zero by `_INFLATION_RANGE`.
_USUAL, _SCALE_RANGE, _MEAN_RANGE, _INFLATION_RANGE = 27.0, 32.0, 16.0, 64.0
_LEAK = 0.01
_HIDDEN = (64, 32)
#: Bits of the requantisation's multipliers, at most.
_SHIFT = 24
_BATCH, _RATE = 4096, 3e-3
#: Values of a packet where bits are counted.
_PACKET = 1 << 16


class Material(NamedTuple):
    """Values of many frames: `seen` (S, inputs) uint8, `value` (S,) integers; windows coded."""

    seen: Tensor
    value: Tensor
    windows: int
    files: int


def held_out(name: str) -> bool:
    return is_held_out(name, 1 / 7)


def files_of(folder: Path, kept_out: bool) -> list[Path]:
    """Files of material of either part. Raises `UsageError` where there is none."""
    files = [f for f in sorted(folder.glob("*.npz")) if held_out(f.name) == kept_out]
    if not files:
        raise UsageError(f"{folder}: no material here")
    return files


class Twin(nn.Module):
    """Float twin: a Laplace table with inflated zero for each value; activations 0…1 for 0…127."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, _HIDDEN[0]), nn.Linear(*_HIDDEN)
        self.last = nn.Linear(_HIDDEN[1], 3)
        nn.init.normal_(self.last.weight, std=0.01)
        self.last.bias.data = torch.tensor([0.0, 0.0, 0.4])  # most values are zero

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale index (0…63), mean, and zero inflation (0…127), for `seen` (B, inputs) 0…127."""
        x = seen.float() / MAX_ACTIVATION
        x = _limit(self.second(_limit(self.first(x))))
        scale, mean, inflation = self.last(x).unbind(-1)
        scale = (_USUAL + _SCALE_RANGE * scale).clamp(0, 63)
        return scale, _MEAN_RANGE * mean, (_INFLATION_RANGE * inflation).clamp(0, 127)

    def bits(self, seen: Tensor, value: Tensor) -> Tensor:
        """Bits of each value (B,)."""
        scale, mean, inflation = self(seen)
        b = 2 ** ((scale - _USUAL) / 6)
        far = (value - mean).abs()
        inside = far.clamp(max=0.5)  # beyond, the exponentials overflow
        near = 1 - 0.5 * (torch.exp(-(0.5 - inside) / b) + torch.exp(-(0.5 + inside) / b))
        outer = -(far - 0.5) / b + torch.log1p(-torch.exp(-1 / b)) - 0.6931
        # Each symbol keeps 2^-16.
        table = torch.where(far < 0.5, torch.log(near.clamp(1e-5)), outer.clamp(-11))
        kept = -0.6931 / 8 * inflation
        zero = torch.logaddexp(kept + table, torch.log1p(-torch.exp(kept.clamp(max=-1e-4))))
        result: Tensor = torch.where(value == 0, zero, (kept + table).clamp(min=-11)) * -1.4427
        return result


def _limit(x: Tensor) -> Tensor:
    """0…1, with a small slope outside, so that a unit out of range finds its way back."""
    inside = x.clamp(0, 1)
    return inside + _LEAK * (x - inside)


def quantise(
    layer: nn.Linear, gain: np.ndarray | float = 1.0, offset: np.ndarray | float = 0.0
) -> Layer:
    """`gain` · (weights · x + bias) + `offset` in steps of 1 / 127, by integers, cut to 0…127."""
    weight, bias = (t.detach().double().numpy() for t in (layer.weight, layer.bias))
    gain = np.broadcast_to(np.asarray(gain, float), bias.shape)
    weight, bias = weight * gain[:, None], (bias * gain + offset) * MAX_ACTIVATION
    step = np.maximum(np.abs(weight).max(1), 1e-6) / MAX_ACTIVATION
    limit = (1 << 30) - 1
    integers = np.clip(np.round(bias / step), -limit, limit).astype(np.int32)
    multiplier = np.round(step * (1 << _SHIFT)).astype(np.int32)
    return Layer(np.round(weight / step[:, None]).astype(np.int8), integers, multiplier, _SHIFT)


def network_of(twin: Twin) -> list[Layer]:
    gain = np.array([_SCALE_RANGE, 8 * _MEAN_RANGE, _INFLATION_RANGE]) / MAX_ACTIVATION
    last = quantise(twin.last, gain, np.array([_USUAL, 0.0, 0.0]) / MAX_ACTIVATION)
    first, second = quantise(twin.first), quantise(twin.second)
    return [first, second, last._replace(low=-(1 << 14), high=1 << 14)]


def train(material: Material, seconds: float, seed: int = 1) -> Twin:
    """Fit a twin for `seconds` of processor time; the learning rate decays to zero."""
    torch.manual_seed(seed)
    twin = Twin(material.seen.shape[1])
    optimizer = torch.optim.Adam(twin.parameters(), lr=_RATE)
    rng, begun = torch.Generator().manual_seed(seed), time.process_time()
    while (part := (time.process_time() - begun) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - part)
        at = torch.randint(len(material.value), (_BATCH,), generator=rng)
        loss = twin.bits(material.seen[at], material.value[at].float()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
    return twin


def bits_a_window(
    network: Sequence[Layer], material: Material, change: Callable[[Tensor], Tensor] | None = None
) -> float:
    """Bits of a window with the integer network, by real packets; all inputs are side ones."""
    total = 0
    for first in range(0, len(material.value), _PACKET):
        seen, value = (x[first : first + _PACKET] for x in (material.seen, material.value))
        side = (seen if change is None else change(seen)).numpy()[None]
        back = np.zeros((1, len(seen), 0), np.int32)
        values = value.int().numpy()[None]
        total += 8 * len(streams.encode_predicted(network, side, values, None, "cpu", back)[0])
    return total / material.windows


#: Inputs, and what they are where they say nothing.
Part = tuple[slice | list[int], Tensor]


def without(*parts: Part) -> Callable[[Tensor], Tensor]:
    """A change of inputs: these parts are neutral, so they carry no information."""

    def change(seen: Tensor) -> Tensor:
        changed = seen.clone()
        for inputs, absent in parts:
            changed[:, inputs] = absent
        return changed

    return change


def shuffle_inputs(part: Part) -> Callable[[Tensor], Tensor]:
    """A change of inputs: this part is permuted across values."""

    def change(seen: Tensor) -> Tensor:
        order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(1))
        changed = seen.clone()
        changed[:, part[0]] = seen[order][:, part[0]]
        return changed

    return change


def static_bits(material: Material, kept_out: Material, kinds: int) -> float:
    """Bits a window by frequencies of each kind of value, which the first `kinds` inputs name."""
    total, low = 0.0, min(int(m.value.min()) for m in (material, kept_out))
    span = max(int(m.value.max()) for m in (material, kept_out)) - low + 2
    for kind in range(kinds):
        known, asked = (m.value[m.seen[:, kind] > 0].long() - low for m in (material, kept_out))
        counts = torch.bincount(known, minlength=span).double() + 0.01
        total -= float((counts / counts.sum()).log2()[asked].sum())
    return total / kept_out.windows


def make_card(
    network: Sequence[Layer],
    material: Material,
    kept_out: Material,
    kinds: int,
    cuts: Mapping[str, Part],
    minutes: float,
) -> dict[str, object]:
    """Bits a window of `kept_out`: of a network, static tables, networks trained for `minutes`
    without each of `cuts` and without any, and with these inputs zeroed or shuffled."""
    rows = {"shipped": bits_a_window(network, kept_out)}
    rows["static tables"] = static_bits(material, kept_out, kinds)
    missing = {name: [part] for name, part in cuts.items()} | {"both": [*cuts.values()]}
    for name, parts in missing.items():
        blind = without(*parts)
        trained = network_of(train(material._replace(seen=blind(material.seen)), 60 * minutes))
        rows[f"trained without {name}"] = bits_a_window(trained, kept_out, blind)
    for name, part in cuts.items():
        rows[f"{name} zeroed"] = bits_a_window(network, kept_out, without(part))
        rows[f"{name} shuffled"] = bits_a_window(network, kept_out, shuffle_inputs(part))
    bits = {name: round(value, 2) for name, value in rows.items()}
    return {"clips": kept_out.files, "windows": kept_out.windows, "bits a window": bits}
