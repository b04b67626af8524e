"""A float renderer's weights as the start of an integer painter.

    python -m gvcodec.train.integer_start checkpoints/base.safetensors CACHE OUT.safetensors

Activations of the float renderer on the cache's clips give each channel its step. Gains and
amplitudes of horizontal, vertical and diagonal bands become one of each for a scale.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.appearance import integer as I
from gvcodec.appearance.checkpoint import load_checkpoint
from gvcodec.appearance.integer_twin import (
    _FILL,
    _NOISE_SCALE,
    Bands,
    Block,
    IntegerRenderer,
    Layer,
    Numbers,
    decimated,
)
from gvcodec.appearance.perceptual.objective import render_run
from gvcodec.appearance.renderer import BANDS, NOISE_UNIT, SIGNAL_GAIN, Renderer
from gvcodec.appearance.renderer import CONDITION as FLOAT_CONDITION
from gvcodec.appearance.texture import fresh
from gvcodec.train.data import Cache

_TRUNK = 32  # levels of the trunk for 1
_SIGNAL = SIGNAL_GAIN / I.PEAK
_QUIET = 0.25 * math.log2(0.1)  # energy of nothing at all
#: What three bands' gains say about one of all.
_GAINS = (0.4, 0.4, 0.2)


class _Ranges:
    """The 99.9th percentile of what went through modules, by channel."""

    def __init__(self) -> None:
        self.found: dict[str, Tensor] = {}

    def note(self, name: str, x: Tensor) -> None:
        flat = x.detach().abs().transpose(0, 1).flatten(1)
        top = flat.kthvalue(max(1, int(flat.shape[1] * 0.999)), 1).values
        self.found[name] = torch.maximum(self.found.get(name, top), top)

    def watch(self, renderer: Renderer) -> None:
        def out(name: str, active: bool = False) -> Any:
            return lambda module, given, x: self.note(name, F.silu(x) if active else x)

        renderer.stem.register_forward_hook(out("stem", True))
        renderer.middle.register_forward_hook(out("middle", True))
        renderer.enter.register_forward_hook(out("enter", True))
        renderer.style.register_forward_hook(out("style", True))
        renderer.style.register_forward_pre_hook(lambda module, given: self.note("view", given[0]))
        for i, block in enumerate(renderer.blocks):
            assert isinstance(block, Block) or isinstance(block.expand, nn.Conv2d)
            block.expand.register_forward_hook(out(f"blocks.{i}.expand", True))
            block.expand.register_forward_pre_hook(
                lambda module, given, i=i: self.note(f"blocks.{i}.depthwise", given[0])
            )


def _steps(numbers: Numbers, top: Tensor) -> Tensor:
    """Sets the steps of a layer's channels; what one level is worth."""
    numbers.step = torch.ceil(torch.log2(top.clamp(min=1e-6) / 119) + 14).clamp(9, 13)
    return 2.0 ** (numbers.step - 14)


@torch.no_grad()
def _fill(layer: Layer, weight: Tensor, bias: Tensor, steps: Tensor, out: Tensor | float) -> None:
    """`steps`: what a level of each input is worth (inputs,); `out`: levels of the output for 1."""
    seen = weight * (steps.view(1, -1, 1, 1) if layer.groups == 1 else steps.view(-1, 1, 1, 1))
    unit = (seen.abs().amax((1, 2, 3)) / _FILL).clamp(min=1e-7)
    layer.unit, layer.grid = unit, unit / steps.mean()
    layer.weight.copy_(seen / unit.view(-1, 1, 1, 1) * layer.grid.view(-1, 1, 1, 1))
    layer.bias.copy_(bias)
    layer.put(unit * out)


def _noise_units() -> Tensor:
    """One over the deviation of N in each scale of noise of variance 1, in quarter codes over
    4·147.8."""
    noise = fresh(512, 512, 0)[0] * _NOISE_SCALE + 512
    noise = noise.round()
    second = Bands(decimated(noise))
    found = [Bands(noise, fine=True), second, Bands(second.low, 2)]
    return torch.stack([4 * _NOISE_SCALE / b.iso.std() for b in found])


