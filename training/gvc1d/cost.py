"""Cost of training a configuration: `python -m training gvc1d CONFIG.toml --cost`.

Multiplications are counted by running the network on tensors without contents. A training step
takes three times those of the forward pass, two operations (FLOP) each.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch

from gvcodec.gvc1d import ops_torch
from gvcodec.gvc1d.model import RATES, Codec, Config, Grid, parameter_shapes


def count_multiplications(config: Config, grid: Grid) -> dict[str, int]:
    """Multiplications for one frame of one clip, by part: encode, predict, decode, advance."""
    count = [0]

    def linear(x: Any, weight: Any, bias: Any = None) -> Any:
        count[0] += x.numel() * weight.shape[1]
        return ops_torch.linear(x, weight, bias)

    def attention(query: Any, key: Any, value: Any, visible: Any = None) -> Any:
        count[0] += 2 * query.numel() * key.shape[-2]
        return query + 0 * value.sum()  # the shape alone matters

    ops: Any = SimpleNamespace(**vars(ops_torch))
    ops.linear, ops.attention = linear, attention
    shapes = parameter_shapes(config)
    weights = {name: torch.empty(shape, device="meta") for name, (shape, _) in shapes.items()}
    codec = Codec(config, weights, ops)
    windows = grid.rows * grid.columns
    mix = torch.empty(1, RATES, device="meta")
    state = codec.first_state(1, grid)
    samples = torch.empty(1, windows, config.patches, config.samples, device="meta")
    present = torch.empty(1, windows, config.tokens, 1, device="meta")
    parts = {}
    tokens = codec.encode(samples, state, mix, grid)
    parts["encode"] = count[0]
    codec.predict(tokens, state, mix, grid)
    parts["predict"] = count[0] - sum(parts.values())
    _, features = codec.decode(tokens, present, state, mix, grid)
    parts["decode"] = count[0] - sum(parts.values())
    codec.advance(state, tokens, present, features, grid)
    parts["advance"] = count[0] - sum(parts.values())
    return parts


def describe_cost(settings: Any, side: int, teraflops: float) -> str:
    """A table of the stages. `side`: luma samples of a training crop; `teraflops`: 10^12 operations
    that the machine does in a second."""
    config: Config = settings.model
    windows = max(1, side // config.window)
    parts = count_multiplications(config, Grid(windows, windows))
    frame = sum(parts.values())
    weights = sum(math.prod(shape) for shape, _ in parameter_shapes(config).values())
    lines = [f"{weights / 1e6:.1f} million weights"]
    pixel = (f"{name} {value / side**2:,.0f}" for name, value in parts.items())
    lines.append(f"multiplications a luma sample: {', '.join(pixel)}")
    total = 0.0
    for number, stage in enumerate(settings.stages, 1):
        clips = stage.clips * stage.frames * settings.accumulate
        flop = 6.0 * frame * clips * stage.steps
        total += flop
        lines.append(
            f"stage {number}: {stage.steps:,} steps of {stage.clips} × {stage.frames} frames, "
            f"{flop:.2e} FLOP, {flop / teraflops / 3.6e15:,.2f} h"
        )
    hours = total / teraflops / 3.6e15
    lines.append(f"all: {total:.2e} FLOP, {hours:,.2f} h at {teraflops:g} TFLOP/s and one process")
    return "\n".join(lines)
