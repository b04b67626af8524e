"""The cost of training without a part: every configuration of `configs/gvc1d/ablations` from the
same start (`--initial`: weights) for as many steps, judged on the same held-out runs.

    python -m training gvc1d.ablations --steps 60 --seeds 2 --csv docs/data/gvc1d-ablations.csv
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from gvcodec.gvc1d.token_network import TokenNetwork
from training.gvc1d.card import BUDGETS
from training.gvc1d.settings import TrainConfig
from training.gvc1d.train import Work, schedule_of
from training.loop import Loop
from training.settings import read_settings

_FOLDER = Path(__file__).parents[1] / "configs/gvc1d/ablations"
#: How a run is judged: which row of `card.ROWS`, whole or with a part spoilt.
_ROWS = [("no base", ""), ("no base", "zeroed"), ("base", ""), ("base", "free")]
_ROWS += [("return", ""), ("half the windows", ""), *(("no base", each) for each in BUDGETS)]


def main(words: Sequence[str] | None = None) -> None:
    """One line of the CSV for each configuration, seed and way of judging."""
    parser = argparse.ArgumentParser(prog="gvc1d.ablations", description=__doc__)
    parser.add_argument("configs", nargs="*", help="names of files (all)")
    parser.add_argument("--steps", type=int, default=60, help="steps of each run (60)")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each configuration (2)")
    parser.add_argument("--csv", type=Path, required=True)
    for name in ("data", "cache", "initial"):
        parser.add_argument(f"--{name}", help="overrides the key of the file")
    options = parser.parse_args(words)
    given = {k: v for k in ("data", "cache", "initial") if (v := getattr(options, k))}
    names = options.configs or sorted(p.stem for p in _FOLDER.glob("*.toml"))
    if not options.csv.exists():
        options.csv.write_text("config,seed,steps,row,spoilt,distortion,psnr,bits\n")
    for seed in range(1, options.seeds + 1):
        for name in names:
            config = read_settings(_FOLDER / f"{name}.toml", TrainConfig)
            config = replace(config, **given)
            with open(options.csv, "a", newline="") as file:
                csv.writer(file).writerows(_judged(name, config, seed, options.steps))


def _judged(name: str, config: TrainConfig, seed: int, steps: int) -> list[list[object]]:
    work = Work(replace(config, draw=seed))
    schedule = replace(schedule_of(config), plan_steps=steps, warm_up=min(10, steps // 3))
    loop = Loop(work, replace(schedule, check_steps=1 << 30))
    for _ in range(steps):
        loop.step()
    model = cast(TokenNetwork, loop.average).eval()
    lines: list[list[object]] = []
    for row, change in _ROWS:
        found = work.held_out.measure(model, row, change)
        figures = [round(found[key], 4) for key in ("loss", "psnr", "bits")]
        lines.append([name, seed, steps, row, change or "whole", *figures])
        print(*lines[-1], flush=True)
    return lines
