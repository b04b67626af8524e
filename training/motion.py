"""The entropy network of base motion, from zero in minutes.

    python -m training motion material CLIPS FOLDER
    python -m training motion train FOLDER motion.safetensors [--minutes 10]
    python -m training motion card FOLDER motion.safetensors [--minutes 10]

`material` codes clips and keeps what the network sees of each value: `NAME.npz` with `seen`
(S, inputs) uint8, `value` (S,) int8, and `windows`, the number of windows coded. The values do not
depend on the network, so any will do. `train` fits the float twin of the network and writes its
integers. `card` prints what the network is worth, in bits a window on clips kept out by source:
beside static tables and networks trained without the values before (AR), without the frames before
(memory) and without both; and with these inputs zeroed or shuffled.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec._core import TREE_BACK, TREE_MEMORY, TREE_SIDE
from gvcodec.base.motion.checkpoint import read_network, write_network
from gvcodec.base.motion.encoder import MotionEncoder
from gvcodec.base.motion.payload import Entropy, Levels, MotionStatistics, Times, Values
from gvcodec.entropy import streams
from gvcodec.entropy.network import MAX_ACTIVATION, Layer
from gvcodec.errors import GvcodecError, UsageError

INPUTS = TREE_SIDE + TREE_BACK
#: Activations of the value before, and what an absent one is.
_NONE = 64
#: Table 27 has a mean deviation of one. An output of one adds so many tables, moves the mean by so
#: much, inflates zero so much.
_USUAL, _SCALE_RANGE, _MEAN_RANGE, _INFLATION_RANGE = 27.0, 32.0, 16.0, 64.0
_LEAK = 0.01
_HIDDEN = (64, 32)
#: Multipliers of the requantisation have up to so many bits.
_SHIFT = 24
#: Qualities that material is coded at, and frames and luma rows of a clip at most.
_QUALITIES = (40, 46, 50, 53, 56, 58, 60, 62)
_FRAMES, _ROWS = 33, 480
_BATCH, _RATE = 4096, 3e-3
#: Values of a packet where bits are counted, and kinds of values: the first activations.
_PACKET, _KINDS = 1 << 16, 7


class Material(NamedTuple):
    """Values of many frames: `seen` (S, INPUTS) uint8, `value` (S,) int8; windows coded."""

    seen: Tensor
    value: Tensor
    windows: int
    files: int


class Collector:
    """Takes what an encoder codes (`gvcodec.base.motion.encoder.Trace`)."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.uint8], NDArray[np.int16]]] = []
        self.windows = 0

    def __call__(
        self,
        entropy: Entropy,
        values: Values,
        levels: Levels,
        memory: MotionStatistics,
        times: Times,
    ) -> None:
        self.windows += int((levels > 0).sum())
        for side, back, index in entropy.rows(levels, memory, times):
            row = values.reshape(-1)[index]
            at = np.arange(len(row))[:, None] - back[0]
            before = np.where(back[0] > 0, row[at], 0).clip(-64, 63) + _NONE
            self._parts.append((np.concatenate([side[0], before.astype(np.uint8)], 1), row))

    def write(self, path: Path) -> None:
        """All of it, as one file."""
        seen = np.concatenate([part[0] for part in self._parts])
        value = np.concatenate([part[1] for part in self._parts]).astype(np.int8)
        np.savez_compressed(path, seen=seen, value=value, windows=np.int64(self.windows))


def collect(clip: Path, folder: Path) -> None:
    """Code a clip at two qualities. Raises `MediaError`."""
    from gvcodec.media.reader import VideoReader

    with VideoReader(clip, frames=_FRAMES) as reader:
        fmt, frames = reader.format, [frame.planes for frame in reader]
    scales = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
    scale = next((s for s in scales if fmt.height * s <= _ROWS), scales[-1])
    rng = np.random.default_rng(zlib.crc32(clip.name.encode()))
    for number, q in enumerate(rng.choice(_QUALITIES, 2, replace=False)):
        collector = Collector()
        ahead = 16 * int(rng.random() < 0.75)
        encoder = MotionEncoder(fmt, int(q), 240, 1, scale=scale, ahead=ahead, trace=collector)
        for planes in frames:
            encoder.send(planes)
        encoder.flush()
        if collector.windows:
            collector.write(folder / f"{clip.stem}.{number}.npz")