@torch.no_grad()
def converted(renderer: Renderer, cache: Cache, count: int = 24) -> IntegerRenderer:
    """An integer renderer that does about what the float one does."""
    ranges = _Ranges()
    ranges.watch(renderer)
    for _ in range(count // 4):
        render_run(renderer, cache.batch(4, 128), 0)
    top, c = ranges.found, renderer.config
    made = IntegerRenderer(
        {**c.as_dict(), "stem": renderer.stem.out_channels, "wide": 2 * c.channels}
    )
    signal = torch.full((12,), _SIGNAL)
    # Coarse bands, colour, phases: the float renderer has the phases before colour.
    order = [0, 1, 2, 3, 4, 5, 10, 11, 6, 7, 8, 9]
    steps = _steps(made.stem, top["stem"])
    _fill(made.stem, renderer.stem.weight[:, order], renderer.stem.bias, signal, 64)
    _fill(made.stem2, renderer.stem2.weight, renderer.stem2.bias, steps, _TRUNK)
    weight, bias = renderer.statistics.weight.clone(), renderer.statistics.bias.clone()
    flat = weight[:, :, 0, 0]
    bias += _QUIET * flat[:, :11].sum(1) - 0.5 * flat[:, 11:14].sum(1)
    flat[:, 15] += _QUIET * flat[:, 14]
    levels = torch.tensor([1 / 32] * 11 + [8 / I.PEAK] * 3 + [1 / 32, 1 / 127])
    _fill(made.statistics, weight, bias, levels, _TRUNK)
    for i, (block, old) in enumerate(zip(made.blocks, renderer.blocks, strict=True)):
        seen = (top[f"blocks.{i}.depthwise"] / 60).clamp(min=1e-4)
        _fill(
            block.depthwise,
            old.depthwise.weight,
            old.depthwise.bias + old.condition.bias,
            torch.full((c.channels,), 1 / _TRUNK),
            1 / seen,
        )
        block.condition[:, :FLOAT_CONDITION].copy_(old.condition.weight)
        steps = _steps(block.expand, top[f"blocks.{i}.expand"])
        _fill(block.expand, old.expand.weight, old.expand.bias, seen, 64)
        _fill(block.project, old.project.weight, old.project.bias, steps, _TRUNK)
    seen = (top["view"] / 60).clamp(min=1e-4)
    made.view.put(1 / (_TRUNK * seen))
    style = _steps(made.style, top["style"])
    _fill(made.style, renderer.style.weight, renderer.style.bias, seen, 64)

    weight, bias = torch.zeros(I.HEADS, c.style, 1, 1), torch.zeros(I.HEADS)
    scale = torch.ones(I.HEADS)
    for old, new in ((renderer.head.weight, weight), (renderer.head.bias, bias)):
        for s in range(3):
            for share, band in zip(_GAINS, range(3 * s, 3 * s + 3), strict=True):
                new[s] += share * old[band]
                new[6 + s] += old[BANDS + band] / math.sqrt(3)
        new[12:15] = old[2 * BANDS :]
    bias[14] -= 1
    weight[3:6], weight[9:12] = 0, 0
    unit = NOISE_UNIT * I.PEAK * 8 * 32768 / (16 * _NOISE_SCALE) * _noise_units()
    scale[:3], scale[3:6], scale[6:9], scale[9:12] = 8192, 256, unit, 256
    scale[12:14], scale[14] = 8192, 64
    _fill(made.head, weight, bias, style, scale)
    for row in (
        *range(3, 6),
        *range(9, 12),
    ):  # nothing yet; a weight of 1 is to be a tenth of a level
        made.head.unit[row] = made.head.grid[row] * style.mean()
        made.head.grid[row] = 0.2 / 127
        made.head.unit[row] = made.head.grid[row] * style.mean()
    made.head.put(made.head.unit * scale)
    made.head.weight[3:6], made.head.weight[9:12] = 0, 0
    _fill(made.gate, renderer.gate.weight, renderer.gate.bias, style, 256)

    weight = renderer.enter.weight[:, [*order, 12, 13, 14, 15]]
    # Phases of the fine noise band are inputs 12 … 15 of the float renderer, coarse noise is left
    # out.
    grain = 1 / (4 * _NOISE_SCALE * I.GRAIN / 32768 / float(renderer.bank.fine_unit))
    steps = torch.cat([signal, torch.full((4,), grain)])
    hidden = _steps(made.enter, top["enter"])
    _fill(made.enter, weight, renderer.enter.bias, steps, 64)
    middle = _steps(made.middle, top["middle"])
    _fill(made.middle, renderer.middle.weight, renderer.middle.bias, hidden, 64)
    _fill(made.leave, renderer.leave.weight, renderer.leave.bias, middle, I.PEAK * 8 / SIGNAL_GAIN)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("renderer", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    converted(load_checkpoint(options.renderer), Cache(options.cache, held_out=False)).save(
        options.out
    )


if __name__ == "__main__":
    main()
