"""Meta-learning: a renderer trained to be a starting point for tuning, and what that is worth against "train, then fit".

    python -m gvcodec.train.reptile --cache out/cache --start checkpoints/base-vvc.safetensors --out out/reptile.safetensors --minutes 40

Turn by turn one training clip is tuned for a few steps, as the encoder tunes. The weights that tuning moves then follow it part of the way
(Reptile, Nichol et al. 2018); the others follow the mean gradient that they saw on the way, which is that of the loss of *tuned* renderers
(first-order MAML). At the end both starting points are tuned to held-out clips of the cache and judged on crops that were not fitted.
"""

from __future__ import annotations

import argparse
import json
import time
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from gvcodec import perceptual
from gvcodec.appearance.checkpoint import load_checkpoint, save_checkpoint
from gvcodec.appearance.renderer import Renderer
from gvcodec.appearance.tuning import Tuner, make_objective
from gvcodec.train.data import Cache
from gvcodec.train.losses import SMALL
from gvcodec.train.objective import Objective
from gvcodec.types import VideoFormat

#: Steps of one turn, how far its end is followed, and the learning rate of the weights that are not tuned.
STEPS, FOLLOW, RATE = 12, 0.3, 1e-4
_GROUPS, _TUNING_RATE = 2, 5e-3
_FORMAT = VideoFormat(width=256, height=256, frame_rate=Fraction(25), time_base=Fraction(1, 25), colour=SMALL)


def tuner_of(renderer: Renderer, cache: Cache, entry: int, objective: Objective, seed: int) -> Tuner:
    """What would tune `renderer` to one clip of the cache."""
    records = range(len(cache.records[entry][0]))
    batch = cache.batch(0, 256, [(entry, record) for record in records])
    runs = [
        (batch.loop[0][r], batch.loop[1][r], batch.source[0][r], batch.source[1][r], batch.vectors[r]) for r in records
    ]
    return Tuner(renderer, runs, batch.condition[:1], objective, _GROUPS, _TUNING_RATE, seed)


class Reptile:
    """`turn()` moves `renderer` by one clip."""

    def __init__(self, renderer: Renderer, cache: Cache, objective: Objective, seed: int = 0) -> None:
        self.renderer, self._cache, self._objective = renderer, cache, objective
        self._rng, self.turns = np.random.default_rng(seed), 0
        self._optimizer = torch.optim.Adam(renderer.parameters(), RATE, betas=(0.9, 0.98))

    def turn(self, share: float) -> float:
        """`share` of the time is over. Returns the loss of the last step."""
        self.turns += 1
        entry = int(self._rng.integers(len(self._cache.entries)))
        tuner = tuner_of(self.renderer, self._cache, entry, self._objective, self.turns)
        tuner.renderer.requires_grad_(True)
        for step in range(STEPS):
            loss = tuner.update(_TUNING_RATE * (1 - 0.9 * step / STEPS), None)
        moved, ends = tuner.deltas(), dict(tuner.renderer.named_parameters())
        with torch.no_grad():
            for name, parameter in self.renderer.named_parameters():
                gradient = ends[name].grad
                if name in moved:
                    parameter.add_(moved[name], alpha=FOLLOW * (1 - share))
                elif gradient is not None:
                    parameter.grad = gradient / STEPS
        torch.nn.utils.clip_grad_norm_(self.renderer.parameters(), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = RATE * (1 - share)
        self._optimizer.step()
        return loss


def judged(
    renderer: Renderer, cache: Cache, objective: Objective, steps: tuple[int, ...], clips: int
) -> list[dict[int, float]]:
    """For about `clips` clips the loss on crops that are not fitted, after so many steps of tuning (ascending, 0 = none)."""
    rows = []
    for entry in range(0, len(cache.entries), max(1, len(cache.entries) // clips)):
        tuner, row = tuner_of(renderer, cache, entry, objective, 0), {}
        for count in range(steps[-1] + 1):
            if count in steps:
                row[count] = tuner.judge(tuner.renderer)
            if count < steps[-1]:
                tuner.update(_TUNING_RATE * max(0.1, 1 - count / steps[-1]), None)
        rows.append(row)
    return rows


def main() -> None:
    """Train and compare; prints one JSON line now and then, and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of python -m gvcodec.train.cache")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint to begin with")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--steps", default="0,10,20,40", help="of tuning, to judge after (default %(default)s)")
    parser.add_argument("--clips", type=int, default=9, help="held-out ones to judge on, about (default 9)")
    parser.add_argument("--tune-by", default="", help="whose features lead: vgg or small")
    options = parser.parse_args()
    leading = perceptual.leading_weights(options.tune_by)
    if leading is None:
        parser.error("no weights of the perceptual losses found")
    cache, held_out = (Cache(options.cache, held_out=held) for held in (False, True))
    objective = make_objective(_FORMAT, leading[1])
    learner = Reptile(load_checkpoint(options.start).requires_grad_(True), cache, objective)
    begin, losses = time.monotonic(), []
    while (share := (time.monotonic() - begin) / (60 * options.minutes)) < 1:
        losses.append(learner.turn(share))
        if learner.turns % 10 == 0:
            print(json.dumps({"turns": learner.turns, "loss": round(fmean(losses[-10:]), 4)}), flush=True)
            save_checkpoint(learner.renderer, options.out)
    save_checkpoint(learner.renderer, options.out)
    steps = tuple(int(n) for n in options.steps.split(","))
    before, after = (
        judged(load_checkpoint(p), held_out, objective, steps, options.clips) for p in (options.start, options.out)
    )
    for count in steps:
        ratios = [100 * (b[count] / a[count] - 1) for a, b in zip(before, after, strict=True)]
        line = {"steps": count, "start": fmean(a[count] for a in before), "after": fmean(b[count] for b in after)}
        print(json.dumps({**line, "percent": [round(r, 2) for r in ratios], "mean": round(fmean(ratios), 2)}))


if __name__ == "__main__":
    main()
