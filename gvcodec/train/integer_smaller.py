"""A smaller integer painter out of a larger one, as the start of a training.

    python -m gvcodec.train.integer_smaller LARGE out/cache out/start.safetensors --minutes 10

It takes the blocks and the channels that carry most, leaves out the layer `middle` of the residual
branch, and then learns what the larger one adds to frames. No perceptual network is asked, so ten
minutes go a long way. Minutes are those of the processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from gvcodec.appearance.integer_twin import IntegerRenderer, Layer
from gvcodec.appearance.perceptual.objective import Batch, render_run
from gvcodec.appearance.renderer import Renderer
from gvcodec.train.average import follow
from gvcodec.train.data import Cache

_BATCH, _SIZE, _RATE, _AVERAGE = 8, 160, 2e-3, 0.99


@torch.no_grad()
def _part(
    small: Layer,
    large: Layer,
    out: Tensor | slice = slice(None),
    into: Tensor | slice = slice(None),
) -> None:
    """The layer `small` as outputs `out` and inputs `into` of `large`."""
    small.weight.copy_(large.weight[out][:, into])
    small.bias.copy_(large.bias[out])
    for name, buffer in small.named_buffers():
        buffer.copy_(getattr(large, name)[out])


def _strongest(values: Tensor, count: int) -> Tensor:
    """Places of the `count` largest, in order."""
    return values.topk(count).indices.sort().values


@torch.no_grad()
def _weight(layer: Layer) -> Tensor:
    """What each input of a layer does to what becomes of the sums, (inputs,)."""
    factor = layer.multiplier * 2.0**-layer.shift
    return (layer.whole()[0].abs().sum((2, 3)) * factor[:, None]).sum(0)


@torch.no_grad()
def begun(large: IntegerRenderer, depth: int, wide: int, residual: int) -> IntegerRenderer:
    """A painter of these sizes with weights of `large`; its residual branch adds nothing yet."""
    sizes = {**large.sizes, "depth": depth, "wide": wide, "residual": residual, "middle": 0}
    small = IntegerRenderer(sizes)
    for name in ("stem", "stem2", "statistics", "style", "head"):
        _part(getattr(small, name), getattr(large, name))
    for part in ("multiplier", "shift", "step"):
        getattr(small.view, part).copy_(getattr(large.view, part))
    # The first and the last block, and the others evenly between.
    places = torch.linspace(0, len(large.blocks) - 1, depth).round().long().tolist()
    for mine, place in zip(small.blocks, places, strict=True):
        other = large.blocks[place]
        assert isinstance(mine, nn.Module) and isinstance(other, nn.Module)
        kept = _strongest(_weight(other.project), wide)
        _part(mine.depthwise, other.depthwise)
        _part(mine.expand, other.expand, kept)
        _part(mine.project, other.project, into=kept)
        mine.condition.copy_(other.condition)
    kept = _strongest(_weight(large.middle or large.leave), residual)
    _part(small.gate, large.gate, kept)
    _part(small.enter, large.enter, kept)
    _part(small.leave, large.leave, into=kept)
    small.leave.weight.zero_()
    return small


class _Inputs:
    """What a painter is asked for the last frame of a run, which does not depend on the painter."""

    step = IntegerRenderer.step

    def __init__(self, batch: Batch, position: int) -> None:
        self.last: tuple[Tensor, ...] = ()
        with torch.no_grad():
            render_run(cast(Renderer, self), batch, position)

    def added(self, luma: Tensor, chroma: Tensor, *more: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.last = luma, chroma, *more
        return torch.zeros_like(luma), torch.zeros_like(chroma), torch.zeros_like(chroma[:, :1])


def difference(
    small: IntegerRenderer, large: IntegerRenderer, batch: Batch, position: int
) -> Tensor:
    """How far what both add to the last frames of a batch is apart, as a share of what `large`
    adds: luma, chroma, and what it keeps of the frame before, (B,)."""
    given = _Inputs(batch, position).last
    with torch.no_grad():
        wanted = large.added(*given)
    total = torch.zeros(len(batch.condition))
    for mine, theirs, floor in zip(small.added(*given), wanted, (8.0, 4.0, 1024.0), strict=True):
        apart = (mine - theirs).abs().mean((1, 2, 3))
        total = total + apart / (theirs.abs().mean((1, 2, 3)) + floor)
    return total


def learned(
    large: IntegerRenderer,
    sizes: tuple[int, int, int],
    cache: Path,
    minutes: float,
    say: Callable[[str], None],
) -> IntegerRenderer:
    """A painter of `sizes` (see `begun`) that has learned from `large` for so many minutes of the
    processor."""
    small, mean = (begun(large, *sizes) for _ in range(2))
    data, held = (Cache(cache, held_out=one, seed=1) for one in (False, True))
    optimizer = torch.optim.AdamW(
        small.parameters(), lr=_RATE, betas=(0.9, 0.98), weight_decay=1e-4
    )
    started, steps, told = time.process_time(), 0, -1.0
    while (share := (time.process_time() - started) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1, (steps + 1) / 50) * max(0.05, 1 - share)
        loss = difference(small, large, data.batch(_BATCH, _SIZE), 3 * steps).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(small.parameters(), 1.0)
        optimizer.step()
        steps += 1
        follow(mean, small, min(_AVERAGE, steps / (steps + 20)))
        if share - told > 0.25:
            told, held.rng = share, np.random.default_rng(1)
            with torch.no_grad():
                apart = float(difference(mean, large, held.batch(32, _SIZE), 0).mean())
            say(f"{steps} steps: {float(loss):.3f}, held out {apart:.3f}")
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("large", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--wide", type=int, default=64)
    parser.add_argument("--residual", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    large = IntegerRenderer.load(options.large)
    sizes = options.depth, options.wide, options.residual
    made = learned(
        large, sizes, options.cache, options.minutes, lambda line: print(line, flush=True)
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    made.save(options.out)


if __name__ == "__main__":
    main()