def held_out(name: str) -> bool:
    """Whether a clip is for the card: by its source, the first word of its name."""
    source = re.split("[-_.]", name)[0]
    return hashlib.sha256(source.encode()).digest()[0] % 7 == 0


def load(folder: Path, kept_out: bool) -> Material:
    """All material of either part. Raises `UsageError` where there is none."""
    files = [f for f in sorted(folder.glob("*.npz")) if held_out(f.name) == kept_out]
    if not files:
        raise UsageError(f"{folder}: no material here")
    parts = [np.load(file) for file in files]
    seen, value = (
        torch.from_numpy(np.concatenate([part[name] for part in parts]))
        for name in ("seen", "value")
    )
    return Material(seen, value, sum(int(part["windows"]) for part in parts), len(files))


class Twin(nn.Module):
    """The float twin of the network: predicts a Laplace table with inflated zero for each value.
    Activations are 0…1 here for 0…127 there."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(INPUTS, _HIDDEN[0]), nn.Linear(*_HIDDEN)
        self.last = nn.Linear(_HIDDEN[1], 3)
        nn.init.normal_(self.last.weight, std=0.01)
        self.last.bias.data = torch.tensor([0.0, 0.0, 0.4])  # most values are zero

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale index (0…63), mean, and zero inflation (0…127), for `seen` (B, INPUTS) 0…127."""
        x = seen.float() / MAX_ACTIVATION
        x = _limit(self.second(_limit(self.first(x))))
        scale, mean, inflation = self.last(x).unbind(-1)
        return (
            (_USUAL + _SCALE_RANGE * scale).clamp(0, 63),
            _MEAN_RANGE * mean,
            (_INFLATION_RANGE * inflation).clamp(0, 127),
        )

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
    """`gain` · (weights · x + bias) + `offset` in steps of 1 / 127, by integers; activations below
    0 and above 127 are cut."""
    weight, bias = (t.detach().double().numpy() for t in (layer.weight, layer.bias))
    gain = np.broadcast_to(np.asarray(gain, float), bias.shape)
    weight, bias = weight * gain[:, None], (bias * gain + offset) * MAX_ACTIVATION
    step = np.maximum(np.abs(weight).max(1), 1e-6) / MAX_ACTIVATION
    limit = (1 << 30) - 1
    return Layer(
        np.round(weight / step[:, None]).astype(np.int8),
        np.clip(np.round(bias / step), -limit, limit).astype(np.int32),
        np.round(step * (1 << _SHIFT)).astype(np.int32),
        _SHIFT,
    )


def network_of(twin: Twin) -> list[Layer]:
    """The integer network of a twin."""
    gain = np.array([_SCALE_RANGE, 8 * _MEAN_RANGE, _INFLATION_RANGE]) / MAX_ACTIVATION
    last = quantise(twin.last, gain, np.array([_USUAL, 0.0, 0.0]) / MAX_ACTIVATION)
    first, second = quantise(twin.first), quantise(twin.second)
    return [first, second, last._replace(low=-(1 << 14), high=1 << 14)]


def train(material: Material, seconds: float, seed: int = 1) -> Twin:
    """Fit a twin for so many seconds of processor time; the rate falls to nothing."""
    torch.manual_seed(seed)
    twin = Twin()
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
    """What a window takes with the integer network, by its real packets."""
    total = 0
    for first in range(0, len(material.value), _PACKET):
        seen, value = (x[first : first + _PACKET] for x in (material.seen, material.value))
        given = seen if change is None else change(seen)
        packet = streams.encode_predicted(
            network, given.numpy()[None], value.int().numpy()[None], None, "cpu", _no_back(given)
        )
        total += 8 * len(packet[0])
    return total / material.windows


