"""Each learned part of the miniature world's network: as it is, left out, fed by another clip's:
`python -m eval.experiments.miniature_parts [--model W]`.

J (distortion plus λ · estimated bits) of held-out clips at the middle rate, per cent above the full
network's, with 95 % bootstrap intervals over clips. `shuffled`: memory, short-term features, the
update of local or global layers, or the integers before, from another clip of the batch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.experiments.miniature_claims import FIELDS, OUTPUT, show
from eval.tools import append_rows
from gvcodec.gvc1d import ops_torch
from gvcodec.gvc1d.model import RATES, Codec, Config, Grid, from_patches, to_patches
from gvcodec.gvc1d.weights import read_network
from training import world
from training.gvc1d.train import distortion, lambda_of

PARTS = ("memory", "short_term", "local", "global", "autoregression")


class Shuffled(Codec):
    """The network with one part fed by another clip's values. Clips lie along axis 0."""

    part = ""

    def advance(self, state: Any, tokens: Any, present: Any, features: Any, grid: Grid) -> Any:
        state = super().advance(state, tokens, present, features, grid)
        if self.part in ("memory", "short_term"):
            state = state._replace(**{self.part: getattr(state, self.part).roll(1, 0)})
        return state

    def _earlier(self, tokens: Any) -> Any:
        return super()._earlier(tokens.roll(1, 0) if self.part == "autoregression" else tokens)

    def _local(self, block: str, x: Any, memory: Any, windows: int) -> Any:
        if self.part == "local":
            other = x.roll(windows, 0)
            return x + super()._local(block, other, memory, windows) - other
        return super()._local(block, x, memory, windows)

    def _block(self, name: str, x: Any, context: Any = None, visible: Any = None) -> Any:
        if self.part == "global" and name.startswith(("encoder", "decoder")):
            other = x.roll(1, 0)
            return x + super()._block(name, other, context, visible) - other
        return super()._block(name, x, context, visible)


@torch.no_grad()
def costs(codec: Codec, config: Config, planes: Any, change: Any = None) -> torch.Tensor:
    """J [B] of clips; `change(tokens)`: the input of decoder and entropy model."""
    y = planes[0]
    grid = Grid(y.shape[2] // config.window, y.shape[3] // config.window)
    rates = torch.full((len(y),), (RATES - 1) / 2)
    mix, state = ops_torch.rate_mix(rates, RATES), codec.first_state(len(y), grid)
    present = torch.ones(len(y), grid.rows * grid.columns, config.tokens, 1)
    total = torch.zeros(len(y))
    for frame in range(y.shape[1]):
        picture = tuple(plane[:, frame] for plane in planes)
        patches = to_patches(*picture, config, ops_torch)
        tokens = codec.encode(patches, state, mix, grid).round()
        tokens = tokens if change is None else change(tokens)
        bits = (
            ops_torch.estimate_bits(tokens, codec.predict(tokens, state, mix, grid))
            .flatten(1)
            .sum(1)
        )
        shown, features = codec.decode(tokens, present, state, mix, grid)
        state = codec.advance(state, tokens, present, features, grid)
        decoded = [p[:, None] for p in from_patches(shown, grid, config, ops_torch)]
        error = distortion(tuple(decoded), tuple(plane[:, None] for plane in picture))[:, 0]
        total += error + lambda_of(rates) * bits
    return total / y.shape[1]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.miniature_parts")
    parser.add_argument("--model", type=Path, default=Path("checkpoints/gvc1d-mini.safetensors"))
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=["tokens", *PARTS])
    options = parser.parse_args(words)
    config, arrays = read_network(options.model)
    weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
    first = world.FIRST_TEST_SEED + 4000
    clips = [world.draw(first + n, options.frames) for n in range(options.clips)]
    planes = tuple(
        torch.from_numpy(np.stack([getattr(clip, name) for clip in clips])) for name in "yuv"
    )
    full = costs(Codec(config, weights, ops_torch), config, planes)
    rows = {}
    if "tokens" in options.parts:
        codec = Codec(config, weights, ops_torch)
        rows["tokens zeroed"] = costs(codec, config, planes, lambda tokens: tokens * 0)
        rows["tokens shuffled"] = costs(codec, config, planes, lambda tokens: tokens.roll(1, 0))
    for part in PARTS:
        if part not in options.parts:
            continue
        rows[f"{part} off"] = costs(Codec(config, weights, ops_torch, (part,)), config, planes)
        kind = type("Shuffled", (Shuffled,), {"part": part})
        rows[f"{part} shuffled"] = costs(kind(config, weights, ops_torch), config, planes)
    print("full", show(full.tolist()))
    for name, values in {"full": full, **rows}.items():
        figures = {"what": "parts", "row": name, "J": round(float(values.mean()), 2)}
        append_rows(OUTPUT, FIELDS, [[figures.get(field, "") for field in FIELDS]])
        print(name, show((100 * (values / full - 1)).tolist()), sep=" | ")


if __name__ == "__main__":
    main()