def _no_back(seen: Tensor) -> NDArray[np.int32]:
    """All inputs are side information here."""
    return np.zeros((1, len(seen), 0), np.int32)


#: What the network sees where there are no values before, and no frames before.
BACK = (slice(TREE_SIDE, INPUTS), torch.full((TREE_BACK,), _NONE, dtype=torch.uint8))
MEMORY = (
    list(TREE_MEMORY),
    torch.tensor([_NONE] * 2 + [0] * (len(TREE_MEMORY) - 2), dtype=torch.uint8),
)
Part = tuple[slice | list[int], Tensor]


def without(*parts: Part) -> Callable[[Tensor], Tensor]:
    """As if these inputs said nothing."""

    def change(seen: Tensor) -> Tensor:
        changed = seen.clone()
        for inputs, absent in parts:
            changed[:, inputs] = absent
        return changed

    return change


def shuffle_inputs(part: Part) -> Callable[[Tensor], Tensor]:
    """As if these inputs were those of another value."""

    def change(seen: Tensor) -> Tensor:
        order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(1))
        changed = seen.clone()
        changed[:, part[0]] = seen[order][:, part[0]]
        return changed

    return change


def _static_bits(material: Material, kept_out: Material) -> float:
    """Bits a window with the frequencies of each kind of value in the material."""
    total = 0.0
    for kind in range(_KINDS):
        known, asked = (m.value[m.seen[:, kind] > 0].long() + 128 for m in (material, kept_out))
        counts = torch.bincount(known, minlength=257).double() + 0.01
        total -= float((counts / counts.sum()).log2()[asked].sum())
    return total / kept_out.windows


def make_card(folder: Path, model: Path, minutes: float) -> dict[str, object]:
    """What the network is worth, in bits a window of clips that were kept out."""
    material, kept_out = load(folder, False), load(folder, True)
    network = read_network(model)
    rows = {"shipped": bits_a_window(network, kept_out)}
    rows["static tables"] = _static_bits(material, kept_out)
    for name, parts in (("AR", [BACK]), ("memory", [MEMORY]), ("both", [BACK, MEMORY])):
        blind = without(*parts)
        changed = material._replace(seen=blind(material.seen))
        trained = network_of(train(changed, 60 * minutes))
        rows[f"trained without {name}"] = bits_a_window(trained, kept_out, blind)
    for name, part in (("AR", BACK), ("memory", MEMORY)):
        rows[f"{name} zeroed"] = bits_a_window(network, kept_out, without(part))
        rows[f"{name} shuffled"] = bits_a_window(network, kept_out, shuffle_inputs(part))
    return {
        "clips": kept_out.files,
        "windows": kept_out.windows,
        "bits a window": {name: round(bits, 2) for name, bits in rows.items()},
    }


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="motion", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("material", "train", "card"))
    parser.add_argument("source", type=Path, help="clips, or the folder of material")
    parser.add_argument("target", type=Path, help="the folder of material, or the model")
    parser.add_argument("--minutes", type=float, default=10, help="of one core (10)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    if options.what == "material":
        options.target.mkdir(parents=True, exist_ok=True)
        for clip in sorted(options.source.glob("*.mp4")):
            if any(options.target.glob(f"{clip.stem}.?.npz")):
                continue
            try:
                collect(clip, options.target)
            except GvcodecError as error:
                print(f"left out: {error}", flush=True)
    elif options.what == "train":
        twin = train(load(options.source, False), 60 * options.minutes)
        write_network(options.target, network_of(twin))
    else:
        card = make_card(options.source, options.target, options.minutes)
        text = json.dumps(card, indent=2)
        print(text)
        options.target.with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
